"""Values written as TOML, which the standard library only reads."""

import json
import re
from collections.abc import Mapping
from typing import Any

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def written(value: Any) -> str:
    """A value as TOML, tables in braces."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{written_key(name)} = {written(item)}' for name, item in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(written, value))}]"
    return value.isoformat() if hasattr(value, "isoformat") else repr(value)


def written_key(name: str) -> str:
    """A key as TOML."""
    return name if _BARE.fullmatch(name) else json.dumps(name, ensure_ascii=False)


def document(tables: Mapping[str, Mapping[str, Any]]) -> str:
    """Sections as a document."""
    sections = (
        "\n".join(
            [f"[{written_key(name)}]", *(f"{written_key(key)} = {written(value)}" for key, value in table.items())]
        )
        for name, table in tables.items()
    )
    return "\n\n".join(sections) + "\n"
