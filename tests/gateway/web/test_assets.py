"""What a browser is sent: others' code as it came, our own checked and short, and nothing inline."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.web.statics import DIRECTORY, address
from tests.gateway.web.conftest import Inside
from tests.web_tools import HERE, MODULES, node
from tests.web_tools.api_types import types_of

VENDOR = DIRECTORY / "vendor"
WEB = DIRECTORY.parent
TEMPLATES = WEB / "templates"
PACKAGES = {
    "htmx.min.js": "htmx.org/dist/htmx.min.js",
    "hx-sse.min.js": "htmx.org/dist/ext/hx-sse.min.js",
    "htmx.LICENSE": "htmx.org/LICENSE",
    "uPlot.iife.min.js": "uplot/dist/uPlot.iife.min.js",
    "uPlot.min.css": "uplot/dist/uPlot.min.css",
    "uPlot.LICENSE": "uplot/LICENSE",
}
TEXT = {".py", ".html", ".js", ".css", ".ts"}
MAX_LINES = 1_500
"""Of our own JavaScript."""


# -- others' ----------------------------------------------------------------------------------------------------------


def test_what_is_others_is_as_it_came() -> None:
    sums = dict(line.split("  ")[::-1] for line in (VENDOR / "SHA256SUMS").read_text().splitlines())
    files = {path.name: path.read_bytes() for path in VENDOR.iterdir() if path.name != "SHA256SUMS"}
    assert {name: hashlib.sha256(body).hexdigest() for name, body in files.items()} == sums
    assert files.keys() == PACKAGES.keys()
    if not MODULES.is_dir():
        pytest.skip("no packages: run scripts/test-setup")
    assert files == {name: (MODULES / path).read_bytes() for name, path in PACKAGES.items()}, "run make vendor"


# -- our own ----------------------------------------------------------------------------------------------------------


def modules() -> Iterator[Path]:
    """Our own JavaScript."""
    return (path for path in DIRECTORY.rglob("*.js") if VENDOR not in path.parents)


def templates() -> Iterator[tuple[str, str]]:
    """Every template's name and text."""
    return ((path.relative_to(TEMPLATES).as_posix(), path.read_text("utf-8")) for path in TEMPLATES.rglob("*.html"))


def test_types_are_right() -> None:
    ran = node("typescript/bin/tsc", "--project", str(HERE))
    assert ran.returncode == 0, ran.stdout


async def test_the_apis_types_are_those_of_the_daemon(inside: Inside) -> None:
    made = types_of(await inside.json("/openapi.json"))
    assert (WEB / "api.d.ts").read_text("utf-8") == made, "run make api-types"


def test_our_own_javascript_is_short_and_checked() -> None:
    lines = {path.name: len(path.read_text("utf-8").splitlines()) for path in modules()}
    assert sum(lines.values()) <= MAX_LINES, lines
    assert [path.name for path in modules() if not path.read_text("utf-8").startswith("// @ts-check\n")] == []


KNOWS_HTMX = {"templates/macros/live.html", "static/swaps.js"}
"""All that another version of it, or another library, is the matter of."""


def test_htmx_is_known_in_two_files() -> None:
    ours = [path for path in WEB.rglob("*") if path.suffix in TEXT and VENDOR not in path.parents]
    assert len(ours) > 200
    named = [path for path in ours if re.search(r"htmx|\bhx[-:_]", path.read_text("utf-8"), re.IGNORECASE)]
    assert {path.relative_to(WEB).as_posix() for path in named} == KNOWS_HTMX


INLINE = re.compile(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son[a-z]+=|javascript:", re.IGNORECASE)
"""What our CSP would refuse."""


def test_nothing_is_inline() -> None:
    assert INLINE.search('<b onclick="x">')
    assert INLINE.search("<script>")
    assert not INLINE.search('<script src="/static/x.js" type="module">')
    assert {name: found[0] for name, text in templates() if (found := INLINE.search(text))} == {}


COLOUR = re.compile(r"#[0-9a-f]{3,8}\b|\b(?:rgb|hsl|oklch|color)a?\(", re.IGNORECASE)


def test_pages_have_no_colours_of_their_own() -> None:
    sheets = {path.name: path.read_text("utf-8") for path in (DIRECTORY / "pages").glob("*.css")}
    assert {name: found[0] for name, text in sheets.items() if (found := COLOUR.search(text))} == {}


# -- files ------------------------------------------------------------------------------------------------------------


async def test_a_file_is_kept_for_ever_or_asked_after(inside: Inside) -> None:
    kept = await inside.client.get(address("app.css"))
    assert kept.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert kept.headers["content-encoding"] == "gzip"
    assert kept.text == (DIRECTORY / "app.css").read_text("utf-8")
    asked = await inside.client.get("/static/app.css")
    assert asked.headers["cache-control"] == "no-cache"
    again = await inside.client.get("/static/app.css", headers={"if-none-match": asked.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    old = await inside.client.get("/static/v-00000000/app.css")  # a page from before an update
    assert (old.status_code, old.headers["cache-control"]) == (200, "no-cache")
    plain = await inside.client.get("/static/app.css", headers={"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.content == (DIRECTORY / "app.css").read_bytes()


@pytest.mark.parametrize("path", ["../web.py", "..%2fweb.py", "v-00000000/../../web.py", "", "vendor", "nothing.js"])
async def test_nothing_else_is_a_file(inside: Inside, path: str) -> None:
    assert (await inside.client.get(f"/static/{path}")).status_code == 404
