"""What was refused, as a page: what it was, what to do, and how long to wait; the menu is there for who is signed in.

A form that is refused for being sent too often is sent again by reloading: with its key, it does nothing twice.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from starlette.types import Scope

from gateway.web import audited
from gateway.web.entry.bare import Entry, draw
from gateway.web.entry.sign_in import own_path
from gateway.web.hearsay import heard
from gateway.web.language import Text
from gateway.web.problems import Problem
from gateway.web.shell import MENU, Page, environment, language_of, surroundings
from gateway.web.web import Web
from gateway.web.who import Who

TITLES = {
    403: Text("You may not do this"),
    404: Text("There is nothing here"),
    429: Text("This was asked too often"),
}
REFUSED, FAILED = Text("This can't be done"), Text("The gateway has a fault here")
"""Of the other statuses, below 500 and from there on."""
_TEMPLATE = "entry/refused.html"


class Refused:
    """Draws problems; without `web` for those alone who are not signed in."""

    def __init__(self, entry: Entry, web: Web | None = None) -> None:
        self._entry = entry
        self._web = web

    def __call__(self, scope: Scope, problem: Problem) -> HTMLResponse:
        """The page, with the problem's status."""
        request = Request(scope)
        status = problem.details.status
        title = TITLES.get(status, REFUSED if status < 500 else FAILED)
        values = {"what": _what(scope, problem), "back": _back(request)}
        who: Who | None = scope.get("picante.who")
        if self._web is None or who is None or who.via != "session" or who.scope is not None:
            answer = draw(request, self._entry, _TEMPLATE, title, status, layout="bare.html", **values)
        else:
            page = Page("refused", title, _nothing, (), _TEMPLATE, menu=_menu(scope["path"]))
            told = language_of(request, self._web, who)
            shown = {**surroundings(self._web, who, told, page), **values, "layout": "shell.html", "stream": None}
            answer = HTMLResponse(environment.get_template(_TEMPLATE).render(shown), status)
        answer.headers.update(problem.headers)
        return answer


def _what(scope: Scope, problem: Problem) -> Text | str:
    details = problem.details
    if problem.wait_s is not None:
        if scope["method"] in audited.READS:
            return Text("Wait {n} second, then reload", "Wait {n} seconds, then reload", n=problem.wait_s)
        return Text(
            "Wait {n} second, then reload: it is sent again, and done once",
            "Wait {n} seconds, then reload: it is sent again, and done once",
            n=problem.wait_s,
        )
    return "" if details.type.endswith(":no-such-path") else heard(details.detail, details.hint)


def _back(request: Request) -> str:
    """The page of ours that they come from, or the first one."""
    _, ours, rest = request.headers.get("referer", "").partition(f"//{request.headers.get('host', '')}/")
    path = "/" + re.split("[?#]", rest, maxsplit=1)[0]
    return own_path(path) if ours and path != request.url.path else "/"


def _menu(path: str) -> str:
    return next((name for name, own, _ in MENU if own != "/" and path.startswith(own)), "")


async def _nothing(_web: Web, _who: Who, _query: Mapping[str, str]) -> Mapping[str, Any]:
    return {}
