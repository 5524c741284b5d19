"""HTML as text that mypy tells from text of users: only `text` makes it of theirs, and escapes."""

import html
import re
from typing import NewType

#: Text that is HTML, and well-formed XML.
Html = NewType("Html", str)

_VOID = ("img", "meta")
#: Characters that neither HTML nor XML may hold, such as those that colour a terminal.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def text(value: object) -> Html:
    """Any value as text, with what HTML would read as markup escaped."""
    return Html(html.escape(_FORBIDDEN.sub("\ufffd", str(value))))


def join(*parts: Html) -> Html:
    """Parts one after the other."""
    return Html("".join(parts))


def element(tag: str, *children: Html, **attributes: object) -> Html:
    """An element.

    Args:
        tag: its name.
        children: what is in it.
        attributes: by name, with ``_`` after a name that is a word of Python, such as ``class_``; None leaves one out.
    """
    named = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items() if value is not None}
    opened = "".join([tag, *(f' {name}="{text(value)}"' for name, value in named.items())])
    return Html(f"<{opened} />" if tag in _VOID else f"<{opened}>{''.join(children)}</{tag}>")


def paragraph(value: object) -> Html:
    """A paragraph of text."""
    return element("p", text(value))


def prose(value: object) -> Html:
    """Text in which what stands between backticks is code, as in messages of the package."""
    return join(*(code(part) if i % 2 else text(part) for i, part in enumerate(str(value).split("`"))))


def code(value: object) -> Html:
    """A short expression of code, inside a line."""
    return element("code", text(value))


def preformatted(value: object) -> Html:
    """Lines as they are, such as code or a message; long ones wrap."""
    return element("pre", code(value))
