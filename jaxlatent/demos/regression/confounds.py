"""Gallery: control for mediators, confounders and colliders.

The question is always by how much ``y`` changes if ``x`` increases by one. Which regression answers it depends on the causal graph,
not on the data alone.
"""

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import numpyro.distributions as dist

import jaxlatent as jl
from jaxlatent.demos.regression.figures import graph, intervals
from jaxlatent.demos.regression.page import Page, plus_minus

NUTS = jl.NUTS(chains=4, warmup=500, draws=500)
ROWS = 500

#: A slope for each column of ``x``, however many there are: every regression below is this model.
regression = jl.Model(
    prior={
        "intercept": dist.Normal(0.0, 10.0),
        "slope": lambda p, d: dist.Normal(0.0, 10.0).expand(d.x.shape[1:]).to_event(1),
        "sigma": dist.Exponential(1.0),
    },
    likelihood=lambda p, d: {"y": dist.Normal(p.intercept + d.x @ p.slope, p.sigma)},
    dims={"slope": ("predictor",)},
    name="regression",
)


def pipe(page: Page) -> dict[str, Any]:
    """x works only through the mediator m."""
    rng = np.random.default_rng(page.seed)
    x = rng.normal(size=ROWS)
    m = 0.8 * x + rng.normal(size=ROWS)
    y = 1.5 * m + rng.normal(size=ROWS)

    fits = {"y ~ x": _regress(page, y, x=x), "y ~ x + m": _regress(page, y, x=x, m=m)}
    effects = _compare(page, fits, 1.2, {("x", "m"): 0.8, ("m", "y"): 1.5})
    left, held = effects["y ~ x"], effects["y ~ x + m"]
    page.say(
        f"A unit of x raises m by 0.8 and thereby y by 1.2. Left alone, the regression on x finds {plus_minus(left)}. With m in "
        f"it, it asks what x does to y while m is held still, and answers {plus_minus(held)}; in truth nothing, for x has no "
        "other way to y. That is right too, but answers another question: to read it as the effect of x throws a good treatment away."
    )
    return {"fits": fits, "truth": 1.2}


def path(page: Page) -> dict[str, Any]:
    """x works both directly and through m: one model of both, with a likelihood for each."""
    model = jl.Model(
        prior={
            "x_to_m": dist.Normal(0.0, 10.0),
            "x_to_y": dist.Normal(0.0, 10.0),
            "m_to_y": dist.Normal(0.0, 10.0),
            "intercept": dist.Normal(0.0, 10.0).expand([2]).to_event(1),
            "sigma": dist.Exponential(1.0).expand([2]).to_event(1),
        },
        likelihood=lambda p, d: {
            "m": dist.Normal(p.intercept[0] + p.x_to_m * d.x, p.sigma[0]),
            "y": dist.Normal(p.intercept[1] + p.x_to_y * d.x + p.m_to_y * d.m, p.sigma[1]),
        },
        derived=lambda p, d: {"indirect": p.x_to_m * p.m_to_y, "total": p.x_to_y + p.x_to_m * p.m_to_y},
        name="path",
    )
    truth = {"x_to_m": 0.8, "x_to_y": -0.5, "m_to_y": 1.5, "indirect": 1.2, "total": 0.7}
    rng = np.random.default_rng(page.seed)
    x = rng.normal(size=ROWS)
    m = 0.8 * x + rng.normal(size=ROWS)
    y = -0.5 * x + 1.5 * m + rng.normal(size=ROWS)

    fit = jl.fit(model, {"x": x, "m": m, "y": y}, NUTS, page.seed)
    page.posterior(fit, truth)
    alone = _regress(page, y, x=x).params["slope"][..., 0]
    effects = {
        "direct": fit.params["x_to_y"],
        "indirect, through m": fit.derived["indirect"],
        "total": fit.derived["total"],
        "total, by y ~ x": alone,
    }
    truths = {label: truth[name] for label, name in zip(effects, ("x_to_y", "indirect", "total", "total"), strict=True)}
    page.contrast("effect of x on y, by its ways", effects, truths)
    page.say(
        f"x lowers y directly ({plus_minus(effects['direct'])}) and raises it through m ({plus_minus(effects['indirect, through m'])}), a "
        f"product of two slopes of which each draw has its own. The sum of both, {plus_minus(effects['total'])}, is what y ~ x finds too "
        f"({plus_minus(alone)}); only the model of the whole path tells that it is the sum of opposites."
    )
    _figure(page, effects, list(truths.values()), {("x", "m"): 0.8, ("m", "y"): 1.5, ("x", "y"): -0.5})
    return {"fit": fit, "alone": alone, "truth": truth}


