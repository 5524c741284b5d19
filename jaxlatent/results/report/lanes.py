"""Checks of lanes: failures, divergences, disagreeing chains, too few draws, poor approximations."""

from collections.abc import Callable, Iterator

import numpy as np

from jaxlatent.diagnostics.psis import khat_threshold
from jaxlatent.errors import listed
from jaxlatent.results.fitted import Fitted
from jaxlatent.results.report.finding import Finding
from jaxlatent.results.report.view import MIXING, View
from jaxlatent.status import Status

#: Tolerated fraction of divergent transitions.
_DIVERGING = 0.001
_RHAT, _ESS_PER_CHAIN = 1.01, 100


def failures(result: Fitted) -> Iterator[Finding]:
    """Lanes with a status other than OK or CONVERGED."""
    status = np.atleast_1d(result.status)
    # UNMIXED chains are reported by `disagreements`.
    for code in sorted(Status, key=lambda code: not code.failed):
        if code in (Status.OK, Status.CONVERGED, Status.UNMIXED):
            continue
        lanes = np.flatnonzero(status == code)
        if len(lanes):
            yield Finding(
                code.name.lower().replace("_", " "),
                tuple(f"lane {lane}" for lane in lanes),
                f"{len(lanes)} of {len(status)} lanes ({listed([str(lane) for lane in lanes])}):",
                code.advice,
                fatal=code.failed and len(lanes) == len(status),
            )


def no_movement(result: Fitted) -> Iterator[Finding]:
    """Draws that are all equal."""
    if result.has_draws and not any(
        np.ptp(value) for value in result.positions.reshape(-1, result.positions.shape[-1]).T
    ):
        yield Finding(
            "no movement",
            (),
            "No lane left the point where it started: every draw is the same.",
            "Start elsewhere (`init=`), check that density and gradient are finite there, or run a longer warm-up.",
            fatal=True,
        )


def poor_fits(result: Fitted) -> Iterator[Finding]:
    """Approximations that miss the posterior, and optima found by only one restart."""
    overfit = np.flatnonzero(result.statistics.get("overfit", False))
    if len(overfit):
        lost = np.max((result.statistics["bound"] - result.objective)[overfit])
        yield Finding(
            "too few fixed draws",
            tuple(f"lane {lane}" for lane in overfit),
            f"The approximation overfits its fixed draws: on fresh ones its bound is lower, by up to {lost:.0f} nats.",
            "Raise `DADVI(num_samples=...)`, to half the number of unknowns or more.",
            fatal=len(overfit) == np.size(result.objective),
        )
        return
    khat = result.statistics.get("khat")
    if khat is not None and result.has_draws:
        limit = khat_threshold(result.positions.shape[-2])
        lanes = np.flatnonzero(np.atleast_1d(khat) > limit)
        if len(lanes):
            yield Finding(
                "bad k-hat",
                tuple(f"lane {lane}" for lane in lanes),
                f"The draws of {result.provenance.engine} do not follow the posterior: Pareto k-hat is {np.nanmax(khat):.2f}, "
                f"above {limit:.2f}. Standard deviations may be far too small.",
                "Use NUTS. If that is too slow: ADVI(family='full_rank') and DADVI() model correlations, jl.noncentred and jl.informed "
                "remove them.",
                fatal=len(lanes) == np.size(khat),
            )
            return
    restarts = np.size(result.status)
    if result.trace is not None and restarts >= 4 and int(result.agreeing()) == 1:
        yield Finding(
            "optimum found once",
            (),
            f"Only one of {restarts} restarts reached the best objective: another run may find a better one.",
            "Use more restarts, or start closer (`init=`): states and components by `result.split_and_merge`.",
        )


def divergences(view: View) -> Iterator[Finding]:
    """Divergent transitions, and the parameter region where most of them are."""
    diverging = view.result.statistics.get("diverging")
    if diverging is None or np.mean(diverging) <= _DIVERGING:
        return
    count = int(np.sum(diverging))
    ranks = np.argsort(np.argsort(view.flat, 0), 0) / diverging.size
    shift = (ranks[np.ravel(diverging)].mean(0) - 0.5) * np.sqrt(12 * count)
    part = int(np.argmax(np.abs(shift)))
    crowded = abs(shift[part]) > 4
    side = "small" if shift[part] < 0 else "large"
    yield Finding(
        "divergences",
        (view.labels[part],) if crowded else (),
        f"{count} of {diverging.size} transitions diverged"
        + (f", most of them where {view.labels[part]} is {side}" if crowded else "")
        + ": parts of the posterior were not explored, and means are biased.",
        "If it is the scale of some effects, a funnel: wrap the prior of the effects in jl.noncentred(...) or jl.informed(...). Otherwise "
        "raise target_accept (0.95, 0.99).",
    )


