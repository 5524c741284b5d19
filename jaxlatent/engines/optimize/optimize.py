"""Point estimates: maximum a posteriori and maximum likelihood.

The mode of a density depends on its coordinates. By default the density of the *named, constrained* parameters is
maximised, without the Jacobian of the transform to unconstrained space, as in Stan's ``optimize`` and PyMC's ``find_MAP``;
`jaxlatent.engines.laplace` includes the Jacobian. A step is one value and gradient, whatever the optimiser, and ``max_iter``
counts these.
"""

from typing import Any, ClassVar, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxlatent.engines.base import Final, Outputs, Search, Stage, at_least, engine
from jaxlatent.engines.gaussian import inverse_root
from jaxlatent.engines.optimize.descent import Descent
from jaxlatent.engines.optimize.interning import interned
from jaxlatent.engines.optimize.lbfgs import LBFGS
from jaxlatent.engines.optimize.rows import Rows, find_rows, next_batch, split_rows, validate
from jaxlatent.errors import InputError, require
from jaxlatent.posterior.curvature import hessian
from jaxlatent.posterior.posterior import Posterior
from jaxlatent.status import Status, at_limit
from jaxlatent.typing import Array, Key, LogDensity, Position, PyTree

#: Standard errors are computed by default up to this dimension; the Hessian has its square of entries.
_HESSIAN_DIM = 100


class State(NamedTuple):
    """A lane between two evaluations.

    Attributes:
        search: state of `LBFGS` or `Descent`.
        evaluations: number so far.
        rows: the split of the rows of the data; () without minibatches and validation.
    """

    search: Any
    evaluations: Array
    rows: Any


class Record(NamedTuple):
    """The trace of a lane at an evaluation.

    Attributes:
        objective: log density at the best point so far; with minibatches, its estimate from the current one.
        validation: last log likelihood per held-out row; () without validation.
    """

    objective: Array
    validation: Any


