"""`joined`: results of parts of a batch as one."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp

from jaxlatent.posterior.posterior import Posterior, batched
from jaxlatent.results.result import Result
from jaxlatent.store.lazy import Lazy, stacked

_FIELDS = ("params", "derived", "unconstrained", "statistics")


def joined(path: str, results: Sequence[Result]) -> Result:
    """The result of all datasets, in the order of the parts; draws that some have less of end with NaN, and what is unread stays so.

    Args:
        path: for messages.
        results: of batches, by the same engine.
    """
    first = results[0]
    origin = replace(
        first.provenance,
        timings={name: sum(r.provenance.timings.get(name, 0.0) for r in results) for name in first.provenance.timings},
    )
    return replace(
        first,
        posterior=_joined_posterior([r.posterior for r in results]),
        names=tuple(name for r in results for name in r.names or ()),
        problems={name: text for r in results for name, text in r.problems.items()},
        provenance=origin,
        objective=stacked([r.objective for r in results]),
        status=stacked([r.status for r in results]),
        trace=None if first.trace is None else stacked([r.trace for r in results if r.trace is not None]),
        **{name: _joined_field(path, [getattr(r, name) for r in results]) for name in _FIELDS},
    )


def _joined_field(path: str, values: Sequence[Any]) -> Any:
    if all(isinstance(one, Lazy) for one in values):
        return Lazy.joined(path, values)
    return {name: stacked([one[name] for one in values]) for name in values[0]}


def _joined_posterior(parts: Sequence[Posterior]) -> Posterior:
    whole: Posterior = jax.tree.map(lambda *x: jnp.concatenate(x), *(part.nameless for part in parts))
    names = tuple(name for part in parts for name in part.names or ())
    return batched(whole.density, whole.data, names, whole.guides) if names else whole
