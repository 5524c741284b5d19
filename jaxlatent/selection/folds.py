"""`Folds`: which units of each dataset are held out together."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, cast

import jax
import numpy as np

from jaxlatent.errors import InputError, did_you_mean
from jaxlatent.selection.layout import Layout
from jaxlatent.typing import Array, Key

_WAYS = ("sequence", "row", "forward")


class Folds(NamedTuple):
    """Which elements (rows, sequences or steps, see `Layout`) of each dataset are held out in which fold.

    A unit is what is held out as a whole, and counts once in standard errors: a row, a sequence, a group of them, or a block of steps.

    Attributes:
        of: the fold that holds out each element, ``(dataset, element)``; -1 for none.
        unit: the unit of each element, ``(dataset, element)``; -1 where nothing is observed.
        number: of folds.
        ahead: whether a fold trains on what stands before only.
        blocks: whether the units are blocks of steps, scored given all earlier steps.
        name: of a unit.
        labels: by dataset, of its units.
    """

    of: np.ndarray
    unit: np.ndarray
    number: int
    ahead: bool
    blocks: bool
    name: str
    labels: tuple[np.ndarray, ...]

    def training(self) -> np.ndarray:
        """Which elements each fold is fitted to, ``(dataset, fold, element)``."""
        folds, own = np.arange(self.number)[:, None], self.of[:, None]
        return own < folds if self.ahead else own != folds

    def scored(self) -> np.ndarray:
        """Which elements the held-out score of each fold reads, ``(dataset, fold, element)``: of sequences, no later steps."""
        folds, own = np.arange(self.number)[:, None], self.of[:, None]
        return own <= folds if self.blocks else np.ones((len(self.of), self.number, self.of.shape[1]), bool)


def make_folds(layout: Layout, counts: np.ndarray, names: Sequence[Any] | None, by: Any, folds: Any, key: Key) -> Folds:
    """Assign the units of every dataset to folds.

    Args:
        layout: of the data.
        counts: number of observed values of each element, ``(dataset, element)``.
        names: of the datasets of a batch; None for one dataset.
        by, folds: see `jaxlatent.cross_validate`.
        key: of the random assignment.

    Raises:
        InputError: for a way that does not fit the model, too many folds, or labels of another length.
    """
    seen = counts > 0
    labels = None if isinstance(by, str) else _by_dataset("by", by, layout, seen, names)
    _check_way(by if isinstance(by, str) else None, layout)
    ahead, blocks = isinstance(by, str) and by == "forward", layout.kind == "step"
    unit = np.where(seen, np.cumsum(seen, 1) - 1, -1)
    own_labels = tuple(np.flatnonzero(own) for own in seen)
    if labels is not None:
        coded = [_codes(own, here) for own, here in zip(labels, seen, strict=True)]
        unit, own_labels = np.stack([code for code, _ in coded]), tuple(found for _, found in coded)
    name = "block" if blocks else layout.kind if labels is None else "group"
    if isinstance(folds, int | np.integer) and not isinstance(folds, bool):
        of = _assigned(unit, int(folds), ahead, _prefixes(names), layout.kind if labels is None else name, key)
        count = int(folds)
    else:
        given = _by_dataset("folds", folds, layout, seen, names)
        of, count = _as_given(given, unit, ahead, blocks, _prefixes(names))
    of = np.where(unit >= 0, of, -1)
    _check_folds(of, unit, count, ahead, _prefixes(names))
    if blocks:  # each block is one unit
        unit, own_labels = of, tuple(np.arange(count) for _ in of)
    return Folds(of, unit, count, ahead, blocks, name, own_labels)


def _prefixes(names: Sequence[Any] | None) -> list[str]:
    return [""] if names is None else [f", dataset {name!r}" for name in names]


def _check_way(by: str | None, layout: Layout) -> None:
    """Raise `InputError` unless the data can be held out in that way; None for labels."""
    if by is not None and by not in _WAYS:
        raise InputError(
            "cross_validate(by=...)",
            got=repr(by),
            expected=f"one of {_WAYS}, or labels of groups, one for each row or sequence",
            remedy=f"{did_you_mean(by, _WAYS)} Labels of groups are given as an array, not by its name.",
        )
    alone = "the only sequence has no parts to leave out: use by='forward', or split it into a list of sequences."
    if layout.kind == "row" and by == "sequence":
        got, remedy = "a model of rows, without sequences", "use by='row', by='forward', or labels of groups of rows."
    elif layout.kind == "sequence" and by == "row":
        got, remedy = "a model of sequences, whose steps depend on each other", "use by='sequence' or by='forward'."
    elif layout.kind == "step" and by != "forward":
        got, remedy = "one sequence", alone
    else:
        return
    raise InputError(
        f"cross_validate(by={'labels' if by is None else repr(by)})",
        got=got,
        expected="parts of the data that are independent given the parameters",
        remedy=remedy,
    )


def _by_dataset(
    what: str, given: Any, layout: Layout, seen: np.ndarray, names: Sequence[Any] | None
) -> list[np.ndarray]:
    """Labels of elements by dataset, each padded to all elements; one array serves all datasets, or there is one for each."""
    if names is None:
        own: list[Any] = [given]
    elif isinstance(given, Mapping) and set(given) == set(names):
        own = [given[name] for name in names]
    elif isinstance(given, Mapping | str) or not hasattr(given, "__len__"):
        own = [given] * len(names)
    elif len(given) == len(names) and all(np.ndim(one) > 0 for one in given):
        own = list(given)
    else:
        own = [given] * len(names)
    padded = []
    for prefix, one, here in zip(_prefixes(names), own, seen, strict=True):
        array = np.asarray(one)
        # Rows at the end that only longer datasets have are masked, and need no label.
        last = int(np.flatnonzero(here).max(initial=-1)) + 1
        if array.ndim != 1 or not (last if names is not None else layout.size) <= len(array) <= layout.size:
            raise InputError(
                f"cross_validate({what}=...){prefix}",
                got=f"shape {array.shape}" if array.ndim else repr(one),
                expected=f"one entry for each {layout.kind}, ({layout.size},)"
                + ("" if what == "by" else ", or a number of folds"),
                remedy="give an array, and for a batch of unequal datasets one for each, as a list or by name.",
            )
        padded.append(np.append(array, np.repeat(array[-1:], layout.size - len(array))))
    return padded


def _codes(labels: np.ndarray, seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The number of the group of each element, -1 where nothing is observed; and the labels of the groups."""
    import pandas as pd

    codes, found = cast(Any, pd).factorize(labels[seen])
    if (codes < 0).any():
        raise InputError(
            "cross_validate(by=...)",
            got=f"{int(np.sum(codes < 0))} missing labels",
            expected="the group of every row or sequence",
            remedy="fill them, or mask those rows.",
        )
    units = np.full(len(labels), -1)
    units[seen] = codes
    return units, np.asarray(found)


