"""Run the code of documentation pages, and compare or write what it prints and draws.

    python tests/run_docs.py                      # every page of docs/ and the README; fails where one of them is wrong
    python tests/run_docs.py --update             # writes what was printed into the pages, and pictures into docs/figures/
    python tests/run_docs.py docs/engines.md      # some pages

A page is a program of its own, with a temporary folder of its own. What a fence says decides what becomes of it:

- ``python`` without a title is run; with the title of a file, such as ``title="study.py"``, it becomes that file; with another title it
  is the code of another package, and is not run;
- ``console`` is run line by line where a line begins with ``$ ``; the other lines are what it printed;
- ``text`` right after ``python`` is what that printed. Numbers may differ between machines, words may not;
- ``sh`` and all others are not run.

A picture of ``figures/`` must be drawn by its page, under the same name, in the temporary folder.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
FIGURES = ROOT / "docs" / "figures"
FENCE = re.compile(r"^( *)```(\w*)([^\n]*)\n(.*?)^\1```$", flags=re.DOTALL | re.MULTILINE)
PICTURE = re.compile(r"!\[[^\]]*\]\((?:docs/|\.\./)?figures/([\w.-]+)\)")
FILE = re.compile(r'title="([\w-]+\.\w+)"')
NUMBER = re.compile(r"[-+]?\b\d+(?:[.,]\d+)*(?:e[-+]?\d+)?%?|\bnan\b|[-+]?\binf\b")


class Block(NamedTuple):
    """A fenced block that is run: its language or the name of a file, its code, and where the page has what it printed."""

    language: str
    code: str
    printed: str | None
    span: tuple[int, int] | None  # of what was printed


#: Runs in the process of the page: executes blocks one after the other in one namespace, and keeps what each has printed.
CHILD = """
import contextlib, io, json, os, subprocess, sys
blocks, out = json.loads(sys.stdin.read()), sys.argv[1]
names, printed = {"__name__": "page"}, []
if any("pandas" in code or "jaxlatent" in code for language, code in blocks if language == "python"):
    import pandas
    pandas.set_option("display.width", 120, "display.max_columns", 20)
for language, code in blocks:
    text = io.StringIO()
    if language == "python":
        with contextlib.redirect_stdout(text):
            exec(compile(code, "page", "exec"), names)
    elif language != "console":
        with open(language, "w") as file:
            file.write(code)
    else:
        for line in code.splitlines():
            ran = subprocess.run(["bash", "-c", line], text=True, capture_output=True)
            if ran.returncode:
                sys.exit(f"{line}: exit status {ran.returncode}\\n{ran.stdout}{ran.stderr}")
            text.write(f"$ {line}\\n{ran.stdout}")
    printed.append(text.getvalue())
with open(out, "w") as file:
    json.dump(printed, file)
"""


def blocks_of(page: str) -> list[Block]:
    """The blocks of a page that are run, in order."""
    found: list[Block] = []
    fences = list(FENCE.finditer(page))
    for i, fence in enumerate(fences):
        indent, language, title, code = fence.groups()
        code = "".join(line.removeprefix(indent) for line in code.splitlines(keepends=True))
        if language == "console":
            commands = "\n".join(line[2:] for line in code.splitlines() if line.startswith("$ "))
            found.append(Block(language, commands, code, fence.span(4)))
        elif FILE.search(title):
            found.append(Block(FILE.findall(title)[0], code, None, None))
        elif language == "python" and not title.strip():
            after = fences[i + 1] if i + 1 < len(fences) else None
            follows = after is not None and after[2] == "text" and not page[fence.end() : after.start()].strip()
            found.append(Block(language, code, after[4] if follows else None, after.span(4) if follows else None))
    return found


def run(blocks: list[Block], folder: str | Path, environment: dict[str, str] | None = None) -> list[str]:
    """Run blocks in a process of their own, in a folder, and return what each has printed."""
    variables = {
        "PYTHONPATH": str(ROOT),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "MPLBACKEND": "Agg",
        "COLUMNS": "110",
        "NO_COLOR": "1",
        **(environment or {}),
    }
    with tempfile.NamedTemporaryFile("r", suffix=".json") as out:
        ended = subprocess.run(
            [sys.executable, "-c", CHILD, out.name],
            input=json.dumps([(block.language, block.code) for block in blocks]),
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            cwd=folder,
        )
        if ended.returncode:
            raise AssertionError(ended.stderr)
        if ended.stderr.strip():
            print(ended.stderr, file=sys.stderr)
        printed: list[str] = json.loads(out.read())
    return printed


def structure(text: str) -> str:
    """What is the same on every machine: the words of a text, without its numbers and spaces."""
    return re.sub(r"[\s\-─━…·█▇▆▅▄▃▂▁]+", " ", NUMBER.sub("#", text)).strip()


def tidied(text: str) -> str:
    """A text without trailing spaces and blank ends."""
    return "\n".join(line.rstrip() for line in text.strip("\n").splitlines()) + "\n"


def differences(blocks: list[Block], printed: list[str]) -> list[str]:
    """What blocks no longer print as the page has it."""
    return [
        f"printed:\n{text}\nthe page has:\n{block.printed}"
        for block, text in zip(blocks, printed, strict=True)
        if block.printed is not None and structure(text) != structure(block.printed)
    ]


def check(path: Path, update: bool) -> tuple[int, float]:
    """Run a page; the number of its blocks and the seconds that they took. Raises `AssertionError` where it is wrong."""
    page, began = path.read_text(), time.perf_counter()
    blocks, pictures = blocks_of(page), PICTURE.findall(page)
    if not blocks:
        assert not pictures, f"nothing on {path.name} draws {pictures}"
        return 0, 0.0
    with tempfile.TemporaryDirectory() as folder:
        printed = run(blocks, folder)
        seconds = time.perf_counter() - began
        lost = [name for name in pictures if not Path(folder, name).exists()]
        assert not lost, f"nothing on {path.name} draws {lost}"
        if update:
            for name in pictures:
                shutil.copy(Path(folder, name), FIGURES / name)
            for block, text in reversed(list(zip(blocks, printed, strict=True))):
                if block.span is not None:
                    start, end = block.span
                    page = page[:start] + tidied(text) + page[end:]
            path.write_text(page)
        else:
            different = differences(blocks, printed)
            assert not different, "\n".join(different)
    return len(blocks), seconds


def main() -> None:
    """Run pages, a few at a time, and tell which of them are wrong."""
    parser = argparse.ArgumentParser(description="Run the code of documentation pages.")
    parser.add_argument("pages", nargs="*", type=Path, help="all by default")
    parser.add_argument("--update", action="store_true", help="write what was printed and drawn into the pages")
    parser.add_argument("--jobs", type=int, default=2, help="pages at a time")
    options = parser.parse_args()
    pages = options.pages or [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    wrong, count = [], 0

    def one(path: Path) -> tuple[Path, int, float, str | None]:
        try:
            return path, *check(path, options.update), None
        except AssertionError as error:
            return path, 0, 0.0, str(error)

    with ThreadPoolExecutor(options.jobs) as pool:
        for path, ran, seconds, error in pool.map(one, pages):
            count += ran
            if error is not None:
                wrong.append(path)
                print(f"{path}: {error}", flush=True)
            elif ran:
                print(f"{path}: {ran} blocks in {seconds:.1f} s", flush=True)
    print(f"{count} blocks on {len(pages)} pages; {len(wrong)} pages are wrong")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
