"""Starting positions of a fit: given by the user, taken from an earlier result, or random; with errors where none is valid."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxlatent.errors import InputError
from jaxlatent.execute import programs
from jaxlatent.execute.explain import explain_start
from jaxlatent.execute.grid import Grid, on_host
from jaxlatent.execute.quarantine import Quarantine
from jaxlatent.posterior.posterior import Posterior
from jaxlatent.posterior.shapes import shapes_of
from jaxlatent.posterior.support import explain_support
from jaxlatent.results.result import Result
from jaxlatent.status import Status
from jaxlatent.typing import Array, Params


def find_starts(
    grid: Grid,
    posterior: Posterior,
    keys: Array,
    init: Mapping[str, Any] | Result | None,
    quarantine: Quarantine,
    datasets: np.ndarray,
    whole: int,
) -> Array:
    """Starting positions ``(dataset, lane, dim)`` with a finite density; datasets without any are quarantined, with the reason.

    Args:
        grid: of the fit.
        posterior: on its devices.
        keys: ``(dataset, lane)``.
        init: see `jaxlatent.fit`; of all datasets.
        quarantine: of the datasets of the grid.
        datasets: indices of these in the whole batch.
        whole: number of datasets in the whole batch.
    """
    if init is None:
        positions, found, inside = programs.find_starts(grid, posterior, keys)
    else:
        positions, found, inside = programs.place_starts(
            grid, posterior, grid.put(grid.fill(_spread(grid, posterior, init, datasets, whole), 2), 2)
        )
    # Supports may depend on parameters: only values outside the support at every start are an error.
    outside = {name: np.logical_not(on_host(fits).any(1)) for name, fits in inside.items()}
    no_start = np.logical_not(on_host(found).any(1))
    for dataset in np.flatnonzero(~quarantine.bad).tolist():
        label = "" if quarantine.names is None else f"dataset {quarantine.names[dataset]!r}, "
        name = next((name for name in outside if outside[name][dataset]), None)
        if name is not None:
            one = posterior.one(dataset)
            quarantine.add(dataset, explain_support(one, one.constrain(positions[dataset, 0]), name, label))
        elif no_start[dataset] and init is None:
            problem = explain_start(posterior.one(dataset), jax.random.fold_in(keys[dataset, 0], 0), label)
            quarantine.add(dataset, problem, Status.NON_FINITE)
        elif no_start[dataset]:
            problem = InputError(
                f"{label}fit(init=...)",
                got="values whose log density is not finite",
                expected="named, constrained values inside every support",
                remedy="check them with `jl.condition(model, data).log_density(...)`.",
            )
            quarantine.add(dataset, problem, Status.NON_FINITE)
    return positions


def _spread(
    grid: Grid, posterior: Posterior, init: Mapping[str, Any] | Result, datasets: np.ndarray, whole: int
) -> dict[str, np.ndarray]:
    """Starting values by name, leading with ``(dataset, lane)``."""
    if isinstance(init, Result):
        init = _last(init, grid.lanes)
    if not isinstance(init, Mapping):
        raise InputError(
            "fit(init=...)",
            got=type(init).__name__,
            expected="a dict of values by name, or a jaxlatent.Result",
            remedy="leave it out: each restart of a ready family starts from clusters or windows of its own.",
        )
    one = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), posterior.nameless)
    shapes = shapes_of(one)[0]
    if init.keys() != shapes.keys():
        missing, unknown = sorted(shapes.keys() - init.keys()), sorted(init.keys() - shapes.keys())
        raise InputError(
            "fit(init=...)",
            got=f"values for {sorted(init)}",
            expected=f"a value for every parameter and nothing else: {sorted(shapes)}",
            remedy=f"add {', '.join(missing) or 'nothing'}; remove {', '.join(unknown) or 'nothing'}.",
        )
    own = (whole, grid.lanes)
    spread = {}
    for name, shape in shapes.items():
        value = np.asarray(init[name])
        try:
            spread[name] = np.broadcast_to(value, (*own, *shape.shape))[datasets]
        except ValueError:
            raise InputError(
                f"fit(init=...) for {name!r}",
                got=f"shape {value.shape}",
                expected=f"shape {shape.shape}, alone or after (lane,) or (dataset, lane) = {own}",
                remedy="give one value for all lanes, or one for each.",
            ) from None
    return spread


def _last(result: Result, lanes: int) -> dict[str, np.ndarray]:
    """Where an earlier fit ended: the best point, or the last draw of each chain, cycling if there are fewer chains than lanes."""
    if not result.has_draws:
        # From positions: parameters of EM may lie on the boundary of the support, where no other engine can start.
        best = result.best()
        constrain: Callable[[Posterior, Array], Params] = lambda p, x: p.constrain(x)
        constrain = constrain if result.names is None else jax.vmap(constrain)
        points = jax.tree.map(np.asarray, constrain(best.posterior, jnp.asarray(best.positions)))
        return points if result.names is None else {name: value[:, None] for name, value in points.items()}
    chain = result.leading.index("chain")
    last = {name: np.take(value, -1, axis=chain + 1) for name, value in result.params.items()}
    return {name: np.take(value, np.arange(lanes) % value.shape[chain], axis=chain) for name, value in last.items()}
