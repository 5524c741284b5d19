"""Two processes on this machine that know of each other: each fits on its own devices, or both fit together on all of them.

In 64 bits, so that what differs by rounding is told apart from what differs.
"""

import os
import pickle
import socket
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest

WORKER = Path(__file__).with_name("process_worker.py")
PROCESSES = ("alone", "0", "1")
#: Seconds after which a process hangs.
LONG = 600
TO_THE_BIT = ["batch of chains", "one lane"]
SLOW = ["batch of restarts", "variational", "hidden Markov"]


def start(folder, *cases):
    """Two processes and one alone go through ``cases``; what they leave, by name, and what they print, by process."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    setting = {"JAX_ENABLE_X64": "1", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1", "JAX_PLATFORMS": "cpu"}
    # Small programs are many: compiling them is a sixth of the work.
    setting["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    paths = os.pathsep.join(filter(None, sys.path))
    running = {}
    end = time.monotonic() + LONG
    try:
        for process in PROCESSES:
            with open(folder / f"{process}.log", "wb") as log:
                running[process] = subprocess.Popen(
                    [sys.executable, WORKER, folder, str(port), process, *cases],
                    env={**os.environ, **setting, "PYTHONPATH": paths},
                    stdout=log,
                    stderr=log,
                )
        # One that fails leaves the other waiting.
        while any(one.poll() is None for one in running.values()):
            if time.monotonic() > end or any(one.poll() for one in running.values()):
                break
            time.sleep(0.05)
    finally:
        for one in running.values():
            one.kill()
            one.wait()
    told = {process: (folder / f"{process}.log").read_text() for process in PROCESSES}
    ended = {process: one.returncode for process, one in running.items()}
    assert not any(ended.values()), f"{ended}\n" + "\n".join(told.values())
    return {path.name: pickle.loads(path.read_bytes()) for path in folder.glob("*") if not path.suffix}, told


@pytest.fixture(scope="module")
def started(tmp_path_factory):
    return start(tmp_path_factory.mktemp("processes"), "session", "own", *TO_THE_BIT, "four chains")


@pytest.fixture(scope="module")
def left(started):
    return started[0]


def check_same(one, other, **tolerance):
    """Bitwise, or to a tolerance."""
    check = np.testing.assert_allclose if tolerance else np.testing.assert_array_equal
    jax.tree.map(lambda a, b: check(a, b, **tolerance), one, other)


@pytest.mark.parametrize("process", ["0", "1"])
def test_each_process_fits_its_own_data_on_its_own_devices(left, process):
    alone, _ = left["alone"]
    check_same(left[f"own of {process}"], alone[process])
    assert not np.array_equal(alone["0"]["positions"], alone["1"]["positions"])


@pytest.mark.parametrize("process", ["0", "1"])
@pytest.mark.parametrize("case", TO_THE_BIT)
def test_both_processes_get_the_result_of_one(left, case, process):
    check_same(left[f"{case} of {process}"], left[f"{case} of alone"])


def test_what_chains_of_several_processes_agree_on_is_the_same_to_rounding(left):
    """Sums over devices are made in another order, the same for both processes.

    In 64 bits they differed by 5e-11 after 100 transitions; another random stream differs in the first digit.
    """
    check_same(left["four chains of 0"], left["four chains of 1"])
    check_same(left["four chains of 0"], left["four chains of alone"], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("process", PROCESSES)
def test_a_session_comes_back_from_the_devices_of_several_processes(left, process):
    session, back = left[f"session of {process}"]
    assert back.states["position"].shape == (5, 2, 3), "fillers do not leave the devices"
    check_same(session, back)


@pytest.mark.parametrize("process", ["0", "1"])
def test_processes_that_fit_together_what_differs_are_told_so(left, process):
    told = left[f"errors of {process}"]
    assert list(told) == ["data", "a setting", "the model", "the seed"]
    assert all("the same call in every process" in error for error in told.values())


def test_one_process_of_several_tells_how_far_they_are(started):
    told = started[1]
    assert "NUTS: 100/100" in told["0"] and "NUTS: 100/100" in told["alone"]
    assert "NUTS:" not in told["1"]


def test_datasets_and_chains_share_sixteen_devices(left):
    _, states = left["alone"]
    assert states == {(16, (1, 1))}


@pytest.mark.slow
def test_both_processes_get_the_result_of_one_from_other_engines(tmp_path):
    left, _ = start(tmp_path, *SLOW)
    for case in SLOW:
        for process in "01":
            check_same(left[f"{case} of {process}"], left[f"{case} of alone"])
