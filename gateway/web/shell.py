"""A page: the shell around it, the parts that it is made of, and how each is drawn, whole or one part again.

A page is a `Page`: one function gives the values that its templates show, and each part is one template, which renders
one element whose id is the part's name. The document holds all parts; the page's event stream sends again those that
changed (`live`).
"""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlencode
from zlib import crc32

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from gateway.web.hearsay import heard, heard_whole
from gateway.web.language import LANGUAGES, Language, Text, language, preferred
from gateway.web.statics import address
from gateway.web.web import Web
from gateway.web.who import Role, Who, asker
from heat.scale import MAX_MO, band

NUMBERS = frozenset({"nozzle", "position"})
"""Of what pages are about: those that are numbers."""
_NUMBER = re.compile(r"[0-9]{1,15}\Z")

Context = Callable[[Web, Who, Mapping[str, str]], Awaitable[Mapping[str, Any]]]
"""Gives the values that a page's templates show, as of now, for the page's path and query parameters."""


class Told(NamedTuple):
    """An event that a page's stream tells beside the page's parts."""

    name: str
    data: str
    at: str = ""
    """From where whoever comes back goes on; empty: as before."""


class Source(Protocol):
    """Where a page's stream has what it tells beside the parts, for one who looks."""

    async def begin(self, at: str) -> Sequence[Told]:
        """What is told first: all that there is, or what came since `at`."""

    async def next(self, within_s: float) -> Sequence[Told]:
        """What came next; nothing, once nothing has come for so long."""


class Quiet:
    """A source that has nothing to tell."""

    def __init__(self, web: Web) -> None:
        self._web = web

    async def begin(self, at: str) -> Sequence[Told]:  # noqa: ARG002
        """Nothing."""
        return ()

    async def next(self, within_s: float) -> Sequence[Told]:
        """Nothing, after so long."""
        await self._web.pause(within_s)
        return ()


@contextmanager
def quiet(web: Web, query: Mapping[str, str]) -> Iterator[Source]:  # noqa: ARG001
    """What pages have beside their parts, unless they say otherwise."""
    yield Quiet(web)


@dataclass(frozen=True, slots=True)
class Page:
    """One page of the technician's UI."""

    name: str
    """In the address of its event stream, and in the menu."""
    title: Text
    context: Context
    parts: tuple[str, ...]
    """`sync/backlog` is templates/sync/backlog.html, and renders one element with the id `sync-backlog`."""
    template: str
    """Extends shell.html, and includes the parts."""
    role: Role = Role.VIEWER
    """Who may see it; the page's endpoint asks for the same."""
    personal: bool = False
    """Whether it shows something else to each who sees it: its parts are then drawn for each."""
    every_s: float = 1.0
    """s from one look at what changed to the next."""
    about: tuple[str, ...] = ()
    """What its query must have for it to be drawn: it is about one dispenser, or one of its nozzles."""
    menu: str = ""
    """The page of the menu that it hangs on, where it is not there itself."""
    beside: Callable[[Web, Mapping[str, str]], AbstractContextManager[Source]] = quiet
    """What its stream tells beside the parts: named events for an element of the page that draws itself."""

    def is_about(self, query: Mapping[str, str]) -> bool:
        """Whether a query has what it must have."""
        return all(name in query and (name not in NUMBERS or _NUMBER.match(query[name])) for name in self.about)

    @property
    def stands_under(self) -> str:
        """Which entry of the menu shows where one is."""
        return self.menu or self.name


ONCE = "@once@"
"""Stands in parts where each document's own `once` goes."""

SLICE_S = 0.002
"""s that drawing takes the event loop for without a pause."""

MENU: tuple[tuple[str, str, Text], ...] = (
    ("repairs", "/", Text("Repairs")),
    ("dispensers", "/dispensers", Text("Dispensers")),
    ("sync", "/sync", Text("Sync")),
    ("picks", "/picks", Text("Picks")),
    ("events", "/events", Text("Events")),
    ("system", "/system", Text("System")),
    ("people", "/people", Text("People")),
)
"""The pages of the menu: name, path, what it is called."""

environment = Environment(
    loader=PackageLoader("gateway.web"),
    autoescape=True,
    undefined=StrictUndefined,
    auto_reload=False,
    trim_blocks=True,
    lstrip_blocks=True,
)
environment.globals |= {"live": False, "static": address, "heard": heard, "heard_whole": heard_whole}
environment.filters |= {
    "band": lambda heat: band(heat.milli_octaves),
    "scale_percent": lambda heat: f"{100 * heat.milli_octaves / MAX_MO:.1f}",
    "digest": lambda text: f"{crc32(text.encode()):08x}",
}


async def show(
    request: Request, web: Web, page: Page, query: Mapping[str, str] | None = None, status: int = 200, **more: Any
) -> HTMLResponse:
    """The whole document. `more` goes to the templates, beside what `page.context` gives (a form's errors, say).

    What says that something was refused (`status`) has no stream: parts that come in would take the reason away.
    """
    who = asker(request)
    told = language_of(request, web, who)
    asked = query if query is not None else dict(request.query_params)
    values = dict(await page.context(web, who, asked))
    values |= more
    once = secrets.token_urlsafe(12)
    values["stream"] = f"/live/{page.name}/{once}?{urlencode(asked)}" if page.parts and status < 400 else None
    html = await _render(page.template, {**surroundings(web, who, told, page), **values, "once": once})
    return HTMLResponse(html, status)


async def part(name: str, web: Web, who: Who, told: Language, page: Page, values: Mapping[str, Any]) -> str:
    """One part of a page, as its stream sends it."""
    return await _render(f"{name}.html", {**surroundings(web, who, told, page), **values, "once": ONCE, "live": True})


async def _render(template: str, values: Mapping[str, Any]) -> str:
    """A template with its values, drawn piece by piece: customers' questions come between."""
    if template not in _compiled:  # with all that it includes, that takes 0.1 s: once, beside the event loop
        html = await asyncio.to_thread(lambda: environment.get_template(template).render(values))
        _compiled.add(template)
        return html
    pieces, until_s = [], time.perf_counter() + SLICE_S
    for piece in environment.get_template(template).generate(values):
        pieces.append(piece)
        if time.perf_counter() > until_s:
            await asyncio.sleep(0)
            until_s = time.perf_counter() + SLICE_S
    return "".join(pieces)


_compiled: set[str] = set()
"""Templates that were drawn before."""


def surroundings(web: Web, who: Who, told: Language, page: Page) -> dict[str, Any]:
    """What every template may use: `_`, `ngettext`, `say`, `lang`, `who`, `page`, `menu`, `gateway`, `languages`.

    `now` is the time. `once` begins the keys of this document's forms. `live`: what is drawn goes to a page that lets
    ages grow itself, so that it must not change only because time goes by.
    """
    return {
        "_": told.gettext,
        "ngettext": told.ngettext,
        "say": told.say,
        "lang": told,
        "who": who,
        "page": page,
        "menu": MENU,
        "languages": LANGUAGES,
        "now": datetime.now(UTC),
        "gateway": web.state.config.gateway,
    }


def language_of(request: Request, web: Web, who: Who) -> Language:
    """In which language to answer."""
    code = preferred(who.language, request.headers.get("accept-language", ""))
    return language(code, web.state.config.gateway.timezone)
