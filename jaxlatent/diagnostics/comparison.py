"""Comparison of models by their estimated predictive performance."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from jaxlatent.diagnostics.information import InformationCriterion
from jaxlatent.diagnostics.weights import pseudo_bma_weights, stacking_weights
from jaxlatent.errors import InputError
from jaxlatent.keys import Purpose, key_for
from jaxlatent.typing import Key

if TYPE_CHECKING:
    import xarray as xr


#: Relative difference of sums of the same values in several precisions.
_ROUNDING = 1e-4


class HasLoo(Protocol):
    """What has a criterion, such as a `jaxlatent.Result` of one dataset."""

    def loo(self) -> Any:
        """Leave-one-out cross-validation."""
        ...


@dataclass(frozen=True, eq=False)
class Comparison:
    """Models from best to worst, on log scale. All arrays have shape ``(models,)``.

    Attributes:
        kind: ``"waic"`` or ``"loo"``.
        names: of the models, best first.
        elpd: expected log pointwise predictive density.
        se: standard error of ``elpd``.
        p: effective number of parameters.
        elpd_diff: ``elpd`` minus that of the best model: zero for the best, negative for the others.
        se_diff: standard error of ``elpd_diff``, over paired observations (Vehtari et al. 2017, equation 24).
        stacking: weights by stacking of predictive distributions.
        pseudo_bma: weights by pseudo-BMA+.
        warnings: text of each criterion's warning, or None.
        n_observations: number of observations, the same for all models.
    """

    kind: Literal["waic", "loo"]
    names: tuple[str, ...]
    elpd: np.ndarray
    se: np.ndarray
    p: np.ndarray
    elpd_diff: np.ndarray
    se_diff: np.ndarray
    stacking: np.ndarray
    pseudo_bma: np.ndarray
    warnings: tuple[str | None, ...]
    n_observations: int

    def table(self, scale: Literal["log", "deviance"] = "log") -> str:
        """The comparison as a plain text table with aligned columns.

        Args:
            scale: ``"log"``, larger is better, or ``"deviance"`` (minus twice that), smaller is better.
        """
        if scale not in ("log", "deviance"):
            raise InputError(
                "table(scale=...)", got=repr(scale), expected="'log' or 'deviance'", remedy="choose one of the two."
            )
        factor = {"log": 1.0, "deviance": -2.0}[scale]
        value = {"log": f"elpd_{self.kind}", "deviance": self.kind}[scale]
        numbers = {
            value: [f"{v:.2f}" for v in factor * self.elpd],
            "se": [f"{v:.2f}" for v in abs(factor) * self.se],
            "p": [f"{v:.2f}" for v in self.p],
            "diff": [f"{v:.2f}" for v in factor * self.elpd_diff + 0.0],
            "se_diff": [f"{v:.2f}" for v in abs(factor) * self.se_diff],
            "stacking": [f"{v:.3f}" for v in self.stacking],
            "pseudo_bma+": [f"{v:.3f}" for v in self.pseudo_bma],
            "warning": ["yes" if text else "" for text in self.warnings],
        }
        columns = {"rank": [str(rank) for rank in range(len(self.names))], "model": self.names} | numbers
        widths = [max(len(head), *map(len, cells)) for head, cells in columns.items()]
        align: Callable[[Iterable[str]], str] = lambda row: "  ".join(
            cell.ljust(width) if head == "model" else cell.rjust(width)
            for head, cell, width in zip(columns, row, widths, strict=True)
        ).rstrip()
        lines = [align(columns), *(align(row) for row in zip(*columns.values(), strict=True))]
        notes = [f"{name}: {text}" for name, text in zip(self.names, self.warnings, strict=True) if text]
        return "\n".join(lines + notes)

    def __str__(self) -> str:
        return self.table()

    __repr__ = __str__

    def to_dataset(self) -> "xr.Dataset":
        """The comparison as an xarray Dataset over ``model``; the warning of a reliable model is the empty string."""
        import xarray as xr

        columns = {
            "rank": np.arange(len(self.names)),
            **{
                name: getattr(self, name)
                for name in ("elpd", "se", "p", "elpd_diff", "se_diff", "stacking", "pseudo_bma")
            },
            "warning": [text or "" for text in self.warnings],
        }
        return xr.Dataset(
            {name: ("model", values) for name, values in columns.items()},
            coords={"model": list(self.names)},
            attrs={"kind": self.kind, "scale": "log", "n_observations": self.n_observations},
        )


def compare(criteria: Mapping[str, InformationCriterion | HasLoo], seed: int | Key, samples: int = 1000) -> Comparison:
    """Rank models by their information criteria, and compute weights for averaging.

    Args:
        criteria: for each model, what `waic` or `loo` returned for the same observations in the same order; or the result, for its
            ``loo()``.
        seed: for the Bayesian bootstrap of the pseudo-BMA+ weights, the only random part; an integer or a typed key.
        samples: number of bootstrap replications.

    Raises:
        InputError: no models, criteria of different kinds, different observations, or contributions that are not finite.
    """
    found = {name: _criterion(name, one) for name, one in criteria.items()}
    _check(found)
    names = tuple(sorted(found, key=lambda name: -found[name].elpd))
    ranked = [found[name] for name in names]
    pointwise = np.stack([criterion.pointwise for criterion in ranked], 1)
    difference = pointwise - pointwise[:, :1]
    return Comparison(
        kind=ranked[0].kind,
        names=names,
        elpd=np.array([criterion.elpd for criterion in ranked]),
        se=np.array([criterion.se for criterion in ranked]),
        p=np.array([criterion.p for criterion in ranked]),
        elpd_diff=difference.sum(0),
        se_diff=np.sqrt(len(difference) * difference.var(0, ddof=1)),
        stacking=stacking_weights(pointwise),
        pseudo_bma=pseudo_bma_weights(pointwise, key_for(Purpose.COMPARE, seed), samples),
        warnings=tuple(criterion.warning for criterion in ranked),
        n_observations=len(pointwise),
    )


def _criterion(name: str, given: Any) -> InformationCriterion:
    """The criterion of a model, or of a result."""
    found = given.loo() if hasattr(given, "loo") else given
    if not isinstance(found, InformationCriterion):
        raise InputError(
            f"compare(criteria), {name!r}",
            got="a result of several datasets" if found is not given else type(given).__name__,
            expected="what loo() or waic() of one dataset returns, or its result",
            remedy="give {name: result.loo(), ...}; of a batch result[dataset].loo().",
        )
    return found


def _check(criteria: Mapping[str, InformationCriterion]) -> None:
    kinds = {name: criterion.kind for name, criterion in criteria.items()}
    sizes = {name: criterion.n_observations for name, criterion in criteria.items()}
    if len(set(kinds.values())) != 1:
        raise InputError(
            "compare(criteria)",
            got=f"criteria of kind {kinds}" if kinds else "no criteria",
            expected="at least one criterion, all of the same kind",
            remedy="compute loo() for every model.",
        )
    if len(set(sizes.values())) != 1:
        raise InputError(
            "compare(criteria)",
            got=f"numbers of observations {sizes}",
            expected="the same observations for every model",
            remedy="fit all models to the same data, with the same entries missing, and compare again.",
        )
    known = {name: criterion.contents for name, criterion in criteria.items() if criterion.contents is not None}
    first = next(iter(known.values()), None)
    for name, contents in known.items():
        assert first is not None
        if not np.array_equal(contents[:, 0], first[:, 0]):
            raise InputError(
                "compare(criteria)",
                got=f"numbers of values with a density { {one: int(of[:, 0].sum()) for one, of in known.items()} }",
                expected="the same values for every model, of which none is conditioned on by some models only",
                remedy="condition all on the same first steps, as in emissions.Autoregression(lags, given=4) with the most lags for 4.",
            )
        if not np.allclose(contents, first, _ROUNDING, _ROUNDING * np.abs(first).max(initial=0)):
            raise InputError(
                "compare(criteria)",
                got=f"other values in {name!r} than in {next(iter(known))!r}",
                expected="the same observations, in the same order and units, for every model",
                remedy="fit all models to the same data; write the change of units or a transformation in the likelihood.",
            )
    broken = {name: int((~np.isfinite(criterion.pointwise)).sum()) for name, criterion in criteria.items()}
    if any(broken.values()):
        raise InputError(
            "compare(criteria)",
            got=f"observations without a finite predictive density: {broken}",
            expected="a finite contribution of every observation",
            remedy="look at the log likelihood of these observations; leave out draws of failed lanes.",
        )