def _assigned(unit: np.ndarray, folds: int, ahead: bool, prefixes: Sequence[str], name: str, key: Key) -> np.ndarray:
    """Folds of elements whose units are shared out at random, or in their order with a first block for training."""
    sizes, parts = unit.max(1) + 1, folds + ahead
    for prefix, size in zip(prefixes, sizes.tolist(), strict=True):
        if folds < (1 if ahead else 2) or parts > size:
            raise InputError(
                f"cross_validate(folds={folds}){prefix}",
                got=f"{folds} folds of {size} {name}s" + (", the first for training only" if ahead else ""),
                expected=f"{1 if ahead else 2} to {size - ahead} folds",
                remedy=f"use fewer folds, or hold out smaller parts than a {name}."
                if parts > size
                else "use more folds.",
            )
    if ahead:
        blocks = [np.arange(size) * parts // size - 1 for size in sizes.tolist()]
    else:
        random: Callable[[Any], Array] = jax.vmap(
            lambda i: jax.random.bits(jax.random.fold_in(key, i), (int(sizes.max()),))
        )
        numbers = np.asarray(random(np.arange(len(sizes))))
        ranks = [np.argsort(np.argsort(own[:size], kind="stable")) for own, size in zip(numbers, sizes, strict=True)]
        blocks = [rank % folds for rank in ranks]
    return np.stack([np.append(block, -1)[own] for block, own in zip(blocks, unit, strict=True)])


def _as_given(
    given: Sequence[np.ndarray], unit: np.ndarray, ahead: bool, blocks: bool, prefixes: Sequence[str]
) -> tuple[np.ndarray, int]:
    """Folds from numbers of folds, of which negative ones are never held out; or from numbers of blocks in time."""
    numbers = np.stack(given)
    fine = numbers.dtype.kind in "iu" or (numbers.dtype.kind == "f" and np.array_equal(numbers, np.round(numbers)))
    if not fine:
        raise InputError(
            "cross_validate(folds=...)",
            got=f"an array of {numbers.dtype}",
            expected="whole numbers, the fold of each row or sequence; negative ones are never held out",
            remedy="number the folds 0, 1, ...; groups that stay together are given as by=labels.",
        )
    wanted = np.unique(numbers[(unit >= 0) & ((numbers >= 0) | ahead)])
    of = np.where((numbers >= 0) | ahead, np.searchsorted(wanted, numbers), -1) - ahead
    for prefix, own, mine in zip(prefixes, unit, of, strict=True):
        seen = own >= 0
        if blocks and (np.diff(mine[seen]) < 0).any():
            raise InputError(
                f"cross_validate(by='forward', folds=...){prefix}",
                got="numbers of blocks that decrease along the sequence",
                expected="blocks in the order of time",
                remedy="sort them.",
            )
        pairs = np.unique(np.stack([own[seen], mine[seen]]), axis=1)
        if pairs.shape[1] > len(np.unique(own[seen])):
            raise InputError(
                f"cross_validate(by=labels, folds=...){prefix}",
                got="a group in several folds",
                expected="each group in one fold",
                remedy="leave out `by`, or give a number of folds.",
            )
    return of, len(wanted) - ahead


def _check_folds(of: np.ndarray, unit: np.ndarray, count: int, ahead: bool, prefixes: Sequence[str]) -> None:
    """Raise `InputError` for a fold that holds out or trains on nothing."""
    if count < 1:
        raise InputError(
            "cross_validate(folds=...)",
            got="no fold" if not ahead else "one block",
            expected="at least one fold" if not ahead else "a block to train on and one to test",
            remedy="give more numbers.",
        )
    for prefix, own, seen in zip(prefixes, of, unit >= 0, strict=True):
        for fold in range(count):
            training = (own < fold if ahead else own != fold) & seen
            for what, some in (("held-out", (own == fold) & seen), ("training", training)):
                if not some.any():
                    raise InputError(
                        f"cross_validate(folds=...){prefix}",
                        got=f"fold {fold} without any {what} observation",
                        expected="observations to train on and to test in every fold",
                        remedy="share them out differently, or give a number of folds.",
                    )
