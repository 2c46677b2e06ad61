"""What may be done to the gateway itself, for the API and for the page System alike: each a function of the web."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Protocol

from fastapi import Request
from fastapi.responses import StreamingResponse

from gateway.backup import making, restoring, wiping
from gateway.backup.archive import Header
from gateway.backup.making import SPARE_BYTES
from gateway.config import Config
from gateway.web.audited import audit
from gateway.web.machine.answers import BackupView, RestoreView
from gateway.web.machine.look import restored_view
from gateway.web.problems import Problem
from gateway.web.status import VERSION
from gateway.web.web import Web
from heat.errors import BackupUnusable, StoreFull

log = logging.getLogger("gateway.web.machine")

STALLED_S = 60.0
"""s without a byte after which an upload has ended: the phone has gone, and somebody else may want to send one."""
PIECE_BYTES = 256 * 1024
"""Bytes of an upload that are written at once, in a thread: a card that is slow must not hold up picks."""


class Place(Protocol):
    """Where a backup is put back: a gateway that runs, or its safe mode."""

    keeping: asyncio.Lock
    """Held while a backup is made, sent or checked: one at a time."""

    @property
    def config(self) -> Config:
        """The configuration as it counts now."""

    def at_stake(self) -> int | None:
        """Events that Kafka has not; None where the database can't be read. Reads: in a thread."""

    def restart(self) -> None:
        """Have the daemon begin anew."""


def restart(place: Place, why: str) -> None:
    """Have the daemon begin anew, in the same process."""
    log.info("the gateway begins anew: %s", why)
    place.restart()


def vouch_for_the_clock(web: Web, who: str) -> None:
    """Somebody looked at the clock and says that it is right. Raises a Problem where it can't be."""
    if not web.state.clock.vouch():
        hint = "Set it on the machine: sudo timedatectl set-time '2026-05-01 09:30'"
        raise Problem(409, "clock-never-set", "this clock was never set", hint=hint)
    log.info("%s vouches for the clock", who)


# -- backups --------------------------------------------------------------------------------------------------------


async def back_up(request: Request, web: Web, passphrase: str | None) -> StreamingResponse:
    """A backup as a download. Raises a Problem."""
    state = web.state
    now_ms = state.clock.now().wall_ms
    async with _alone(web):
        try:
            made = await asyncio.to_thread(making.make, state.config, VERSION, now_ms, passphrase)
        except (BackupUnusable, StoreFull) as error:
            raise _refused(error) from error
    audit(request, f"{made.name}, {'without secrets' if passphrase is None else 'sealed'}")
    headers = {"content-disposition": f'attachment; filename="{made.name}"'}
    return StreamingResponse(_closing(made.pieces), media_type="application/octet-stream", headers=headers)


