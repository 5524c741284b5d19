"""`calibrate`: simulation-based calibration, with all simulations in one program."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import chdtrc

from jaxlatent.data.arrays import Masked, as_data
from jaxlatent.data.batches import Batch
from jaxlatent.engines.base import Engine
from jaxlatent.errors import InputError, require
from jaxlatent.execute.fit import fit
from jaxlatent.keys import Purpose, key_for
from jaxlatent.model.model import Model
from jaxlatent.results.prior import sample_prior
from jaxlatent.results.result import Result
from jaxlatent.results.summary import joined, labels
from jaxlatent.selection.arguments import check_model, check_options
from jaxlatent.selection.assumptions import check_uncensored
from jaxlatent.typing import Array, Data, Key, Params

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, repr=False)
class Calibration:
    """The ranks of true values among posterior draws.

    Attributes:
        ranks: by parameter and derived quantity ``(simulation, ...)``, from 0 to ``draws``: number of draws below the truth.
        draws: number of draws compared in each simulation.
        truth: the values drawn from the prior, ``(simulation, ...)``.
        result: all fits.
    """

    ranks: dict[str, np.ndarray] = field(repr=False)
    draws: int
    truth: dict[str, np.ndarray] = field(repr=False)
    result: Result = field(repr=False)

    @property
    def table(self) -> "pd.DataFrame":
        """A row a quantity: the mean of its ranks as a fraction of ``draws``, 0.5 if they are uniform, and the p-value of `pvalues`.

        It has ten bins, or fewer where there are not five simulations for each.
        """
        import pandas as pd

        simulations = len(next(iter(self.ranks.values())))
        found = self.pvalues(max(2, min(10, simulations // 5, self.draws + 1)))
        known = {**self.result.params, **self.result.derived}
        rows = [label for name in self.ranks for label in labels(self.result, name, known[name])]
        means = {name: ranks.mean(0) / self.draws for name, ranks in self.ranks.items()}
        return pd.DataFrame({"mean_rank": joined(means, 0), "pvalue": joined(found, 0)}, pd.Index(rows))

    def __str__(self) -> str:
        simulations, table = len(next(iter(self.ranks.values()))), self.table
        least = min(1.0, table["pvalue"].min() * len(table))
        return (
            f"{simulations} simulations; ranks of the truth among {self.draws} draws, uniform if model and engine are correct\n"
            f"{table.to_string(float_format='{:.4f}'.format)}\n"
            f"least p-value, times the number of rows: {least:.4f}"
        )

    __repr__ = __str__

    def pvalues(self, bins: int = 10) -> dict[str, np.ndarray]:
        """p-values of a chi-squared test of uniform ranks, for every entry of every quantity.

        Args:
            bins: number of bins of about equal numbers of ranks; the test needs at least five simulations per bin.
        """
        require(
            2 <= bins <= self.draws + 1,
            "pvalues(bins=...)",
            got=bins,
            expected=f"2 to {self.draws + 1}, the number of ranks",
        )
        edges = np.linspace(0, self.draws + 1, bins + 1).round()
        share = np.diff(edges) / (self.draws + 1)

        def test(ranks: np.ndarray) -> np.ndarray:
            flat = ranks.reshape(len(ranks), -1)
            counts = np.stack([np.histogram(column, edges)[0] for column in flat.T])
            expected = len(ranks) * share
            pvalues: np.ndarray = chdtrc(bins - 1, np.sum((counts - expected) ** 2 / expected, 1)).reshape(
                ranks.shape[1:]
            )
            return pvalues

        return {name: test(ranks) for name, ranks in self.ranks.items()}


def calibrate(
    model: Model,
    data: Data,
    engine: Engine,
    seed: int | Key,
    *,
    simulations: int = 100,
    draws: int = 99,
    **options: Any,
) -> Calibration:
    """Simulation-based calibration (Talts et al. 2018): ranks of parameters drawn from the prior among draws from the posterior.

    Parameters and observations are drawn from the model, and all simulated datasets are fitted as one batch. If engine and model are
    correct, every rank is uniform. That does not hold under label switching: order the labels, as with `jaxlatent.ordered`.

    Args:
        model: with proper priors.
        data: covariates, and observations, of which shape and mask are used.
        engine: one that draws, such as ``NUTS(chains=1, warmup=500, draws=500)``.
        seed: an int or a typed JAX key.
        simulations: number of datasets.
        draws: number of draws of each fit to compare, evenly spaced over its chains and draws. Autocorrelation makes ranks pile up at
            both ends: the effective sample size should be larger than this.
        options: of `jaxlatent.fit`.

    Returns:
        A `Calibration`, which prints as a table.

    Raises:
        InputError: for improper priors, censored observations, priors that read the observations, an engine that does not draw, or
            unknown options.
    """
    check_model("calibrate", model, "from whose prior parameters can be drawn")
    check_options("calibrate", options, ("simulations", "draws"), "simulations")
    require(simulations >= 1, "calibrate(simulations=...)", got=simulations, expected="at least 1 simulation")
    if engine.kind == "point":
        raise InputError(
            "calibrate(engine=...)",
            got=type(engine).__name__,
            expected="an engine that draws",
            remedy="use another engine, such as NUTS.",
        )
    made = engine.lanes * cast(Any, engine).draws
    require(1 <= draws <= made, "calibrate(draws=...)", got=draws, expected=f"1 to {made}, the draws of each fit")
    key = key_for(Purpose.CALIBRATE, seed)
    arrays = as_data(data)
    check_uncensored("calibrate", model, arrays)
    params, derived, observed = sample_prior(model, arrays, simulations, jax.random.fold_in(key, 0))[:3]
    copies = {
        name: jax.tree.map(lambda x: jnp.broadcast_to(x, (simulations, *x.shape)), x) for name, x in arrays.items()
    }
    for name, values in observed.items():
        given = copies.get(name)
        copies[name] = Masked(values, given.mask) if isinstance(given, Masked) else values
    _require_prior_without_observations(model, params, arrays, copies)
    result = fit(model, Batch(copies, tuple(range(simulations))), engine, jax.random.fold_in(key, 1), **options)
    truth = {name: np.asarray(value) for name, value in {**params, **derived}.items()}
    drawn: Mapping[str, np.ndarray] = {**result.params, **result.derived}

    def rank(name: str) -> np.ndarray:
        pooled = drawn[name].reshape(simulations, -1, *truth[name].shape[1:])
        picked = pooled[:, np.linspace(0, pooled.shape[1] - 1, draws).round().astype(int)]
        ranks: np.ndarray = np.sum(picked < truth[name][:, None], 1)
        return ranks

    return Calibration({name: rank(name) for name in truth}, draws, truth, result)


def _require_prior_without_observations(model: Model, params: Params, given: Data, simulated: Data) -> None:
    """Raise `InputError` for a prior that depends on the observations, as default priors in units of the data do."""
    first: Callable[[Mapping[str, Any]], Params] = lambda tree: jax.tree.map(lambda x: jnp.asarray(x)[0], dict(tree))
    for name in model.prior:

        def density(data: Data, name: str = name) -> Array:
            log_density: Array = model.prior_of(name, first(params), data).log_prob(first(params)[name])
            return log_density

        if not np.array_equal(density(given), density(first(simulated)), equal_nan=True):
            raise InputError(
                f"calibrate(), the prior of {name!r}",
                got="a prior that reads the observations",
                expected="one that does not depend on them",
                remedy="give numbers for the 'auto' settings of ready families, such as prior_scale=2.0.",
            )
