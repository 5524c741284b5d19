"""`joined`: results of parts of a batch as one."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxlatent.posterior.posterior import Posterior, batched
from jaxlatent.results.result import Result
from jaxlatent.store.lazy import Lazy, stacked
from jaxlatent.typing import Leaf

_FIELDS = ("params", "derived", "unconstrained", "statistics")


def joined(path: str, results: Sequence[Result], datasets: Sequence[int] | None = None) -> Result:
    """The result of all datasets; draws that some have less of end with NaN, and what is unread stays so.

    Of statistics it has those that all results have: some belong to the end of a run, which others may not have reached.

    Args:
        path: for messages.
        results: of batches, by the same engine.
        datasets: the index of each dataset, of one result after the other, by which they are sorted; by default they stay as they are.
    """
    first, names = results[0], [name for r in results for name in r.names or ()]
    order = np.arange(len(names)) if datasets is None else np.argsort(datasets)
    rows: Callable[[Sequence[np.ndarray]], np.ndarray] = lambda arrays: stacked(arrays)[order]
    origin = replace(
        first.provenance,
        timings={name: sum(r.provenance.timings.get(name, 0.0) for r in results) for name in first.provenance.timings},
    )
    return replace(
        first,
        posterior=_joined_posterior([r.posterior for r in results], order),
        names=tuple(names[i] for i in order),
        quarantined={name: text for r in results for name, text in r.quarantined.items()},
        provenance=origin,
        objective=rows([r.objective for r in results]),
        status=rows([r.status for r in results]),
        trace=None if first.trace is None else rows([r.trace for r in results if r.trace is not None]),
        **{name: _joined_field(path, [getattr(r, name) for r in results], order) for name in _FIELDS},
    )


def _joined_field(path: str, values: Sequence[Any], order: np.ndarray) -> Any:
    if all(isinstance(one, Lazy) for one in values):
        return Lazy.joined(path, values, order)
    common = [name for name in values[0] if all(name in one for one in values)]
    return {name: stacked([one[name] for one in values])[order] for name in common}


@jax.jit
def _concatenated(parts: Sequence[Posterior], order: Leaf) -> Posterior:
    whole: Posterior = jax.tree.map(lambda *x: jnp.concatenate(x)[order], *parts)
    return whole


def _joined_posterior(parts: Sequence[Posterior], order: np.ndarray) -> Posterior:
    whole = _concatenated([part.nameless for part in parts], order)
    names = [name for part in parts for name in part.names or ()]
    return batched(whole.density, whole.data, tuple(names[i] for i in order), whole.guides)
