"""`opened`: the result that a store holds, whose draws are read when asked for."""

from typing import Any

from jaxlatent.engines.base import Engine
from jaxlatent.posterior.absent import Absent
from jaxlatent.posterior.posterior import Posterior, batched
from jaxlatent.results.provenance import Provenance
from jaxlatent.results.result import Result
from jaxlatent.results.stored import fields_of
from jaxlatent.store.files import Files


def opened(files: Files, posterior: Posterior | None, engine: Engine) -> Result:
    """The result as of the last commit.

    Args:
        files: the store.
        posterior: of the run; None for a result that knows only names.
        engine: of the run.

    Raises:
        StoreError: if there are no draws or points yet.
    """
    run = files.committed
    names = run["identity"]["names of datasets"]
    return Result(
        posterior=_absent(run["identity"]["model"], names) if posterior is None else posterior,
        engine=engine,
        names=None if names is None else tuple(names),
        coords=run["coords"],
        quarantined={names[i] if names else i: text for i, text in run["problems"]},
        provenance=Provenance(**run["provenance"]),
        **fields_of(files),
    )


def _absent(model: dict[str, Any], names: list[Any] | None) -> Posterior:
    dims = tuple((name, tuple(axes)) for name, axes in model["dims"].items())
    density = Absent(tuple(model["parameters"]), model["dim"], dims)
    return Posterior(density, {}) if names is None else batched(density, {}, tuple(names))
