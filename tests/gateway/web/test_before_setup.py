"""Before somebody set the gateway up, no route of it tells anything or does anything but setup, however it is asked."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from fastapi.routing import iter_route_contexts
from starlette.types import ASGIApp

from gateway.access.access import open_access
from gateway.assembly import assemble
from gateway.config import load_config, load_draft
from gateway.web.application import make_applications, make_routes
from gateway.web.entry.alone import make_alone
from gateway.web.entry.bare import Entry
from gateway.web.entry.setup import Setup
from gateway.web.web import Web
from tests.gateway.web.conftest import write_config
from tests.servers import free_port

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY")
AT = "http://127.0.0.1"
HEADERS = {
    "in a browser": {"sec-fetch-site": "same-origin", "origin": AT, "accept": "text/html"},
    "by htmx": {"sec-fetch-site": "same-origin", "hx-request": "true"},
}
"""Of the gateway's own page: another's gets a 403 before that."""
OPEN = re.compile(r"/(healthz|readyz|(api/v1/)?setup(/.*)?|static)\Z")
"""What answers: setup, what it looks like, and whether the daemon lives."""
GOES_BACK = "/language"
"""Sets the language of what is read before anybody has signed in."""


@dataclass
class Bare:
    """A gateway without an owner: what it answers with, and every path of the one that it becomes."""

    application: ASGIApp
    paths: list[str]


@pytest.fixture(params=["has its configuration", "has no name yet"])
async def bare(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bare]:
    path = write_config(tmp_path, free_port())
    (tmp_path / "alone").mkdir()
    draft, _ = load_draft(path)
    async with assemble(load_config(path)) as state:
        web = Web(state)
        with closing(open_access(tmp_path / "alone")) as access:
            assert web.access.begin(), "the code is there, and opens setup"
            assert access.begin()
            routes = [str(route.path) for route in iter_route_contexts(make_routes())]
            paths = sorted({re.sub(r"{[^}]*}", "1", path) for path in (*routes, "/openapi.json")})
            alone = make_alone(Entry(access, draft), Setup(access, draft, lambda: None), frozenset)
            made = make_applications(web) if request.param == "has its configuration" else alone
            yield Bare(made[0], paths)


async def test_every_route_by_every_method_is_closed(bare: Bare) -> None:
    assert len(bare.paths) > 100
    assert {"/", "/openapi.json", "/api/v1/people", "/kiosk/1", "/metrics", "/system/wipe"} <= set(bare.paths)
    told = {}
    for number, path in enumerate(bare.paths):
        transport = httpx.ASGITransport(bare.application, client=(f"10.0.0.{number}", 1))  # nobody asks too often
        async with httpx.AsyncClient(transport=transport, base_url=AT) as client:
            for how, headers in HEADERS.items():
                for method in METHODS:
                    answer = await client.request(method, path, headers=headers)
                    if is_open(path, answer):
                        told[f"{method} {path} {how}"] = answer.status_code, answer.headers.get("location")
            for kind in ("Bearer picante_nobodys", "Basic b2xnYTpvbGdh"):
                answer = await client.get(path, headers={"authorization": kind})
                if is_open(path, answer):
                    told[f"{path} {kind}"] = answer.status_code, answer.headers.get("location")
    assert told == {}


def is_open(path: str, answer: httpx.Response) -> bool:
    """Whether this tells or does what it must not."""
    if OPEN.match(path):
        return False
    if answer.status_code == 303:
        return answer.headers["location"] != ("/" if path == GOES_BACK else "/setup")
    return answer.status_code not in {401, 405} or (answer.status_code == 405 and path not in {"/sign-in", GOES_BACK})