def disagreements(view: View) -> Iterator[Finding]:
    """Chains that sample different distributions, with the reason if it is known."""
    apart = np.flatnonzero(~view.mixing)
    below, what_to_do = _below(view)
    if view.switching:
        names = ", ".join(f'"{name}": (0,)' for name in view.switching[:3])
        yield Finding(
            "label switching",
            view.switching,
            f"The chains agree on {listed(view.switching)} up to the order of the components: averages over draws mix them.",
            f"Relabel them with jaxlatent.diagnostics.relabel(result.params, {{{names}}}), or order a prior with jl.ordered(...).",
        )
        apart = np.array([i for i in apart if view.names[i] not in view.switching], int)
    if not len(apart):
        return
    lone = _lone_chain(view, apart)
    if lone is not None:
        yield Finding(
            "stuck chain",
            (f"chain {lone}", *(view.labels[i] for i in apart)),
            f"Chain {lone} is apart from the others, which agree: it is stuck, or in another mode. {_worst(view, apart)}{below}",
            what_to_do
            or "Run more chains to see how often this happens, start them elsewhere (`init=`), or reparameterise to a single mode.",
        )
        return
    yield Finding(
        "chains disagree",
        tuple(view.labels[i] for i in apart),
        f"The chains sample different distributions. {_worst(view, apart)}{below}",
        what_to_do
        or "Run a longer warm-up and more draws; if that does not help, the posterior is multimodal or has a direction that the "
        "data do not identify: look at a trace.",
    )


def too_few_draws(view: View) -> Iterator[Finding]:
    """Parameters with too small an effective sample size."""
    chains, draws = view.draws.shape[:2]
    wanted = _ESS_PER_CHAIN * chains
    few = np.flatnonzero(view.mixing & ((view.ess < wanted) | (view.r_hat > _RHAT)))
    few = np.array([i for i in few if view.names[i] not in view.switching], int)
    if not len(few):
        return
    least = few[np.argmin(view.ess[few])]
    seen = f"{view.labels[least]} has an effective sample size of {view.ess[least]:.0f} and an R-hat of {view.r_hat[least]:.3f}"
    if view.ess[least] < MIXING * chains * draws:
        remedy = "Draws are strongly autocorrelated: reparameterise (jl.informed, jl.noncentred, centred predictors) rather than draw more."
    else:
        more = max(wanted / view.ess[least], 2.0)
        remedy = f"Use about {int(np.ceil(draws * more / 100)) * 100} draws per chain."
    yield Finding(
        "too few draws",
        tuple(view.labels[i] for i in few),
        f"{seen}; {wanted} and {_RHAT} are good" + (f" (and so for {len(few) - 1} more)" if len(few) > 1 else "") + ".",
        remedy,
    )


def _worst(view: View, apart: np.ndarray) -> str:
    worst = apart[np.argmax(np.nan_to_num(view.r_hat[apart], nan=np.inf))]
    return f"R-hat is {view.r_hat[worst]:.2f} for {view.labels[worst]} (1.01 is good)."


def _below(view: View) -> tuple[str, str]:
    """A note on chains with a log density far below that of the best, and the remedy; empty strings if none is."""
    lp = view.result.statistics.get("lp")
    if lp is None:
        return "", ""
    nats = np.max(lp.mean(1)) - lp.mean(1)
    # In equilibrium the standard deviation of the log density is about sqrt(dim / 2), and less for means of chains.
    low = np.flatnonzero(nats > 5 + 3 * np.sqrt(view.result.positions.shape[-1] / 2))
    if not len(low):
        return "", ""
    deep = listed([f"chain {view.chains[i]} is {nats[i]:.0f} nats" for i in low])
    return (
        f" On average, the log density of {deep} below that of the best chain: there is almost no posterior mass there.",
        "Start all chains where the best one ended, `jl.fit(..., init=result.best())`, and see whether they stay; if they do not, "
        "use a longer warm-up or reparameterise.",
    )


def _lone_chain(view: View, apart: np.ndarray) -> int | None:
    """The chain without which the others agree, if any."""
    chains = view.draws.shape[0]
    if chains < 3:
        return None
    draws = view.draws[..., apart]
    spread: Callable[[np.ndarray], float] = lambda x: np.max(np.ptp(x.mean(1), 0) / np.maximum(x.std((0, 1)), 1e-300))
    without = [spread(np.delete(draws, chain, 0)) for chain in range(chains)]
    best = int(np.argmin(without))
    return int(view.chains[best]) if without[best] < 0.5 and without[best] < 0.25 * spread(draws) else None
