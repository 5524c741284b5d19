r"""ADVI: stochastic variational inference with Gaussian families, in whitened coordinates.

Maximises the ELBO of :math:`q = N(m, L L^\top)` over the location `m` and the scale `L`, diagonal or lower triangular
(Kucukelbir et al. 2017). Each iteration moves in the whitened coordinates of the current `q`: with :math:`z = m + L \epsilon`
and the whitened gradient :math:`u = L^\top \nabla \log p(z)`,

.. math:: g_m = E[u + \epsilon], \qquad G_L = \mathrm{tril}\, E[(u + \epsilon)\, \epsilon^\top],

then :math:`m \leftarrow m + L \delta_m`, :math:`L \leftarrow L e^{\Delta_L}` to first order (a local parametrisation:
Lin, Nielsen, Khan and Schmidt 2021). The step size does not depend on the units of the posterior, and since the Fisher
information is diagonal and constant there, a plain gradient step is nearly a natural one. On a varying-intercept model
with full rank it converged within 500 iterations; Adam, with steps of 0.1 and 0.3 in the same coordinates and trust region,
had not after 5000 (four seeds each).

Adding :math:`\epsilon` is "sticking the landing" (Roeder, Wu and Duvenaud 2017): the noise vanishes where `q` is exact. It
always helped with full rank; a mean field far from a strongly correlated posterior moved faster without. Draws are antithetic
pairs :math:`\pm\epsilon`, which makes :math:`g_m` exact for a Gaussian posterior; elsewhere they made little difference.

Iterates are averaged over windows that double in length. A lane has converged when three successive averages agree, in
standard deviations of `q` (after Dhaka et al. 2020 and Welandawe et al. 2022): averages are less noisy than iterates, and ever
longer windows reduce the noise below any tolerance.
"""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.scipy.linalg import solve_triangular

from jaxlatent.engines.base import Final, Record, Stage, at_least, engine, when
from jaxlatent.engines.gaussian import GaussianSearch, outcome, standard_log_density
from jaxlatent.engines.optimize.interning import interned
from jaxlatent.errors import require
from jaxlatent.masks import select
from jaxlatent.posterior.posterior import Posterior
from jaxlatent.status import Status, at_limit
from jaxlatent.typing import Array, Key, Position, PyTree

_FIRST_WINDOW = 100
#: Converged after this many successive pairs of averages that agree.
_AGREEMENTS = 2
#: Trust region per variable and iteration: standard deviations of location, fraction of scale.
_TRUST = 0.5
_START_SCALE = 0.135
#: Successive iterations without a finite density after which a lane fails.
_MAX_FAILURES = 20


class Gaussian(NamedTuple):
    """The approximation.

    Attributes:
        location: ``(dim,)``.
        scale: standard deviations ``(dim,)``, or a lower factor of the covariance ``(dim, dim)``.
    """

    location: Array
    scale: Array

    def forward(self, z: Array) -> Array:
        """Map standard normal vectors ``(..., dim)`` to positions."""
        return self.location + (z * self.scale if self.scale.ndim == 1 else z @ self.scale.T)

    def whiten(self, gradient: Array) -> Array:
        """Gradients ``(..., dim)`` with respect to standard normal vectors, from those with respect to positions."""
        return gradient * self.scale if self.scale.ndim == 1 else gradient @ self.scale

    def log_det(self) -> Array:
        """Log determinant of the scale."""
        return jnp.sum(jnp.log(self.scale if self.scale.ndim == 1 else jnp.diagonal(self.scale)))

    def moved(self, location: Array, scale: Array) -> "Gaussian":
        """Move in whitened coordinates: location by ``(dim,)``, scale by ``(dim,)`` or lower triangular ``(dim, dim)``."""
        if scale.ndim == 1:
            return Gaussian(self.forward(location), self.scale * jnp.exp(scale))
        factor = jnp.tril(scale, -1) + jnp.diag(jnp.exp(jnp.diagonal(scale)))
        return Gaussian(self.forward(location), self.scale @ factor)

    def distance(self, other: "Gaussian") -> Array:
        """The largest entry, in absolute value, of the whitened move to ``other``."""
        apart = other.location - self.location
        if self.scale.ndim == 1:
            location, scale = apart / self.scale, other.scale / self.scale - 1
        else:
            both = solve_triangular(self.scale, jnp.column_stack([apart, other.scale]), lower=True)
            location, scale = both[:, 0], both[:, 1:] - jnp.eye(apart.shape[0], dtype=apart.dtype)
        return jnp.maximum(jnp.max(jnp.abs(location)), jnp.max(jnp.abs(scale)))


class State(NamedTuple):
    """A lane between two iterations.

    Attributes:
        q: the current iterate.
        inner: state of the optimiser.
        total: sum of the iterates of the window.
        summed: number of iterates in the sum.
        average: average iterate of the previous window.
        length: of the previous window; 0 in the first.
        agreed: successive pairs of averages that agree.
        failures: successive iterations without a finite density.
        iterations: number so far.
        status: OK while it runs.
    """

    q: Gaussian
    inner: PyTree
    total: Gaussian
    summed: Array
    average: Gaussian
    length: Array
    agreed: Array
    failures: Array
    iterations: Array
    status: Array


