"""`from_pymc`: the posterior of a PyMC model, for every engine."""

from typing import TYPE_CHECKING, Any

import jax

from jaxlatent.data.batches import Batch
from jaxlatent.errors import InputError
from jaxlatent.posterior.posterior import Posterior, batched

if TYPE_CHECKING:
    from jaxlatent.posterior.adapters.pymc.density import PyMCDensity
    from jaxlatent.posterior.adapters.pymc.lifting import Source


def from_pymc(model: Any, batch: Batch | None = None) -> Posterior:
    """The posterior of a PyMC model, for every engine.

    The log density is PyMC's own, translated to JAX by PyTensor, and the position is the flat vector of its value variables: PyMC's
    transforms decide the unconstrained coordinates. Free variables are the parameters (imputed values among them), deterministics are
    kept with the draws, potentials count, dims and coords name dimensions, and lanes start as chains of ``pm.sample`` do.

    Containers (``pm.Data``), observed values and arrays in expressions are the data, which are traced: after ``pm.set_data`` with arrays
    of the same shapes, or (PyMC 6) for a second model that differs only in data, nothing is compiled.
    ``result.predict(seed, {"x": other})`` replaces containers by name. JAX's precision stays what it is, 32 bits by default, where PyMC
    computes in 64: for these call ``jax.config.update("jax_enable_x64", True)`` first.

    Args:
        model: a `pymc.Model` without discrete free variables. It is read now; what is added to it or set in it later does not count.
        batch: datasets that share the model, for a batched posterior. Their entries replace containers and observed values by name;
            what they do not name is common to all datasets.

    Raises:
        ImportError: without PyMC.
        InputError: for what is not a model, has no free variables or discrete ones, or uses operations that PyTensor does not translate
            to JAX; and for batches of unequal shapes.
    """
    try:
        import pymc
    except ImportError as error:
        raise ImportError("jl.from_pymc needs PyMC: pip install 'jaxlatent[pymc]'") from error
    # These modules import PyMC.
    from jaxlatent.posterior.adapters.pymc.density import PyMCDensity, leaves
    from jaxlatent.posterior.adapters.pymc.graphs import interned
    from jaxlatent.posterior.adapters.pymc.lifting import Source

    if not isinstance(model, pymc.Model):
        raise InputError(
            "from_pymc(model)",
            got=type(model).__name__,
            expected="a pymc.Model",
            remedy="give the model itself, the name after `with pm.Model() as`.",
        )
    source = Source.of(model)
    _check(source)
    arrays = source.arrays()
    program = interned(source, {name: value.shape for name, value in arrays.items()})
    if program.at(program.shapes).graph("log_density").generators:
        raise InputError(
            "from_pymc(model)",
            got="random numbers in the log density, such as those of pm.Minibatch",
            expected="a log density of the whole data",
            remedy="give the model all rows.",
        )
    data = leaves(arrays)
    start = jax.eval_shape(lambda: program.evaluate("start", (), data, jax.random.key(0)))
    density = PyMCDensity(
        program,
        names=tuple(source.free),
        shapes=tuple(start[name].shape for name in source.free),
        title=source.label,
        axes=_dims(source),
        labels=source.coords,
        arrays=arrays,
    )
    if batch is None:
        return Posterior(density, data)
    return batched(density, _spread(density, batch), batch.names)


def _spread(density: "PyMCDensity", batch: Batch) -> dict[str, Any]:
    """The data of a batch, and those common to all of its datasets."""
    given, axes = batch.checked().data, density.program.source.axes
    _, data = density.with_data(given)
    for name, value in given.items():
        if value.ndim != axes[name] + 1:
            raise InputError(
                f"from_pymc(model, batch), {name!r}",
                got=f"shape {value.shape[1:]} in a dataset",
                expected=f"{axes[name]} axes, as in the model",
                remedy="give arrays as the model has them.",
            )
    return data


def _check(source: "Source") -> None:
    """Raise `InputError` for a model whose free variables are none, or not all continuous."""
    if not source.free:
        raise InputError(
            "from_pymc(model)", got="no free variables", expected="at least one", remedy="add priors to the model."
        )
    for name, variable in source.free.items():
        if variable.dtype.startswith("float"):
            continue
        imputed = name.endswith("_unobserved")
        raise InputError(
            f"the {'missing values' if imputed else 'free variable'} {name!r}",
            got=f"{variable.owner.op}, which is discrete",
            expected="continuous free variables",
            remedy="leave the missing observations out."
            if imputed
            else "sum it out: write the mixture as pm.Mixture, or call pymc_extras.marginalize(model, [...]) first.",
        )


def _dims(source: "Source") -> dict[str, tuple[str, ...]]:
    """Names of dimensions by variable, numbered where the model leaves them out."""
    return {
        name: tuple(dim or f"{name}_dim_{i}" for i, dim in enumerate(dims))
        for name, dims in source.dims.items()
        if any(dims)
    }
