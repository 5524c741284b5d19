"""A process that fits a shard, for `test_shards.py`.

    python shard_worker.py distributed|again|dask PATH SHARD COUNT PORT

Of the processes that meet at PORT the last kills itself after two commits; with "again" another one goes on with its shard; with "dask" two
workers of a local cluster fit the shards, and the first that fits the last shard is killed.
"""

import os
import signal
import sys
import time
import warnings
from collections.abc import Iterable
from pathlib import Path

import jax

HOW, PATH, SHARD, COUNT, PORT = sys.argv[1:] if __name__ == "__main__" else ("", "", "0", "0", "0")
if HOW == "distributed":
    # Before any array is made.
    jax.distributed.initialize(f"127.0.0.1:{PORT}", num_processes=int(COUNT), process_id=int(SHARD))

from test_shards import ANIMALS, ENGINES, HMM, OPTIONS  # noqa: E402

import jaxlatent as jl  # noqa: E402
from jaxlatent.execute import sinks  # noqa: E402


def fit(path: str, shard: tuple[int, int], kill: bool = False) -> tuple[str, ...]:
    """The same call in every process, whether the shard is new or not; the process kills itself after two commits."""
    warnings.simplefilter("ignore")
    sinks._SPACING = 0.0
    close = sinks.Disk.close
    commits = []

    def killed(self, session, early):
        close(self, session, early)
        commits.append(early)
        if len(commits) == 2:
            Path(f"{path}-done-{shard[0]}").touch()
            os.kill(os.getpid(), signal.SIGKILL)

    if kill:
        sinks.Disk.close = killed
    return jl.fit(HMM, ANIMALS, ENGINES["EM"], 0, **OPTIONS, store=path, shard=shard, resume=True).names


def task(path: str, i: int, count: int) -> tuple[str, ...]:
    """A task of a cluster: the first one that fits the last shard is killed."""
    mark = Path(f"{path}-killed")
    kill = i == count - 1 and not mark.exists()
    if kill:
        mark.touch()
    return fit(path, (i, count), kill)


def wait_for(shards: Iterable[int]) -> None:
    """Until these have been fitted."""
    while not all(Path(f"{PATH}-done-{i}").exists() for i in shards):
        time.sleep(0.05)


def main() -> None:
    index, count = int(SHARD), int(COUNT)
    if HOW == "again":
        print(fit(PATH, (index, count)))
    elif HOW == "distributed":
        last = index == count - 1
        # JAX ends the others when one is gone, at the latest when they end: they have done their work by then, and leave without a word.
        if last:
            wait_for(range(count - 1))
        print(fit(PATH, (jax.process_index(), jax.process_count()), kill=last), flush=True)
        Path(f"{PATH}-done-{index}").touch()
        wait_for(range(count))
        os._exit(0)
    else:
        import dask
        from distributed import Client, LocalCluster

        with (
            dask.config.set({"distributed.worker.daemon": False}),
            LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
            Client(cluster) as client,
        ):
            futures = [client.submit(task, PATH, i, count, pure=False) for i in range(count)]
            print(client.gather(futures))
        assert Path(f"{PATH}-killed").exists()
        print("killed once")


if __name__ == "__main__":
    main()
