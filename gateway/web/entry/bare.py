"""Pages for those who are not signed in: no menu, nothing of the shop but its name."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.responses import HTMLResponse

from gateway.access.access import Access
from gateway.config import Config
from gateway.web import cookies
from gateway.web.language import LANGUAGES, Language, Text, language, preferred
from gateway.web.shell import environment


@dataclass(frozen=True, slots=True)
class Entry:
    """What the pages of coming in need; there may be no store, no dispensers, nothing else yet."""

    access: Access
    config: Config


def _entry(request: Request) -> Entry:
    entry: Entry = request.app.state.entry
    return entry


TheEntry = Annotated[Entry, Depends(_entry)]
"""An endpoint's parameter of this type is where one comes in."""


def language_here(request: Request, entry: Entry) -> Language:
    """In which language to answer somebody who may not be signed in."""
    who = request.scope.get("picante.who")
    chosen = who.language if who is not None else None
    chosen = chosen or cookies.read(request.headers.get("cookie")).get(cookies.LANGUAGE)
    code = preferred(chosen, request.headers.get("accept-language", ""))
    return language(code, entry.config.gateway.timezone)


def draw(request: Request, entry: Entry, template: str, title: Text, status: int = 200, **values: Any) -> HTMLResponse:
    """A whole document."""
    told = language_here(request, entry)
    html = environment.get_template(template).render(
        _=told.gettext,
        ngettext=told.ngettext,
        say=told.say,
        lang=told,
        languages=LANGUAGES,
        title=title,
        now=datetime.now(UTC),
        live=False,
        once=secrets.token_urlsafe(12),
        gateway=entry.config.gateway,
        here=request.url.path,
        **values,
    )
    return HTMLResponse(html, status)
