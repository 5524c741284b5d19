"""What a notebook shows of a result, a model, a posterior or a batch that ends a cell."""

import math

import jax
import numpy as np
import pandas as pd
from numpyro.distributions import Distribution

from jaxlatent.data.arrays import Masked, split
from jaxlatent.data.batches import Batch
from jaxlatent.graph.naming import described
from jaxlatent.model.model import Model
from jaxlatent.pages.convergence import dataset_table, facts, lane_table
from jaxlatent.pages.html import Html, code, element, join, paragraph, preformatted, prose, text
from jaxlatent.pages.result import lead
from jaxlatent.pages.source import body_of
from jaxlatent.pages.study import Study
from jaxlatent.pages.tables import table
from jaxlatent.posterior.posterior import Posterior
from jaxlatent.results.result import Result
from jaxlatent.typing import PyTree

#: Rows of a table; the rest is a call away.
_ROWS = 20
#: Numbers in the draws of a result above which no estimates are shown, which would read all of them, perhaps from a disk.
_NUMBERS = 5_000_000


def result_html(result: Result) -> Html:
    """How lanes ended, estimates, and the verbs that tell more; without what takes long, such as ``check()``."""
    verbs = "`result.check()` tells what is wrong and what to do; `result.report('page.html')` writes all of it."
    if sum(math.prod(values.shape) for values in result.params.values()) > _NUMBERS:
        return element("div", paragraph(result), element("p", prose(f"`result.summary()` has the estimates. {verbs}")))
    study = Study(result, "result", checked=False)
    said = [f"{name}: {fact}" for name, fact in facts(study)]
    parts = [
        element("strong", text(result.posterior.density.label)),
        paragraph(lead(study)),
        paragraph(". ".join(said) + "."),
    ]
    if result.names is not None:
        parts.append(_first(dataset_table(study), "Datasets", "result.summary()"))
        parts += [
            paragraph(f"{name} was not fitted: {reason}") for name, reason in list(result.quarantined.items())[:3]
        ]
    else:
        parts.append(_first(lane_table(study), f"Each {study.lanes}", "result.status"))
        if study.summary is not None:
            parts.append(_first(study.summary, "Estimates", f"{study.best_name}.summary()"))
    return element("div", *parts, element("p", prose(verbs)))


def model_html(model: Model) -> Html:
    """Priors and likelihood as they were written."""
    rows = [(described(prior) if isinstance(prior, Distribution) else body_of(prior)) for prior in model.prior.values()]
    frame = pd.DataFrame({"prior": [f"`{row}`" for row in rows]}, pd.Index(list(model.prior), name="parameter"))
    dims = [", ".join(model.dims.get(name, ())) for name in model.prior]
    frame = frame.assign(dimensions=dims) if any(dims) else frame
    parts = [
        element("strong", text(model.name)),
        table(frame, "Priors; p are the earlier parameters, d the data"),
    ]
    for what, function in (("Likelihood", model.likelihood), ("Derived quantities", model.derived)):
        if function is not None:
            parts.append(join(paragraph(what), preformatted(body_of(function))))
    return element("div", *parts, element("p", code("model.graph(data)"), text(" draws it.")))


def posterior_html(posterior: Posterior) -> Html:
    """What is unknown, and the data that it is conditioned on."""
    names = posterior.names
    of = "one dataset" if names is None else f"{len(names):,} datasets"
    unknown = "`, `".join(posterior.density.names)
    known = prose(f"A log density over positions of length {posterior.dim:,}, which stand for `{unknown}`; given {of}.")
    said = "`jl.fit(posterior, None, jl.NUTS(), seed=0)` samples it; `posterior.log_density(position)` evaluates it."
    parts = [element("strong", text(posterior.density.label)), element("p", known)]
    parts += _entries(posterior.data, 0 if names is None else 1)
    return element("div", *parts, element("p", prose(said)))


def batch_html(batch: Batch) -> Html:
    """The datasets by name, and the entries of each."""
    some = ", ".join(map(str, batch.names[:_ROWS])) + (", …" if len(batch) > _ROWS else "")
    parts = [element("strong", text(f"{len(batch):,} datasets")), paragraph(some), *_entries(batch.data, 1)]
    parts += [paragraph(f"{name} is not valid: {problem}") for name, problem in list(batch.problems.items())[:3]]
    return element("div", *parts, element("p", prose("`batch[0]` is the first of them, `batch.select(names)` some.")))


def _entries(data: PyTree, leading: int) -> list[Html]:
    """A table of the arrays of data, whose first ``leading`` axes count datasets."""
    leaves = jax.tree_util.tree_leaves_with_path(data, is_leaf=lambda x: isinstance(x, Masked))
    rows = []
    for path, leaf in leaves:
        values, mask = split(leaf)
        missing = "" if mask is None else f"{int(np.size(mask) - np.sum(mask)):,} of {np.size(mask):,}"
        name = jax.tree_util.keystr(path, simple=True, separator=".")
        rows.append((name, str(tuple(np.shape(values)[leading:])), str(values.dtype), missing))
    if not rows:
        return []
    frame = pd.DataFrame(rows, columns=["entry", "shape", "type", "missing or padded"]).set_index("entry")
    frame = frame if frame["missing or padded"].any() else frame.drop(columns="missing or padded")
    return [_first(frame, "Data" if not leading else "Data of each dataset", "")]


def _first(frame: pd.DataFrame, caption: str, source: str) -> Html:
    some = "" if len(frame) <= _ROWS else f", the first {_ROWS} of {len(frame):,}"
    return table(frame.head(_ROWS), caption + some, source)