async def _closing(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Pieces made in a thread; what is left of the snapshot goes when the browser does."""
    try:
        while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
            yield piece
    finally:
        close: Any = getattr(pieces, "close", None)
        if close is not None:
            await asyncio.shield(asyncio.to_thread(close))


async def receive(request: Request, place: Place, pieces: AsyncIterator[bytes]) -> RestoreView:
    """Take a backup's file in. Raises a Problem: it is none, or too large for the disk."""
    async with _alone(place):
        audit(request, _said_of(await _take_in(_data_dir(place), pieces)))
    return await restore_view(place)


async def _take_in(data_dir: Path, pieces: AsyncIterator[bytes]) -> Header:
    _see_that_nothing_is_ordered(data_dir)
    path = restoring.incoming(data_dir)
    part = path.with_suffix(".part")
    await asyncio.to_thread(restoring.drop, data_dir)
    room = shutil.disk_usage(data_dir).free - SPARE_BYTES
    try:
        await _write(part, pieces, room)
        await asyncio.to_thread(part.rename, path)
        header = await asyncio.to_thread(restoring.arrived, data_dir)
        assert header is not None, "it was renamed a moment ago"
        return header
    except BackupUnusable as error:
        path.unlink(missing_ok=True)
        raise _refused(error) from error
    except OSError as error:
        raise Problem(507, "no-room", f"it can't be written: {error.strerror}", hint="Free some space") from error
    finally:
        part.unlink(missing_ok=True)


async def _write(part: Path, pieces: AsyncIterator[bytes], room: int) -> None:
    kept, size = bytearray(), 0
    with part.open("wb") as file:
        async for piece in _steady(pieces):
            kept += piece
            size += len(piece)
            if size > room:
                hint = "Free some space, or restore it on the machine: picante gateway restore"
                raise Problem(413, "no-room", "the disk has no room for this file", hint=hint)
            if len(kept) >= PIECE_BYTES:
                await asyncio.to_thread(file.write, bytes(kept))
                kept.clear()
        await asyncio.to_thread(file.write, bytes(kept))


async def _steady(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same, as long as they keep coming. Raises a Problem."""
    while True:
        try:
            async with asyncio.timeout(STALLED_S):
                piece = await anext(pieces)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise Problem(408, "stalled", "the file stopped coming", hint="Send it again") from None
        yield piece


async def check(place: Place, passphrase: str | None) -> RestoreView:
    """Check the file that came. Raises a Problem."""
    async with _alone(place):
        _see_that_nothing_is_ordered(_data_dir(place))
        try:
            await asyncio.to_thread(restoring.check, place.config, passphrase)
        except BackupUnusable as error:
            raise _refused(error) from error
    return await restore_view(place)


def _said_of(header: Header) -> str:
    """Which backup it is, for the audit log."""
    made = datetime.fromtimestamp(header.made_ms / 1000, UTC)
    return f"the backup of {header.gateway}, made on {made:%Y-%m-%d %H:%M} UTC, up to event {header.stored}"


async def order(request: Request, place: Place, who: str) -> None:
    """Put back what was checked, by beginning anew. Raises a Problem."""
    async with _alone(place):
        try:
            plan = await asyncio.to_thread(restoring.order, _data_dir(place), who)
        except BackupUnusable as error:
            raise _refused(error) from error
    audit(request, _said_of(plan.header))
    restart(place, f"{who} has a backup put back")


async def take_back(web: Web, who: str) -> None:
    """Put back what was there before the last restore. Raises a Problem."""
    async with _alone(web):
        _see_that_nothing_is_ordered(_data_dir(web))
        try:
            await asyncio.to_thread(restoring.take_back, _data_dir(web), who)
        except BackupUnusable as error:
            raise _refused(error) from error
    restart(web, f"{who} takes a restore back")


async def settle(web: Web) -> None:
    """All is well after a restore: what was there before goes."""
    async with _alone(web):
        await asyncio.to_thread(restoring.settle, _data_dir(web))


async def drop(place: Place) -> None:
    """Forget the file that came."""
    async with _alone(place):
        await asyncio.to_thread(restoring.drop, _data_dir(place))


async def restore_view(place: Place) -> RestoreView:
    """How far a restore is."""
    return await asyncio.to_thread(_restore_view, place)


def _restore_view(place: Place) -> RestoreView:
    data_dir = _data_dir(place)
    try:
        header = restoring.arrived(data_dir)
    except BackupUnusable:
        header = None
    return RestoreView(
        sent=None if header is None else _backup_view(header),
        checked=restoring.staged(data_dir) is not None,
        ordered=restoring.ordered(data_dir),
        restored=restored_view(data_dir),
        at_stake=place.at_stake(),
    )


def _backup_view(header: Header) -> BackupView:
    """What a backup says of itself."""
    return BackupView(
        gateway=header.gateway,
        store=header.store,
        software=header.software,
        made=datetime.fromtimestamp(header.made_ms / 1000, UTC),
        stored=header.stored,
        confirmed=header.confirmed,
        size_bytes=header.bytes_,
        sealed=header.seal is not None,
        files=list(header.files),
    )


async def wipe(request: Request, web: Web, what: Literal["customers", "everything"], who: str) -> None:
    """Wipe, by beginning anew. Of customers, what Kafka still lacks stays until it has it. Raises a Problem."""
    state = web.state
    async with _alone(web):
        _see_that_nothing_is_ordered(_data_dir(web))
        try:
            keep = state.config.kafka is not None
            await asyncio.to_thread(wiping.order, _data_dir(web), what, who, keep_unsent=keep)
        except BackupUnusable as error:
            raise _refused(error) from error
    audit(request, what)
    log.warning("%s has %s wiped", who, what)
    restart(web, f"{who} has {what} wiped")


def _data_dir(place: Place) -> Path:
    return place.config.path(place.config.gateway.data_dir)


def _alone(place: Place) -> asyncio.Lock:
    """One thing at a time. Raises a Problem."""
    if place.keeping.locked():
        hint = "Wait until it is done; large databases take a minute"
        raise Problem(409, "busy", "a backup is being made, sent or checked", hint=hint)
    return place.keeping


def _see_that_nothing_is_ordered(data_dir: Path) -> None:
    if restoring.ordered(data_dir) or (data_dir / wiping.ORDER).exists():
        raise Problem(409, "ordered-already", "the next start has its orders", hint="Restart the gateway first")


def _refused(error: BackupUnusable | StoreFull) -> Problem:
    return Problem(409, "backup-unusable", str(error.args[0]), hint=error.hint)