@engine
class ADVI(GaussianSearch):
    """Variational inference with a Gaussian on unconstrained space.

    Check ``khat``: above 0.7 the approximation is unreliable.

    Args:
        family: "mean_field" (independent coordinates) or "full_rank".
        optimizer: an Optax optimiser of the whitened moves; None is gradient steps of 0.1 that decay as the inverse square
            root of the iteration.
        num_samples: draws per iteration, in antithetic pairs; the last of an odd number is unpaired.
        max_iter: maximum number of iterations.
        tol: converged when averages of iterates agree to this many standard deviations, and scales to this fraction.
        draws: per lane, from the approximation.
        restarts: lanes per dataset, each from a start of its own.
    """

    family: Literal["mean_field", "full_rank"] = "mean_field"
    optimizer: optax.GradientTransformation | None = None
    num_samples: int = 10
    max_iter: int = 20_000
    tol: float = 0.05
    draws: int = 1000
    restarts: int = 1

    def __post_init__(self) -> None:
        at_least(self, num_samples=1, max_iter=1, tol=0, draws=25, restarts=1)
        optimizer = self.optimizer is None or isinstance(self.optimizer, optax.GradientTransformation)
        families = ("mean_field", "full_rank")
        require(self.family in families, "ADVI(family=...)", got=self.family, expected=f"one of {families}")
        require(
            optimizer,
            "ADVI(optimizer=...)",
            got=self.optimizer,
            expected="None or an Optax optimiser such as optax.adam(0.1)",
        )

        if self.optimizer is not None:
            object.__setattr__(self, "optimizer", interned(self.optimizer))

    def init(self, posterior: Posterior, key: Key, position: Position, shared: PyTree) -> State:
        """A narrow Gaussian at the starting position."""
        ones = jnp.ones_like(position)
        q = Gaussian(position, _START_SCALE * (ones if self.family == "mean_field" else jnp.diag(ones)))
        zeros, count = jax.tree.map(jnp.zeros_like, q), jnp.zeros((), jnp.int32)
        return State(q, self._optimizer.init(zeros), zeros, count, zeros, count, count, count, count, count)

    def step(
        self, posterior: Posterior, key: Key, state: State, shared: PyTree, stage: Stage
    ) -> tuple[State, Record, Array]:
        """One move of the approximation, and at the end of a window the convergence check."""
        q, iterations = state.q, state.iterations + 1
        pairs = (self.num_samples + 1) // 2
        half = jax.random.normal(jax.random.fold_in(key, iterations), (pairs, posterior.dim), q.location.dtype)
        z = jnp.concatenate([half, -half])[: self.num_samples]
        lp, gradient = jax.vmap(jax.value_and_grad(posterior.log_density))(q.forward(z))
        pull = q.whiten(gradient) + z
        towards = jnp.mean(pull * z, 0) if q.scale.ndim == 1 else jnp.tril(pull.T @ z) / self.num_samples
        # Optax minimises.
        moves, inner = self._optimizer.update(Gaussian(-jnp.mean(pull, 0), -towards), state.inner, state.q)
        moved = q.moved(*_clip_to_trust_region(moves))
        elbo = jnp.mean(lp - standard_log_density(z)) + q.log_det()
        finite = jnp.isfinite(elbo) & jnp.all(jnp.isfinite(towards)) & jnp.isfinite(moved.log_det())
        q, inner = select(finite, (moved, inner), (q, state.inner))
        failures = jnp.where(finite, 0, state.failures + 1)
        state = state._replace(
            q=q,
            inner=inner,
            total=jax.tree.map(jnp.add, state.total, q),
            summed=state.summed + 1,
            failures=failures,
            iterations=iterations,
            status=jnp.where(failures >= _MAX_FAILURES, Status.NON_FINITE, state.status).astype(state.status.dtype),
        )
        ends_window = state.summed >= jnp.maximum(2 * state.length, _FIRST_WINDOW)
        return when(ends_window, self._check_window, state), Record(elbo), jnp.ones((), bool)

    def finish(self, posterior: Posterior, key: Key, state: State) -> Final:
        """Draws ``(draws, dim)``, ``lp``, ``log_q``; per lane ``khat``, ``elbo``, ``n_steps``."""
        # If stopped within a window, take the average of the longer one.
        q = select(state.summed >= state.length, _mean(state), state.average)
        z = jax.random.normal(key, (self.draws, posterior.dim), q.location.dtype)
        final = outcome(posterior, q.forward(z), standard_log_density(z) - q.log_det(), at_limit(state.status))
        return final.with_statistics(n_steps=state.iterations)

    def _check_window(self, state: State) -> State:
        """Compare the average of the window with the previous one, and start the next."""
        average = _mean(state)
        agrees = (state.length > 0) & (average.distance(state.average) <= self.tol)
        agreed = jnp.where(agrees, state.agreed + 1, 0)
        status = jnp.where((state.status == Status.OK) & (agreed >= _AGREEMENTS), Status.CONVERGED, state.status)
        return state._replace(
            total=jax.tree.map(jnp.zeros_like, state.total),
            summed=jnp.zeros_like(state.summed),
            average=average,
            length=state.summed,
            agreed=agreed.astype(state.agreed.dtype),
            status=status.astype(state.status.dtype),
        )

    @property
    def _optimizer(self) -> optax.GradientTransformation:
        return optax.sgd(lambda count: 0.1 / jnp.sqrt(1 + count / 1000)) if self.optimizer is None else self.optimizer


def _mean(state: State) -> Gaussian:
    """The average iterate of the window."""
    mean: Gaussian = jax.tree.map(lambda total: total / jnp.maximum(state.summed, 1).astype(total.dtype), state.total)
    return mean


def _clip_to_trust_region(moves: Gaussian) -> Gaussian:
    """Shorten the moves of each variable to the trust region."""
    location, scale = moves
    rows = scale[:, None] if scale.ndim == 1 else jnp.tril(scale)
    length = jnp.sqrt(location**2 + jnp.sum(rows**2, 1))
    shorten = jnp.minimum(1, _TRUST / length)
    return Gaussian(location * shorten, (rows * shorten[:, None]).reshape(scale.shape))
