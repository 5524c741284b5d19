"""ArviZ's figures of a fit, for ArviZ 0.x and 1.x."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.text import Text

from jaxlatent._compat.arviz import is_former_arviz
from jaxlatent.errors import InputError, did_you_mean, require
from jaxlatent.plots._common import parts
from jaxlatent.plots.style import FONT_SIZE, style
from jaxlatent.results.container import inference_data
from jaxlatent.results.result import Result


def checks(
    result: Result, seed: int, names: Sequence[str] | None = None, only: Sequence[str] | None = None
) -> dict[str, Figure]:
    """ArviZ's figures to check the Markov chains of a fit, of one dataset with one observed variable.

    ``trace``, ``autocorrelation`` and ``rank`` (mixing of chains), ``energy`` (exploration of tails), ``pairs`` with divergences,
    ``forest``, ``predictive`` and ``intervals`` (predictive draws and data), ``loo_pit`` (calibration), ``pareto_k`` (influential
    observations).

    Args:
        result: of an engine that draws chains.
        seed: of the predictive draws.
        names: of the parameters shown; by default the scalar ones, or all if there are fewer than two.
        only: names of figures; all by default.

    Returns:
        Figures by name, for the caller to save and close.

    Raises:
        InputError: if there are no chains, several datasets or observed variables, or no such parameter or figure.
    """
    scalars = [name for name, value in result.params.items() if value.ndim == 2]
    shown = list(names) if names is not None else scalars if len(scalars) > 1 else list(result.params)
    labels = [label for name in shown for label in parts(result, name)[0]]
    observed = list(result.log_likelihood())
    require(
        len(observed) == 1 and "energy" in result.statistics,
        "plots.checks",
        got=f"a fit by {result.provenance.engine} with {len(observed)} observed variables",
        expected="chains of a Hamiltonian sampler, such as NUTS, and one observed variable",
        remedy="draw ArviZ's figures one by one from result.to_arviz(predictions=seed).",
    )
    idata: Any = result.to_arviz(predictions=seed)
    named = {"var_names": shown}
    figures = (
        _former(idata, named, observed[0], len(labels))
        if is_former_arviz()
        else _latter(idata, named, observed[0], len(labels))
    )
    for name in only or ():
        if name not in figures:
            raise InputError(
                "plots.checks(only=...)",
                got=repr(name),
                expected=f"names among {list(figures)}",
                remedy=did_you_mean(name, figures),
            )
    return {name: _figure(figures[name]) for name in only or figures}


def _arviz() -> Any:
    """ArviZ, imported lazily since it is slow, and untyped since signatures differ between versions."""
    import arviz

    return arviz


def _former(idata: Any, named: dict[str, Any], observed: str, panels: int) -> dict[str, Callable[[], Any]]:
    """The figures of ArviZ 0.x, which draws predictive intervals as a forest."""
    az = _arviz()
    several: dict[str, Any] = {
        **named,
        "figsize": (9, 1 + 2 * math.ceil(panels / 3)),
        "grid": (math.ceil(panels / 3), min(panels, 3)),
    }
    return {
        "trace": lambda: az.plot_trace(idata, **named),
        "autocorrelation": lambda: az.plot_autocorr(idata, combined=True, textsize=9, max_lag=40, **several),
        "rank": lambda: az.plot_rank(idata, **several),
        "energy": lambda: az.plot_energy(idata),
        "pairs": lambda: az.plot_pair(idata, divergences=True, textsize=8, figsize=(2 + panels, 2 + panels), **named),
        "forest": lambda: az.plot_forest(idata, combined=True, **named),
        "predictive": lambda: az.plot_ppc(idata, num_pp_samples=50),
        "intervals": lambda: _predictive_forest(idata, observed),
        "loo_pit": lambda: az.plot_loo_pit(_of_seen(idata, observed), y=observed),
        "pareto_k": lambda: az.plot_khat(az.loo(idata, pointwise=True)),
    }


def _of_seen(idata: Any, observed: str) -> Any:
    """The groups of leave-one-out, all of observed values alone where some are masked, as log_likelihood is."""
    import xarray as xr

    axis, terms = f"{observed}_seen", idata["log_likelihood"]
    if axis not in terms.dims:
        return idata
    there = ~np.isnan(idata["observed_data"][observed].values)

    def cut(group: str, leading: tuple[str, ...]) -> Any:
        values = idata[group][observed].values[..., there]
        return xr.Dataset({observed: ((*leading, axis), values)}, {axis: terms[axis].values})

    whole = {group: xr.Dataset(idata[group].data_vars) for group in ("posterior", "log_likelihood")}
    data = {
        "observed_data": cut("observed_data", ()),
        "posterior_predictive": cut("posterior_predictive", ("chain", "draw")),
    }
    return inference_data({**whole, **data})


def _predictive_forest(idata: Any, observed: str) -> None:
    az = _arviz()
    (ax,) = az.plot_forest(idata.posterior_predictive, var_names=[observed], combined=True)
    rows = sorted(ax.get_yticks(), reverse=True)
    ax.plot(idata.observed_data[observed].values.ravel(), rows, "k.", zorder=3, label="observed")
    ax.legend()


def _latter(idata: Any, named: dict[str, Any], observed: str, panels: int) -> dict[str, Callable[[], Any]]:
    """The figures of ArviZ 1.x."""
    az = _arviz()

    def pairs() -> None:
        with az.rc_context({"plot.max_subplots": panels**2}):
            az.plot_pair(idata, visuals={"divergence": True}, **named)

    return {
        "trace": lambda: az.plot_trace_dist(idata, **named),
        "autocorrelation": lambda: az.plot_autocorr(idata, **named),
        "rank": lambda: az.plot_rank(idata, **named),
        "energy": lambda: az.plot_energy(idata),
        "pairs": pairs,
        "forest": lambda: az.plot_forest(idata, combined=True, **named),
        "predictive": lambda: az.plot_ppc_dist(idata),
        "intervals": lambda: az.plot_ppc_interval(idata),
        "loo_pit": lambda: az.plot_loo_pit(_of_seen(idata, observed)),
        "pareto_k": lambda: az.plot_khat(az.loo(idata, pointwise=True)),
    }


def _figure(draw: Callable[[], Any]) -> Figure:
    """The figure made by a call, whose return type differs between functions."""
    before = set(plt.get_fignums())
    with style():
        draw()
    (made,) = set(plt.get_fignums()) - before
    figure: Figure = plt.figure(made)
    figure.set_layout_engine("constrained")  # keeps labels from being cut off
    for text in figure.findobj(Text):
        text.set_fontsize(FONT_SIZE)  # ArviZ's grow with the figure
    for ax in figure.axes:
        ax.tick_params(labelsize=FONT_SIZE)
    return figure
