"""WAIC and LOO of every dataset of a batch: one program for all datasets with equally many draws, whatever their lengths."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from jaxlatent._compat.compiled import compiled
from jaxlatent.data.arrays import split
from jaxlatent.diagnostics import InformationCriterion
from jaxlatent.diagnostics.information import flatten_log_likelihood
from jaxlatent.diagnostics.loo import loo_from_pointwise, loo_pointwise
from jaxlatent.diagnostics.waic import waic_from_pointwise, waic_pointwise
from jaxlatent.distributions.factor import Factor
from jaxlatent.latent import counted, unit_shape
from jaxlatent.masks import widen
from jaxlatent.posterior.posterior import Posterior
from jaxlatent.results import predictive
from jaxlatent.typing import AnyArray, Array, Params

if TYPE_CHECKING:
    import pandas as pd

Kind: TypeAlias = Literal["waic", "loo"]

#: The most numbers of a log likelihood that are held at once.
_BLOCK = 2**24
_COLUMNS = ("elpd", "se", "p", "n_observations", "n_samples", "n_unreliable")


def each(
    posterior: Posterior, params: dict[str, np.ndarray], made: np.ndarray, kind: Kind
) -> list[InformationCriterion | None]:
    """The criterion of every dataset; None for those without draws.

    Args:
        posterior: data lead with ``dataset``.
        params: lead with ``(dataset, chain, draw)``.
        made: the number of draws of each chain, ``(dataset,)``; 0 for datasets that are left out.
        kind: of the criterion.
    """
    found: list[InformationCriterion | None] = [None] * len(made)
    chains = next(iter(params.values())).shape[1]
    for draws in np.unique(made[made * chains > 1]).tolist():
        members = np.flatnonzero(made == draws)
        size = sum(term.size for term in terms(*_rows(posterior, params, members[:1], draws)).values())
        for rows in _blocks(members, size):
            criteria = _criteria(*_rows(posterior, params, rows, draws), kind)
            for row, criterion in zip(rows.tolist(), criteria, strict=True):
                found[row] = criterion
    return found


def table(names: Sequence[Any], criteria: Sequence[InformationCriterion | None]) -> "pd.DataFrame":
    """A table with one row a dataset, of NaN where there is no criterion."""
    import pandas as pd

    rows = [[np.nan if one is None else getattr(one, column) for column in _COLUMNS] for one in criteria]
    frame = pd.DataFrame(rows, pd.Index(names, name="dataset", tupleize_cols=False), _COLUMNS, float)
    counts = [column for column in _COLUMNS if column.startswith("n_")]
    return frame if any(one is None for one in criteria) else frame.astype(dict.fromkeys(counts, int))


def terms(posterior: Posterior, params: dict[str, np.ndarray]) -> dict[str, jax.ShapeDtypeStruct]:
    """The shapes of the log likelihood by observation; empty for a bare log density."""
    shapes: dict[str, jax.ShapeDtypeStruct] = jax.eval_shape(
        lambda *both: predictive.log_likelihood(*both, True), posterior, params
    )
    return shapes


def seen(observation: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Which terms of the log likelihood are of observed values, of the ``shape`` of the terms.

    A sequence is one term, observed if any of its steps is.
    """
    mask = split(observation)[1]
    if mask is None:
        return np.ones(shape, bool)
    any_seen = np.asarray(mask).reshape(*mask.shape[: len(shape)], -1).any(-1)
    return np.broadcast_to(widen(any_seen, len(shape)), shape)


@compiled()
def contents(posterior: Posterior, params: Params) -> dict[str, Array]:
    """Number and sum of the values of each term of the log likelihood, ``(dataset, *terms, 2)``; empty for a bare log density.

    Args:
        posterior: data lead with ``dataset``.
        params: lead with ``dataset``.
    """

    def one(posterior: Posterior, params: Params) -> dict[str, Array]:
        density, data = posterior.density, posterior.data
        shapes = {name: term.shape for name, term in density.log_likelihood(params, data).items()}
        found = {}
        for name, d in density.observed(params, data).items():
            observation = density.observation(name, params, data)
            if observation is None or isinstance(d, Factor):
                continue
            units, own = unit_shape(d), counted(d, observation)
            values = jnp.asarray(split(observation)[0], jnp.result_type(float))
            if values.shape[: len(units)] != units:  # a distribution of NumPyro that broadcasts to its observation
                continue
            values = values.reshape(*units, -1)
            own = jnp.ones(units, bool) if own is None else own.reshape(*units, -1).any(-1)
            both = jnp.stack([own.astype(values.dtype), jnp.sum(jnp.where(own[..., None], values, 0), -1)], -1)
            found[name] = jnp.sum(both.reshape(*shapes[name], -1, 2), -2)
        return found

    return jax.vmap(one)(posterior, params)


def _rows(
    posterior: Posterior, params: dict[str, np.ndarray], rows: np.ndarray, draws: int
) -> tuple[Posterior, dict[str, np.ndarray]]:
    """Some of the datasets, with the first draws of each chain; on the host, where picking compiles nothing."""
    picked: Posterior = jax.tree.map(lambda x: np.asarray(x)[rows], posterior)
    return picked, {name: np.asarray(x)[rows, :, :draws] for name, x in params.items()}


def _blocks(members: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """Datasets in blocks of one size, so that one program serves them all; the last block ends with copies."""
    block = min(len(members), max(1, _BLOCK // max(size, 1)))
    for start in range(0, len(members), block):
        own = members[start : start + block]
        yield np.append(own, np.repeat(own[-1], block - len(own)))


def _criteria(posterior: Posterior, params: dict[str, np.ndarray], kind: Kind) -> list[InformationCriterion]:
    pointwise = _pointwise(posterior, params, kind)
    first = {name: x[:, 0, 0] for name, x in params.items()}
    observations = predictive.observations(posterior, first, tuple(pointwise))
    flat: Callable[[AnyArray], np.ndarray] = lambda x: np.asarray(x).reshape(len(x), -1)
    counted = np.concatenate([flat(seen(observations[name], parts[0].shape)) for name, parts in pointwise.items()], 1)
    columns = [np.concatenate([flat(x) for x in parts], 1) for parts in zip(*pointwise.values(), strict=True)]
    chains, draws = next(iter(params.values())).shape[1:3]
    build: Callable[..., InformationCriterion] = waic_from_pointwise if kind == "waic" else loo_from_pointwise
    return [build(chains * draws, *(x[i][own] for x in columns)) for i, own in enumerate(counted)]


@compiled("kind")
def _pointwise(posterior: Posterior, params: Params, kind: Kind) -> dict[str, tuple[Array, ...]]:
    """By observation what `waic_pointwise` or `loo_pointwise` returns, each ``(dataset, *terms)``."""
    compute: Callable[[Array], tuple[Array, ...]] = waic_pointwise if kind == "waic" else loo_pointwise

    def one(term: Array) -> tuple[Array, ...]:
        return tuple(x.reshape(term.shape[2:]) for x in compute(flatten_log_likelihood(term)))

    pointwise = predictive.log_likelihood(posterior, params, True)
    return {name: jax.vmap(one)(term) for name, term in pointwise.items()}
