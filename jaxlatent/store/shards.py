"""Shards: the parts of a store that several processes write, each the run of its own datasets."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jaxlatent.errors import InputError, require


@dataclass(frozen=True)
class Shard:
    """One of ``count`` contiguous parts of the datasets of a batch, of nearly equal size.

    Args:
        index: from 0.
        count: number of shards.
    """

    index: int
    count: int

    def of(self, datasets: int) -> np.ndarray:
        """The indices of its datasets, among so many."""
        return np.arange(self.index * datasets // self.count, (self.index + 1) * datasets // self.count)

    def path(self, store: str | os.PathLike[str]) -> str:
        """The path of its part of a store."""
        return part_path(store, self.index, self.count)


def part_path(store: str | os.PathLike[str], index: int, count: int) -> str:
    """The path of the part of a store that has ``count`` of them."""
    return f"{os.fspath(store).rstrip('/')}/shard-{index}-of-{count}"


def shard_of(shard: tuple[int, int], names: Sequence[Any] | None) -> Shard:
    """A shard of the batch with these names.

    Raises:
        InputError: for no batch, an index out of range, or more shards than datasets.
    """
    if names is None:
        raise InputError(
            "fit(shard=...)",
            got="one dataset",
            expected="a batch: shards are parts of its datasets",
            remedy="leave it out, or give jl.batch([...]).",
        )
    part = as_shard(shard)
    require(
        part.count <= len(names),
        "fit(shard=(index, count))",
        got=shard,
        expected=f"at most as many shards as datasets, {len(names)}",
        remedy="use fewer.",
    )
    return part


def as_shard(shard: Any) -> Shard:
    """A shard from its index and their number.

    Raises:
        InputError: for anything else, such as text from the environment of a job.
    """
    whole = isinstance(shard, tuple | list) and len(shard) == 2 and all(isinstance(n, int | np.integer) for n in shard)
    require(
        whole and 0 <= shard[0] < shard[1],
        "shard=(index, count)",
        got=shard,
        expected="two integers, 0 <= index < count",
        remedy='count from 0, as in shard=(int(os.environ["SLURM_ARRAY_TASK_ID"]), 10).',
    )
    return Shard(*map(int, shard))
