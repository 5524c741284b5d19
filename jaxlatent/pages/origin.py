"""Where a result comes from: versions, device, date, fingerprints, and the lines that reproduce it."""

import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, cast

import pandas as pd

from jaxlatent.engines.base import Engine
from jaxlatent.pages.html import Html, element, paragraph, preformatted, text
from jaxlatent.pages.study import Study
from jaxlatent.pages.tables import table
from jaxlatent.store.manifest import PLAIN, identity


def origin_parts(study: Study, lines: str) -> list[Html]:
    """Tables of versions and fingerprints, and the code that made the result.

    Args:
        study: the result.
        lines: the code.
    """
    origin = study.result.provenance
    versions = pd.DataFrame(
        {"version": list(origin.versions.values())}, pd.Index(list(origin.versions), name="package")
    )
    parts = [
        paragraph(f"Fitted at {origin.created} (UTC) on {origin.device}, with seed {without_addresses(origin.seed)}."),
        table(versions, "Versions", f"{study.name}.provenance"),
    ]
    if study.has_model:
        marks = _fingerprints(study)
        index = pd.Index(list(marks), name="of")
        frame = pd.DataFrame({"fingerprint": list(marks.values())}, index)
        caption = "Fingerprints (CRC-32): equal for equal data and models, with the same version of JAX"
        parts.append(table(frame, caption))
    known = {name: number for name, number in origin.versions.items() if number != "unknown" and name != "python"}
    install = "pip install " + " ".join(f"{name}=={number}" for name, number in known.items())
    bits = "JAX_ENABLE_X64=1, " if origin.x64 else ""
    comment = f"# {bits}Python {origin.versions['python']}; {install}"
    return [*parts, element("h3", text("To reproduce it")), preformatted(f"{comment}\n{lines}")]


def _fingerprints(study: Study) -> dict[str, str]:
    """Checksums of the log density, as JAX traces it, and of the data."""
    result = study.result
    same = identity(result.posterior, result.engine, None)
    marks = {f"log density and derived quantities ({same['model']['traced by']})": f"{same['model']['program']:08x}"}
    return marks | {
        f"data{path}": f"{dtype} {tuple(shape)} {crc:08x}" for path, (shape, dtype, crc) in same["data"].items()
    }


def engine_call(engine: Engine) -> str:
    """The code of an engine, with the settings that differ from its defaults."""
    options = {
        option.name: getattr(engine, option.name)
        for option in fields(cast(Any, engine))
        if getattr(engine, option.name) != option.default
    }
    return f"jl.{type(engine).__name__}({arguments(options)})"


def arguments(options: Mapping[str, Any]) -> str:
    """Keyword arguments as code; what is no number or word, such as an optimiser or an array, as ``...``."""
    return ", ".join(f"{name}={repr(value) if type(value) in PLAIN else '...'}" for name, value in options.items())


def without_addresses(value: Any) -> str:
    """A value as text on one line, without addresses of functions, which differ from run to run."""
    return " ".join(re.sub(r" at 0x[0-9a-f]+", "", str(value)).split())
