"""A page of two parts, whose values a test sets: what pages can do is tested on it, whatever the real ones show."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Coroutine, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar
from urllib.parse import parse_qs

import pytest
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import ChoiceLoader, DictLoader

from gateway.web import application
from gateway.web.language import Text
from gateway.web.problems import Problem
from gateway.web.shell import Page, environment, show
from gateway.web.web import TheWeb, Web
from gateway.web.who import Viewer, Who
from tests.access import Keys
from tests.gateway.web.conftest import inside_of

T = TypeVar("T")

AT_FIRST: dict[str, Any] = {"left": "1", "right": "1", "since": None, "gone": False}

TEMPLATES = {
    "sample/page.html": """
        {% extends "shell.html" %}
        {% import "macros/ui.html" as ui with context %}
        {% block main %}
        {% include "sample/left.html" %}
        {% include "sample/right.html" %}
        {% endblock %}
    """,
    "sample/left.html": """
        {% import "macros/ui.html" as ui with context %}
        <section id="sample-left"><h2>Left</h2><p class="left">{{ values.left }}</p><p>{{ values.query }}</p>
        {% if values.since %}{{ ui.reading("312 ml", values.since, 1) }}{% endif %}
        <ul>{% for row in values.rows %}<li data-key="{{ row }}">{{ row }}</li>{% endfor %}</ul>
        </section>
    """,
    "sample/right.html": """
        {% import "macros/ui.html" as ui with context %}
        <section id="sample-right"><h2>Right</h2><p class="right">{{ values.right }}</p>
        <details><summary>More</summary><p>inside {{ values.right }}</p></details>
        {% call ui.form("/sample") %}
        {{ ui.field("Label", "label", "old") }}{{ ui.button("Save", "primary") }}
        {% endcall %}
        {% call ui.form("/sample", key="kind") %}
        {{ ui.choice("Kind", "kind", [("1", "one"), ("2", "two"), ("3", "three"), ("7", "seven")], values.right) }}
        {% endcall %}
        {% call ui.form("/sample", key="sure") %}{{ ui.tick("Sure", "sure", values.right == "2") }}{% endcall %}
        {% call ui.form("/sample", key="pour") %}{{ ui.hold_button("Test pour", "POUR") }}{% endcall %}
        </section>
    """,
}


class Sample:
    """The page, and what it shows."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = AT_FIRST | {"rows": []}
        self.looked = 0
        self.posted: list[dict[str, str]] = []
        self.page = Page(
            "sample",
            Text("Sample"),
            self._context,
            ("sample/left", "sample/right"),
            "sample/page.html",
            every_s=0.05,
        )

    async def _context(self, web: Web, who: Who, query: Mapping[str, str]) -> Mapping[str, Any]:
        self.looked += 1
        if self.values["gone"]:
            raise Problem(404, "no-such-dispenser", "there is no dispenser of this name")
        return {"values": self.values | {"query": dict(query)}}

    def module(self) -> ModuleType:
        """What `application.SHOWN` holds: a module with a router and the page."""
        router = APIRouter(include_in_schema=False)

        @router.get("/sample")
        async def page(request: Request, web: TheWeb, who: Viewer) -> HTMLResponse:
            return await show(request, web, self.page)

        @router.post("/sample")
        async def form(request: Request) -> RedirectResponse:
            fields = parse_qs((await request.body()).decode())
            self.posted.append({name: value for name, (value, *_) in fields.items()} | dict(request.query_params))
            return RedirectResponse("/sample", 303)

        module = ModuleType("sample")
        vars(module).update(router=router, PAGE=self.page)
        return module


@contextlib.contextmanager
def shown(patch: pytest.MonkeyPatch) -> Iterator[Sample]:
    """The page, among those of the next web that is made."""
    made = Sample()
    assert environment.loader is not None
    patch.setattr(environment, "loader", ChoiceLoader([environment.loader, DictLoader(TEMPLATES)]))
    patch.setattr(application, "SHOWN", (*application.SHOWN, made.module()))
    yield made


@pytest.fixture
def sample(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sample]:
    """The page; the test's `inside` shows it."""
    with shown(monkeypatch) as made:
        yield made


# -- for browsers, whose tests are not async --------------------------------------------------------------------------


@dataclass
class Served:
    """A daemon inside the test, in a thread of its own, that shows the sample page."""

    sample: Sample
    url: str
    web: Web
    keys: Keys


@contextlib.contextmanager
def served(directory: Path) -> Iterator[Served]:
    """Serve the sample page until the end."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="sample")
    thread.start()

    def run(work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, loop).result(30)

    with pytest.MonkeyPatch.context() as patch, shown(patch) as sample:
        opening = inside_of(directory)
        inside = run(opening.__aenter__())
        try:
            yield Served(sample, str(inside.client.base_url).rstrip("/"), inside.web, inside.keys)
        finally:
            run(opening.__aexit__(None, None, None))
            loop.call_soon_threadsafe(loop.stop)
            thread.join(10)
            loop.close()


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The page, for a file of browser tests."""
    with served(tmp_path_factory.mktemp("sample")) as opened:
        yield opened


@pytest.fixture(autouse=True)
def as_new(shop: Served) -> None:
    """Each test finds the page as it is at first."""
    shop.sample.values |= AT_FIRST | {"rows": []}
    shop.sample.posted.clear()
