"""The frame of a page: head, title, facts at a glance, contents and sections."""

from collections.abc import Sequence
from importlib.resources import files
from typing import NamedTuple

from jaxlatent.pages.html import Html, element, paragraph, text

#: A browser then loads and runs nothing, whatever the page says.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


class Section(NamedTuple):
    """A section of a page.

    Attributes:
        name: its address within the page.
        title: its heading.
        parts: what is in it.
    """

    name: str
    title: str
    parts: Sequence[Html]


def document(title: str, lead: str, facts: Sequence[tuple[str, str]], sections: Sequence[Section]) -> Html:
    """A whole page.

    Args:
        title: its only heading of the first level.
        lead: the line below.
        facts: name and text of what one looks for first.
        sections: in their order; those without parts are left out.
    """
    sections = [section for section in sections if section.parts]
    style = files("jaxlatent.pages").joinpath("page.css").read_text(encoding="utf-8")
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", text(title)),
        element("style", Html(style)),
    )
    glance = [element("div", element("dt", text(name)), element("dd", text(fact))) for name, fact in facts]
    links = [element("li", element("a", text(section.title), href=f"#{section.name}")) for section in sections]
    body = element(
        "body",
        element("header", element("h1", text(title)), paragraph(lead), element("dl", *glance)),
        element("nav", element("ol", *links), aria_label="Contents"),
        element("main", *map(_section, sections)),
    )
    return Html(f"<!DOCTYPE html>\n{element('html', head, body, lang='en')}\n")


def _section(section: Section) -> Html:
    heading = element("h2", text(section.title), id=f"{section.name}-heading")
    return element("section", heading, *section.parts, id=section.name, aria_labelledby=f"{section.name}-heading")
