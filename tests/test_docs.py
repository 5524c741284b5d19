"""What the pages of `docs/` say of the source is still so. Their code is run by `make docs`, see `tests/run_docs.py`."""

import ast
import importlib
import importlib.util
import re
from pathlib import Path

import run_docs

import jaxlatent as jl

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]


def texts_of_source():
    """Every string of the package, and every piece of an f-string, in lower case."""
    texts = []
    for path in sorted((ROOT / "jaxlatent").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value.lower())
    return "\n".join(texts)


def test_messages_of_the_troubleshooting_page_are_in_the_source():
    page = (DOCS / "troubleshooting.md").read_text().split("## Statuses of lanes")[0]
    cells = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    assert len(cells) > 50
    source = texts_of_source()
    pieces = [piece.strip() for cell in cells for code in re.findall(r"`([^`]+)`", cell) for piece in code.split("…")]
    assert not [piece for piece in pieces if len(piece) > 3 and piece.lower() not in source]


def test_the_troubleshooting_page_has_every_status_and_finding():
    page = (DOCS / "troubleshooting.md").read_text()
    for status in jl.Status:
        assert status in (jl.Status.OK, jl.Status.CONVERGED) or f"| {status.name} |" in page
    report = "".join(path.read_text() for path in (ROOT / "jaxlatent" / "results" / "report").glob("*.py"))
    for illness in re.findall(r'Finding\(\s*"([^"]+)"', report):
        assert f"| `{illness}` |" in page, illness


def test_links_and_pictures_of_the_pages_are_there():
    for page in PAGES:
        text = run_docs.FENCE.sub("", page.read_text())
        for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
            if "://" in link:
                inside = re.fullmatch(r"https://github.com/jaxlatent/jaxlatent/(?:blob|tree)/main/(.+)", link)
                assert inside is None or (ROOT / inside[1]).exists(), (page.name, link)
            else:
                assert (page.parent / link).exists(), (page.name, link)


def test_pictures_are_small_and_used():
    pages = "".join(page.read_text() for page in PAGES)
    for picture in [*DOCS.rglob("*.png"), *DOCS.rglob("*.svg")]:
        assert picture.stat().st_size < 150_000, picture
        assert f"{picture.parent.name}/{picture.name}" in pages, picture


def test_every_page_is_in_the_navigation():
    navigation = set(re.findall(r": (\S+\.md)$", (ROOT / "mkdocs.yml").read_text(), flags=re.MULTILINE))
    assert navigation == {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")}


def test_every_public_name_is_in_the_reference():
    reference = "".join(page.read_text() for page in (DOCS / "api").glob("*.md"))
    documented = set(re.findall(r"^::: jaxlatent[\w.]*\.(\w+)$", reference, flags=re.MULTILINE))
    assert not set(jl.__all__) - documented - {"models", "JaxlatentError", "MixtureDensityNetwork"}


def test_what_a_page_printed_is_compared_by_words_and_not_by_numbers():
    page = "```python\nprint('mean 1.5', -2)\n```\n\n```text\nmean 1.4  3\n```\n\n```python title=\"PyMC\"\nnot code\n```\n"
    (block,) = run_docs.blocks_of(page)
    assert block.code == "print('mean 1.5', -2)\n"
    assert not run_docs.differences([block], ["mean 1.5 -2\n"])
    assert run_docs.differences([block], ["median 1.5 -2\n"])


def test_examples_import_what_there_is():
    for path in sorted((ROOT / "examples").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("jaxlatent"):
                module = importlib.import_module(node.module)
                for one in node.names:
                    there = hasattr(module, one.name) or importlib.util.find_spec(f"{node.module}.{one.name}")
                    assert there, f"{path.name}: from {node.module} import {one.name}"
