"""A second tap does nothing twice: requests that bring a key of their own are answered once.

The key is the header `Idempotency-Key`, or `once` in the query of a form's action. The answer of the first request is
kept for a day and given to every later one of the same key and person; who comes while the first still runs waits for
it. The same key for something else is refused, and another body is something else: it would look done, and is not.
Between the deed and the kept answer the daemon may be killed: what is ordered from a dispenser takes `once_id` for its
id, and has one effect however often it is sent.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import sqlite3
from collections import deque
from urllib.parse import parse_qs

from fastapi import Request
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.access.access import Access
from gateway.access.once import LARGEST_BYTES, KeptAnswer
from gateway.web.problems import Problem
from gateway.web.who import Who

ID, AGAIN, SECRET = "picante.once", "picante.again", "picante.secret"
LONGEST_KEY = 200
UPLOADS = frozenset({"/api/v1/system/restore", "/system/backups/send"})
"""Paths that take a file of any size: their routes count its bytes as they come."""
_KEPT_HEADERS = frozenset({"content-type", "content-encoding", "location", "etag"})


def once_id(request: Request) -> bytes:
    """16 bytes that are the same whenever this request comes again, or random where it brought no key."""
    found: bytes | None = request.scope.get(ID)
    return found or secrets.token_bytes(16)


def holds_secret(request: Request) -> None:
    """Say that the answer shows a secret, which is kept nowhere: it is not given again."""
    request.scope[SECRET] = True


def key_of(scope: Scope, headers: Headers) -> str | None:
    """The key that a request brought. Raises Problem."""
    key = headers.get("idempotency-key")
    if key is None:
        key = parse_qs(scope["query_string"].decode("latin-1")).get("once", [None])[0]
    if key is not None and not 1 <= len(key) <= LONGEST_KEY:
        raise Problem(400, "bad-once-key", f"the key has more than {LONGEST_KEY} characters", hint="Send a UUID")
    return key or None


class Once:
    """Answers each key once."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._running: dict[bytes, asyncio.Future[None]] = {}

    async def __call__(
        self, key: tuple[Who, str], application: ASGIApp, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Let the first request through, and answer the others as it was."""
        who, said = key
        sender = who.person or who.session or who.name  # programs may share a name; who signs in anew is the same
        digest = hashlib.sha256(f"{who.via}\0{sender}\0{said}".encode()).digest()
        request = f"{scope['method']} {scope['path']}"
        if scope["path"] not in UPLOADS:
            body, receive = await _read_ahead(receive)
            request += f" {body}"
        while (running := self._running.get(digest)) is not None:
            await asyncio.shield(running)
        if (kept := self._access.answers.find(digest)) is not None:
            scope[AGAIN] = True  # so that it is not in the audit log twice
            await _again(kept, request, send)
            return
        scope[ID] = digest[:16]
        running = self._running[digest] = asyncio.get_running_loop().create_future()
        recording = _Recording(send)
        try:
            await application(scope, receive, recording.note)
            if SECRET not in scope and (answer := recording.answer(request)) is not None:
                await self._keep(digest, answer)
        finally:
            del self._running[digest]
            running.set_result(None)
            await recording.let_go()

    async def _keep(self, digest: bytes, answer: KeptAnswer) -> None:
        try:
            await self._access.answers.keep(digest, answer)
        except sqlite3.Error:
            return  # it is done: whoever asks again does it with the same id


async def _read_ahead(receive: Receive) -> tuple[str, Receive]:
    """What a body is, in short, and what gives it once more. The guard has seen that it is small."""
    read: deque[Message] = deque()
    summed = hashlib.sha256()
    while not read or read[-1].get("more_body", False):
        read.append(await receive())
        summed.update(read[-1].get("body", b""))

    async def receive_again() -> Message:
        return read.popleft() if read else await receive()

    return summed.hexdigest()[:16], receive_again


async def _again(kept: KeptAnswer, request: str, send: Send) -> None:
    if kept.request != request:
        hint = "Take a new key for each thing that is to be done"
        problem = Problem(422, "once-key-reused", "the key was used for something else", hint=hint).response()
        kept = KeptAnswer(request, 422, (("content-type", problem.media_type or ""),), bytes(problem.body))
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in kept.headers]
    length = (b"content-length", str(len(kept.body)).encode())
    await send({"type": "http.response.start", "status": kept.status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": kept.body})


class _Recording:
    """Holds an answer back until it is kept; a large one goes on, and is not kept."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._held: list[Message] | None = []
        self._bytes = 0

    async def note(self, message: Message) -> None:
        """Take the next piece of the answer."""
        if self._held is None:
            await self._send(message)
            return
        self._held.append(message)
        self._bytes += len(message.get("body", b""))
        if self._bytes > LARGEST_BYTES or self._held[0]["status"] >= 400:
            await self.let_go()

    def answer(self, request: str) -> KeptAnswer | None:
        """The whole answer, if it is one to be kept."""
        if not self._held:
            return None
        headers = Headers(raw=self._held[0]["headers"])
        kept = tuple((name, value) for name, value in headers.items() if name in _KEPT_HEADERS)
        body = b"".join(message.get("body", b"") for message in self._held[1:])
        return KeptAnswer(request, self._held[0]["status"], kept, body)

    async def let_go(self) -> None:
        """Send what is held back; what comes after goes through."""
        held, self._held = self._held or [], None
        for message in held:
            await self._send(message)