@engine
class Optimize(Search):
    """Maximum a posteriori or maximum likelihood, with standard errors from the curvature.

    Args:
        optimizer: any Optax optimiser; None is L-BFGS.
        max_iter: maximum number of evaluations of the objective and its gradient.
        tol: gain, in nats, below which a lane has converged: predicted from the curvature by L-BFGS, observed over 100 iterations
            for other optimisers, where 0 runs all ``max_iter``. Minibatches always run all of them unless ``patience`` ends the lane.
        restarts: lanes per dataset, each from a start of its own.
        standard_errors: whether to compute the inverse Hessian, ``(dim, dim)``, at the end; None: up to ``dim`` 100.
        objective: "map" for the log posterior, "mle" for the log likelihood alone.
        jacobian: for "map", whether to maximise the density of the unconstrained position rather than of the
            constrained parameters.
        batch_size: rows of the data per evaluation, reshuffled every epoch; None takes all. Rows are the leading axis of the
            observations and of every other entry of the data of the same length.
        validation: fraction of the rows held out, the same for all lanes. The result is then the point with the highest held-out
            log likelihood, which is also the objective of a lane.
        patience: epochs (without minibatches: validations, every tenth evaluation) without improvement on the held-out rows after
            which a lane stops.
    """

    optimizer: optax.GradientTransformation | None = None
    max_iter: int = 1000
    tol: float = 1e-8
    restarts: int = 1
    standard_errors: bool | None = None
    objective: Literal["map", "mle"] = "map"
    jacobian: bool = False
    batch_size: int | None = None
    validation: float = 0.0
    patience: int = 50

    kind: ClassVar[str] = "point"

    def __post_init__(self) -> None:
        at_least(self, max_iter=1, tol=0, restarts=1, patience=1)
        optimizer = self.optimizer is None or isinstance(self.optimizer, optax.GradientTransformation)
        require(
            optimizer,
            "Optimize(optimizer=...)",
            got=self.optimizer,
            expected="None or an Optax optimiser such as optax.adam(1e-3)",
        )
        require(
            self.objective in ("map", "mle"), "Optimize(objective=...)", got=self.objective, expected="'map' or 'mle'"
        )
        batch = self.batch_size is None or self.batch_size >= 1
        require(batch, "Optimize(batch_size=...)", got=self.batch_size, expected="None or at least 1 row")
        require(
            0 <= self.validation < 1, "Optimize(validation=...)", got=self.validation, expected="a fraction in [0, 1)"
        )
        require(
            self.batch_size is None or self.optimizer is not None,
            "Optimize(batch_size=...)",
            got="L-BFGS, which needs gradients without noise",
            expected="an Optax optimiser such as optax.adam(1e-3)",
        )
        require(
            not (self.jacobian and self.objective == "mle"),
            "Optimize(jacobian=True)",
            got="objective='mle'",
            expected="objective='map'",
        )
        for name, value in (("jacobian", self.jacobian), ("standard_errors", self.standard_errors)):
            require(
                not (value and self.by_rows),
                f"Optimize({name}=True)",
                got="minibatches or rows held out",
                expected="all rows in every evaluation",
            )

        if self.optimizer is not None:
            object.__setattr__(self, "optimizer", interned(self.optimizer))

    @property
    def by_rows(self) -> bool:  # type: ignore[override]
        """Whether minibatches are drawn or rows held out."""
        return self.batch_size is not None or self.validation > 0

    def shared(self, posterior: Posterior, key: Key) -> PyTree:
        """A random order of the rows, common to all lanes, so that their validation scores are comparable."""
        return jax.random.permutation(key, find_rows(posterior).length) if self.by_rows else ()

    def init(self, posterior: Posterior, key: Key, position: Position, shared: PyTree) -> State:
        """A lane before the evaluation of its first position."""
        rows = split_rows(shared, self.validation, self.batch_size, position) if self.by_rows else ()
        return State(self._algorithm.init(position), jnp.zeros((), jnp.int32), rows)

    def step(
        self, posterior: Posterior, key: Key, state: State, shared: PyTree, stage: Stage
    ) -> tuple[State, Record, Array]:
        """One evaluation."""
        evaluations = state.evaluations + 1
        if not self.by_rows:
            function = self._cost(posterior)
            value, gradient = jax.value_and_grad(function)(state.search.trial)
            search = self._algorithm.update(state.search, value, gradient, function)
            return State(search, evaluations, ()), Record(-search.point.value, ()), jnp.ones((), bool)
        rows, batch = next_batch(state.rows, key, state.evaluations, self.batch_size)
        function = self._cost_of_rows(posterior, batch, rows.training.shape[0] / batch.shape[0])
        value, gradient = jax.value_and_grad(function)(state.search.trial)
        search = self._algorithm.update(state.search, value, gradient, function)
        if self.validation > 0:
            rows = validate(
                rows, evaluations, self.batch_size, search.point.position, self._cost_of_held_rows(posterior, rows)
            )
        best = -search.point.value if self.batch_size is None else -value
        return State(search, evaluations, rows), Record(best, rows.score), jnp.ones((), bool)

    def done(self, state: State) -> Array:
        """Whether the lane converged, failed, or ran out of patience."""
        ended = super().done(state)
        return ended | (state.rows.since >= self.patience) if self.validation > 0 else ended

    def outputs(self, records: PyTree) -> Outputs:
        """The trace of the objective, and of the ``validation`` score if rows are held out."""
        held = {"validation": records.validation} if self.validation > 0 else {}
        return Outputs({"objective": records.objective, **held})

    def finish(self, posterior: Posterior, key: Key, state: State) -> Final:
        """The best point, ``covariance`` ``(dim, dim)`` of the position there, ``n_steps``: evaluations."""
        point, status = state.search.point, at_limit(state.search.status)
        statistics = {"n_steps": state.evaluations}
        if self.by_rows:
            return self._finish_rows(posterior, state, statistics)
        with_covariance = posterior.dim <= _HESSIAN_DIM if self.standard_errors is None else self.standard_errors
        if with_covariance:
            factor, definite = inverse_root(hessian(self._cost(posterior), point.position))
            statistics["covariance"] = factor @ factor.T
            status = jnp.where((status == Status.CONVERGED) & ~definite, Status.DEGENERATE, status)
        return Final(Outputs(statistics, point.position), -point.value, status)

    def _finish_rows(self, posterior: Posterior, state: State, statistics: dict[str, Array]) -> Final:
        rows: Rows = state.rows
        position, status = state.search.point.position, state.search.status
        if self.validation > 0:
            # The last point may be better than the best one validated.
            last = -self._cost_of_held_rows(posterior, rows)(position)
            position = jnp.where(last > rows.best_score, position, rows.best)
            objective = jnp.maximum(last, rows.best_score) * rows.held.shape[0]
            status = jnp.where((status == Status.OK) & (rows.since >= self.patience), Status.CONVERGED, status)
        else:
            objective = -self._cost(posterior)(position)
        return Final(Outputs(statistics, position), objective, at_limit(status))

    @property
    def _algorithm(self) -> "LBFGS | Descent":
        if self.optimizer is None:
            return LBFGS(self.tol)
        return Descent(self.optimizer, self.tol, noisy=self.batch_size is not None)

    def _cost(self, posterior: Posterior) -> LogDensity:
        if self.objective == "map":
            return lambda position: -posterior.log_density(position, self.jacobian)
        return lambda position: -_log_likelihood(posterior, posterior.constrain(position))

    def _cost_of_held_rows(self, posterior: Posterior, rows: Rows) -> LogDensity:
        """Minus the mean log likelihood of the held-out rows."""
        return self._cost_of_rows(posterior, rows.held, 1 / rows.held.shape[0], "mle")

    def _cost_of_rows(
        self, posterior: Posterior, index: Array, scale: float, objective: str | None = None
    ) -> LogDensity:
        """Minus the log prior and ``scale`` times the log likelihood of some rows."""
        some = find_rows(posterior).of(posterior, index)

        def cost(position: Position) -> Array:
            params = some.constrain(position)
            fit = scale * _log_likelihood(some, params)
            mle = (objective or self.objective) == "mle"
            return -(fit if mle else fit + some.density.log_prior(params, some.data))

        return cost


def _log_likelihood(posterior: Posterior, params: Any) -> Array:
    """The log likelihood of all observations, a scalar.

    Raises:
        InputError: if the posterior does not separate prior and likelihood.
    """
    terms = posterior.density.log_likelihood(params, posterior.data)
    if not terms:
        raise InputError(
            "Optimize(objective='mle')",
            got="a posterior that does not separate prior and likelihood",
            expected="a jaxlatent.Model or a NumPyro model with observations",
            remedy="use objective='map'.",
        )
    return sum((jnp.sum(term) for term in terms.values()), start=jnp.zeros(()))
