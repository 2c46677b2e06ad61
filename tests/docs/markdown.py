"""Markdown files, taken apart as far as the documentation's tests need it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\]\(([^)\s]+)\)|<img src=\"([^\"]+)\"")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def pages() -> list[Path]:
    """Every page that is for readers."""
    return sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


@cache
def text(name: str) -> str:
    """The text of a page, by its path in the repository."""
    return (ROOT / name).read_text(encoding="utf-8")


def fences(source: str, language: str | None = None) -> list[str]:
    """The contents of the fenced blocks, of one language if it is given."""
    return [content for kind, content in _FENCE.findall(source) if language in (None, kind)]


def prose(source: str) -> str:
    """A text without its fenced blocks."""
    return _FENCE.sub("", source)


def spans(source: str) -> list[str]:
    """The code spans outside of fenced blocks."""
    return _SPAN.findall(prose(source))


def links(source: str) -> list[str]:
    """Where links and pictures point."""
    return [a or b for a, b in _LINK.findall(prose(source))]


def anchors(source: str) -> set[str]:
    """The anchors that a page's headings have on code hosts."""
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in _HEADING.findall(prose(source)))
    return {heading.strip().replace(" ", "-") for heading in plain}


def section(source: str, heading: str) -> str:
    """What stands under a heading of any level, up to the next one."""
    inside, fenced = False, False
    found: list[str] = []
    for line in source.splitlines(keepends=True):
        fenced ^= line.startswith("```")
        if not fenced and _HEADING.match(line):
            if inside:
                break
            inside = line.lstrip("#").strip() == heading
        elif inside:
            found.append(line)
    assert inside, f"there is no section {heading!r}"
    return "".join(found)


def rows(source: str, first_column: str) -> Iterator[list[str]]:
    """The rows of the table whose first column has this title, cells stripped."""
    lines = source.splitlines()
    start = next((i for i, line in enumerate(lines) if line.startswith(f"| {first_column} |")), None)
    assert start is not None, f"there is no table that begins with {first_column!r}"
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            return
        yield [cell.strip() for cell in line.strip("|").split("|")]


def codes(source: str, first_column: str) -> list[str]:
    """The first cells of a table, which are code spans."""
    return [cells[0].strip("`") for cells in rows(source, first_column)]
