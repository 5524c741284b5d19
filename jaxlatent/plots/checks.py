"""ArviZ's figures of a fit, by one name whatever its version."""

from collections.abc import Callable, Sequence
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from jaxlatent.errors import require
from jaxlatent.plots._common import parts
from jaxlatent.results import Result


def checks(result: Result, seed: int, names: Sequence[str] | None = None) -> dict[str, Figure]:
    """The figures that ArviZ has for judging a fit by NUTS, of one dataset with one observed variable.

    ``predictive`` (draws beside data) and, with ArviZ 1.x, ``intervals``; ``loo_pit`` (are predictions calibrated?), ``pareto_k`` (which
    rows are influential?), ``rank`` (do chains agree?), ``energy`` (are tails reached?), ``pairs`` with divergences, ``forest``.

    Args:
        result: of an engine that draws chains.
        seed: of the predictive draws.
        names: of the parameters in ranks, pairs and forest; by default those of one number, or all if there are fewer than two.

    Returns:
        Figures by name, to be saved or closed by the caller.

    Raises:
        InputError: if there are no chains, several datasets or observed variables, or no such parameter.
    """
    import arviz

    az: Any = arviz  # its two lines have other signatures

    scalars = [name for name, value in result.params.items() if value.ndim == 2]
    shown = list(names) if names is not None else scalars if len(scalars) > 1 else list(result.params)
    for name in shown:
        parts(result, name)
    observed = list(result.log_likelihood())
    require(
        len(observed) == 1 and "energy" in result.statistics,
        "plots.checks",
        got=f"a fit by {result.provenance.engine} with {len(observed)} observed variables",
        expected="chains of NUTS and one observed variable",
        remedy="draw ArviZ's figures one by one from result.to_arviz(predictions=seed).",
    )
    idata: Any = result.to_arviz(predictions=seed)
    named: dict[str, Any] = {"var_names": shown}
    figures: dict[str, Callable[[], Any]] = {
        "pareto_k": lambda: az.plot_khat(az.loo(idata, pointwise=True)),
        "rank": lambda: az.plot_rank(idata, **named),
        "energy": lambda: az.plot_energy(idata),
    }
    if az.__version__.startswith("0."):
        figures |= {
            "predictive": lambda: az.plot_ppc(idata, num_pp_samples=50),
            "loo_pit": lambda: az.plot_loo_pit(idata, y=observed[0]),
            "pairs": lambda: az.plot_pair(idata, divergences=True, **named),
            "forest": lambda: az.plot_forest(idata, combined=True, **named),
        }
    else:
        figures |= {
            "predictive": lambda: az.plot_ppc_dist(idata),
            "intervals": lambda: az.plot_ppc_interval(idata),
            "loo_pit": lambda: az.plot_loo_pit(idata),
            "pairs": lambda: az.plot_pair(idata, visuals={"divergence": True}, **named),
            "forest": lambda: az.plot_forest(idata, combined=True, **named),
        }
    return {name: _figure(draw) for name, draw in figures.items()}


def _figure(draw: Callable[[], Any]) -> Figure:
    """The figure that a call makes: what such calls return is an axes, an array of them, or a collection."""
    before = set(plt.get_fignums())
    draw()
    (made,) = set(plt.get_fignums()) - before
    return plt.figure(made)
