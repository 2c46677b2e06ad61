"""A support bundle: what would be in it, each file to be looked at or left out, and the zip."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, Response, StreamingResponse

from gateway.web.language import Text
from gateway.web.machine.api import zipped
from gateway.web.machine.gathering import bundle_of
from gateway.web.shell import Page, show
from gateway.web.web import TheWeb, Web
from gateway.web.who import Role, Technician, Who

router = APIRouter(include_in_schema=False)

WHAT: dict[str, Text] = {
    "repairs.json": Text("What is wrong, as the page Repairs tells it"),
    "status.json": Text("The gateway at a glance, without what customers did"),
    "parts.json": Text("Parts of the daemon, and how often each began anew"),
    "figures.json": Text("Counters: what passed on each line, how long things took"),
    "logs.jsonl": Text("The last lines of the log"),
    "configuration.json": Text("The configuration; of secrets, only whether they are set"),
    "machine.json": Text("Power, temperature, wear, memory"),
    "versions.json": Text("What is installed"),
    "files.json": Text("Names and sizes of the gateway's files"),
    "database.json": Text("Tables of the database, and how many rows each has"),
    "commands.json": Text("The last commands to dispensers, without what they carried"),
    "ledger.json": Text("How many events of each dispenser and day"),
    "certificates.json": Text("Whose certificates are used, and until when"),
}


async def _context(web: Web, who: Who, query: Mapping[str, str]) -> Mapping[str, Any]:  # noqa: ARG001
    found = await (await bundle_of(web)).preview()
    return {"files": [(file.name, WHAT[file.name], file.size_bytes) for file in found.files]}


PAGE = Page("bundle", Text("Support bundle"), _context, (), "bundle/page.html", Role.TECHNICIAN, menu="system")


@router.get("/system/bundle")
async def page(request: Request, web: TheWeb, who: Technician) -> HTMLResponse:  # noqa: ARG001
    """What would be in it."""
    return await show(request, web, PAGE)


@router.get("/system/bundle/{name}")
async def file(web: TheWeb, who: Technician, name: str) -> Response:  # noqa: ARG001
    """One file, to be read."""
    return Response(await (await bundle_of(web)).one(name), media_type="text/plain; charset=utf-8")


@router.post("/system/bundle", response_model=None)
async def download(
    web: TheWeb,
    who: Technician,  # noqa: ARG001
    keep: Annotated[list[str] | None, Form(max_length=50)] = None,
) -> StreamingResponse:
    """The zip, of the files that were ticked."""
    return await zipped(web, {name for name in WHAT if name not in (keep or [])})
