"""Static files: compressed once, and kept by a browser for as long as they are the same.

    /static/v-9f2c4e1a/app.css      what `address` gives to templates: a hash of all files: never asked for again
    /static/app.css                 the same, asked after at each use (ETag)

Modules import each other by relative addresses, and so stay within one hash.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import mimetypes
from dataclasses import dataclass
from pathlib import Path

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.web.problems import Problem

DIRECTORY = Path(__file__).parent / "static"
FOR_EVER = "public, max-age=31536000, immutable"
ASKED_AFTER = "no-cache"
_COMPRESSED = {"text/css", "text/javascript", "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class Static:
    """One file, ready to be sent."""

    media_type: str
    etag: str
    body: bytes
    gzipped: bytes | None


def address(name: str) -> str:
    """Where a file of `static/` is found, for as long as it is the same."""
    if name not in _names():
        raise KeyError(name)
    return f"/static/{_version()}/{name}"


async def statics(scope: Scope, receive: Receive, send: Send) -> None:
    """The application that is mounted at /static."""
    name = scope["path"].removeprefix(scope.get("root_path", "")).lstrip("/")
    head, _, rest = name.partition("/")
    versioned = head.startswith("v-")
    response = _answer(scope, rest if versioned else name, head == _version())
    await response(scope, receive, send)


def _answer(scope: Scope, name: str, current: bool) -> Response:
    if name not in _names():
        return Problem(404, "no-such-path", "there is no such file", hint="Load the page again").response()
    if scope["method"] not in {"GET", "HEAD"}:
        return Problem(405, "wrong-method", "a file is read with GET").response()
    file, asked = _file(name), Headers(scope=scope)
    headers = {
        "cache-control": FOR_EVER if current else ASKED_AFTER,
        "etag": file.etag,
        "vary": "Accept-Encoding",
    }
    if asked.get("if-none-match") == file.etag:
        return Response(status_code=304, headers=headers)
    body = file.body
    if file.gzipped is not None and "gzip" in asked.get("accept-encoding", ""):
        body, headers["content-encoding"] = file.gzipped, "gzip"
    return Response(body, headers=headers, media_type=file.media_type)


@functools.cache
def _names() -> frozenset[str]:
    return frozenset(path.relative_to(DIRECTORY).as_posix() for path in DIRECTORY.rglob("*") if path.is_file())


@functools.cache
def _version() -> str:
    digest = hashlib.sha256()
    for name in sorted(_names()):
        digest.update(name.encode() + b"\0" + (DIRECTORY / name).read_bytes())
    return f"v-{digest.hexdigest()[:8]}"


@functools.cache
def _file(name: str) -> Static:
    body = (DIRECTORY / name).read_bytes()
    media_type = mimetypes.guess_type(name)[0] or "text/plain"
    return Static(
        media_type,
        f'"{hashlib.sha256(body).hexdigest()[:16]}"',
        body,
        gzip.compress(body, 9, mtime=0) if media_type in _COMPRESSED else None,
    )
