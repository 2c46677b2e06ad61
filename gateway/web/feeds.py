"""What pages show, drawn again as it changes: once for all who look at the same page in the same language.

A feed draws when somebody asks and what it has is older than the page's period: there is no task behind it, and a page
that nobody looks at costs nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.web.language import Language
from gateway.web.shell import ONCE, Page, part
from gateway.web.web import Web
from gateway.web.who import Who

MAX_FEEDS = 64
"""Kept; the one that nobody has asked for longest goes first."""
IDLE_SHARE = 9
"""Times as long as drawing took before it is drawn again: a page that is slow to draw takes a tenth of a core."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a page as it is now."""

    name: str
    tag: str
    """Says whether it changed."""
    html: str

    def of(self, once: str) -> str:
        """The part for one document, whose forms' keys begin with `once`."""
        return self.html.replace(ONCE, once)


class Feed:
    """The parts of one page with one query, in one language, for those who may see the same."""

    def __init__(self, page: Page, who: Who, told: Language, query: Mapping[str, str]) -> None:
        self.page = page
        self._who = who
        self._told = told
        self._query = query
        self._lock = asyncio.Lock()
        self._parts: Sequence[Part] = ()
        self._fresh_until_s = float("-inf")

    async def look(self, web: Web) -> Sequence[Part]:
        """The parts, at most the page's period old."""
        async with self._lock:
            if time.monotonic() >= self._fresh_until_s:
                began_s = time.monotonic()
                self._parts = await self._draw(web)
                now_s = time.monotonic()
                self._fresh_until_s = now_s + max(0.8 * self.page.every_s, IDLE_SHARE * (now_s - began_s))
        return self._parts

    async def _draw(self, web: Web) -> Sequence[Part]:
        values = await self.page.context(web, self._who, self._query)
        parts = []
        for name in self.page.parts:
            html = await part(name, web, self._who, self._told, self.page, values)
            parts.append(Part(name, hashlib.blake2s(html.encode(), digest_size=4).hexdigest(), html))
        return parts


class Feeds:
    """The feeds of one web server."""

    def __init__(self, pages: Mapping[str, Page]) -> None:
        self.pages = pages
        self._feeds: OrderedDict[object, Feed] = OrderedDict()

    def of(self, page: Page, who: Who, told: Language, query: Mapping[str, str]) -> Feed:
        """The feed of what this person sees."""
        seen_by = who if page.personal else Who("", who.role, who.via)
        key = (page.name, seen_by, told.code, tuple(sorted(query.items())))
        feed = self._feeds.pop(key, None) or Feed(page, seen_by, told, query)
        self._feeds[key] = feed
        if len(self._feeds) > MAX_FEEDS:
            self._feeds.popitem(last=False)
        return feed
