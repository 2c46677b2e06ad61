"""`/api/v1/repairs`: what is wrong, what mends it, look again, let it be."""

from __future__ import annotations

import asyncio
import os
import tarfile
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path as FilePath
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import StreamingResponse

from gateway.quarantine import DIRECTORY
from gateway.web.examples import as_bytes
from gateway.web.language import Language
from gateway.web.mending.fixes import mend
from gateway.web.problems import Problem, documented
from gateway.web.repairs.answers import Repairs, RepairView, repair_view, repairs_view
from gateway.web.repairs.checks import check
from gateway.web.repairs.repair import Repair
from gateway.web.shell import language_of
from gateway.web.web import TheWeb, Web
from gateway.web.who import Owner, Technician, Viewer

router = APIRouter(prefix="/api/v1/repairs", tags=["v1"])

Key = Annotated[str, Path(max_length=200, pattern=r"^[A-Za-z0-9_.-]+$", examples=["dispenser_offline.hot-bar-1"])]
Button = Annotated[str, Path(max_length=40, pattern=r"^[a-z-]+$", examples=["adopt"])]
For = Literal["hour", "day", "week"]
SPANS: dict[str, timedelta] = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(days=7)}
CHUNK_BYTES = 256 * 1024


class Snooze(BaseModel):
    """For how long to let it be."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    span: Annotated[For, Field(examples=["hour"])]
    """What can't wait is let be for a day at most."""


class Pressed(BaseModel):
    """That somebody means it."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    confirm: Annotated[str, Field(max_length=40, examples=["yes"])] = ""
    """`yes`, for a button that people hold."""


class Checked(BaseModel):
    """What *Check again* found."""

    gone: Annotated[bool, Field(examples=[False])]
    looked: datetime | None
    """When that was found out."""
    repair: RepairView | None


@router.get("")
async def all_repairs(request: Request, web: TheWeb, who: Viewer) -> Repairs:
    """What is wrong, what can't wait first, in the language of Accept-Language."""
    await web.board.fresh()
    return repairs_view(web.board.repairs, language_of(request, web, who), web.board.looked)


@router.post("/check", responses=documented(503))
async def look_again(request: Request, web: TheWeb, who: Technician) -> Repairs:
    """Look at everything anew, and tell of it as a GET does."""
    await look_at_all(web)
    return repairs_view(web.board.repairs, language_of(request, web, who), web.board.looked)


async def look_at_all(web: Web) -> None:
    """Look at everything now."""
    await web.board.read()
    await web.board.look()


@router.get("/{key}", responses=documented(404, 422))
async def one(request: Request, web: TheWeb, who: Viewer, key: Key) -> RepairView:
    """One of them. It is not found once it is mended."""
    return repair_view(await found(web, key), language_of(request, web, who))


@router.post("/{key}/check", responses=documented(404, 422))
async def check_again(request: Request, web: TheWeb, who: Technician, key: Key) -> Checked:
    """Try what failed now, where something can be tried, and look anew. It takes some seconds at most."""
    repair = await check(web.state, web.board, await found(web, key))
    return _checked(repair, web, language_of(request, web, who))


@router.post("/{key}/fix/{button}", responses=documented(404, 409, 422, 503))
async def fix(
    request: Request, web: TheWeb, who: Technician, key: Key, button: Button, pressed: Pressed | None = None
) -> Checked:
    """Press a button. What it began may take some seconds more."""
    await mend(web, await found(web, key), button, who, "" if pressed is None else pressed.confirm)
    await web.board.look()
    repair = await web.board.get(key)
    return _checked(repair, web, language_of(request, web, who))


def _checked(repair: Repair | None, web: Web, said: Language) -> Checked:
    view = None if repair is None else repair_view(repair, said)
    return Checked(gone=repair is None, looked=web.board.looked, repair=view)


@router.post("/{key}/snooze", responses=documented(404, 422, 503))
async def snooze(request: Request, web: TheWeb, who: Technician, key: Key, asked: Snooze) -> RepairView:
    """Let it be for a while: it stands at the end of the list, with your name, and is not counted."""
    await web.board.snooze(await found(web, key), SPANS[asked.span], who.name)
    return repair_view(await found(web, key), language_of(request, web, who))


@router.delete("/{key}/snooze", responses=documented(404, 422, 503))
async def wake(request: Request, web: TheWeb, who: Technician, key: Key) -> RepairView:
    """Let it be no more."""
    await web.board.wake(await found(web, key))
    return repair_view(await found(web, key), language_of(request, web, who))


@router.get(
    "/{key}/quarantined.tar",
    response_class=StreamingResponse,
    responses={200: as_bytes("application/x-tar"), **documented(404, 422)},
)
async def quarantined(web: TheWeb, who: Owner, key: Key) -> StreamingResponse:  # noqa: ARG001
    """A database that was set aside, as it is. It holds pseudonyms, and what customers said."""
    repair = await found(web, key)
    if repair.code != "store_quarantined":
        raise Problem(404, "nothing-to-download", "nothing was set aside here", hint="Only damaged databases are")
    place = web.state.store.settings.data_dir / DIRECTORY / repair.subject
    name = f"attachment; filename={web.state.config.gateway.id}-{place.name}.tar"
    return StreamingResponse(_tar(place, web), media_type="application/x-tar", headers={"content-disposition": name})


async def _tar(place: FilePath, web: Web) -> AsyncIterator[bytes]:
    """The files of a directory as a tar, piece by piece; the last piece went out: it was taken away."""
    for path in await asyncio.to_thread(lambda: sorted(place.iterdir())):
        info = tarfile.TarInfo(f"{place.name}/{path.name}")
        with path.open("rb") as file:
            info.size, info.mode = os.fstat(file.fileno()).st_size, 0o600
            yield info.tobuf()
            left = info.size
            while left:
                chunk = await asyncio.to_thread(file.read, min(CHUNK_BYTES, left))
                if not chunk:  # nobody writes there; if somebody does, this download is no good
                    raise OSError(f"{path} got shorter")
                left -= len(chunk)
                yield chunk
        yield bytes(-info.size % tarfile.BLOCKSIZE)
    yield bytes(2 * tarfile.BLOCKSIZE)
    web.board.downloaded.add(place.name)
    await web.board.look()  # it may be deleted now


async def found(web: Web, key: str) -> Repair:
    """The repair of this key. Raises Problem."""
    repair = await web.board.get(key)
    if repair is None:
        raise Problem(404, "no-such-repair", "there is nothing of this key to mend", hint="It may be mended already")
    return repair