def fork(page: Page) -> dict[str, Any]:
    """z is a cause of both x and y."""
    rng = np.random.default_rng(page.seed)
    z = rng.normal(size=ROWS)
    x = z + rng.normal(size=ROWS)
    y = 0.5 * x - 1.5 * z + rng.normal(size=ROWS)

    fits = {"y ~ x": _regress(page, y, x=x), "y ~ x + z": _regress(page, y, x=x, z=z)}
    effects = _compare(page, fits, 0.5, {("z", "x"): 1.0, ("z", "y"): -1.5, ("x", "y"): 0.5})
    ignored, controlled = effects["y ~ x"], effects["y ~ x + z"]
    page.say(
        f"z raises x and lowers y. Left out, its work is put down to x: the slope is {plus_minus(ignored)}, and more data would only "
        f"make this sharper. In the regression, z lets x be compared among equals: {plus_minus(controlled)}, in truth 0.50."
    )
    return {"fits": fits, "truth": 0.5}


def collider(page: Page) -> dict[str, Any]:
    """x and y have nothing to do with each other; both are causes of c."""
    rng = np.random.default_rng(page.seed)
    x = rng.normal(size=ROWS)
    y = rng.normal(size=ROWS)
    c = x + y + 0.7 * rng.normal(size=ROWS)

    fits = {"y ~ x": _regress(page, y, x=x), "y ~ x + c": _regress(page, y, x=x, c=c)}
    effects = _compare(page, fits, 0.0, {("x", "c"): 1.0, ("y", "c"): 1.0})
    excluded, included = effects["y ~ x"], effects["y ~ x + c"]
    page.say(
        f"x does nothing to y, and y ~ x finds just that: {plus_minus(excluded)}. Among rows of equal c, however, a small x must have come "
        f"with a large y, or c would not be what it is. So with c in the regression x seems to lower y by {plus_minus(-included)}. "
        f"The fit is even better for it (residual sd {fits['y ~ x + c'].params['sigma'].mean():.2f} instead of "
        f"{fits['y ~ x'].params['sigma'].mean():.2f}): prediction gains from c, and the causal answer is lost."
    )
    return {"fits": fits, "truth": 0.0}


def pipe_and_collider(page: Page) -> dict[str, Any]:
    """x works through m; both x and y are causes of c."""
    rng = np.random.default_rng(page.seed)
    x = rng.normal(size=ROWS)
    m = 0.8 * x + rng.normal(size=ROWS)
    y = 1.5 * m + rng.normal(size=ROWS)
    c = x + y + rng.normal(size=ROWS)

    fits = {
        "y ~ x": _regress(page, y, x=x),
        "y ~ x + m": _regress(page, y, x=x, m=m),
        "y ~ x + c": _regress(page, y, x=x, c=c),
        "y ~ x + m + c": _regress(page, y, x=x, m=m, c=c),
    }
    effects = _compare(page, fits, 1.2, {("x", "m"): 0.8, ("m", "y"): 1.5, ("x", "c"): 1.0, ("y", "c"): 1.0})
    page.say(
        f"Only y ~ x answers the question ({plus_minus(effects['y ~ x'])}, in truth 1.20). m takes the effect away "
        f"({plus_minus(effects['y ~ x + m'])}), c distorts it ({plus_minus(effects['y ~ x + c'])}), and both together leave "
        f"{plus_minus(effects['y ~ x + m + c'])}. More control is not more caution: both m and c come after x."
    )
    return {"fits": fits, "truth": 1.2}


def _regress(page: Page, y: np.ndarray, **predictors: np.ndarray) -> jl.Result:
    """Regress ``y`` on the named predictors; two regressions on equally many share one compiled program."""
    data = {"y": y, "x": np.stack(list(predictors.values()), 1)}
    return jl.fit(regression, data, NUTS, page.seed, coords={"predictor": list(predictors)})


def _compare(
    page: Page, fits: Mapping[str, jl.Result], truth: float, arrows: Mapping[tuple[str, str], float]
) -> dict[str, np.ndarray]:
    """Print and draw the slope of x in each regression and the truth, and return its draws."""
    effects = {label: fit.params["slope"][..., 0] for label, fit in fits.items()}
    page.contrast("effect of x on y", effects, dict.fromkeys(effects, truth))
    _figure(page, effects, [truth] * len(effects), arrows)
    return effects


def _figure(
    page: Page, effects: Mapping[str, np.ndarray], truth: list[float], arrows: Mapping[tuple[str, str], float]
) -> None:
    names = {name for arrow in arrows for name in arrow}
    places = {"x": (0.0, 0.0), "y": (2.0, 0.0), "m": (1.0, 1.0), "z": (1.0, 1.0), "c": (1.0, -1.0)}
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.0, 2.8), layout="constrained", width_ratios=(2, 3))
    graph(left, {name: place for name, place in places.items() if name in names}, arrows)
    left.set_title("what causes what")
    intervals(right, effects, truth, "effect of x on y")
    right.axvline(0.0, color="black", linewidth=0.6)
    figure.legend(*right.get_legend_handles_labels(), loc="outside upper right", ncols=2)
    page.figure(figure)
