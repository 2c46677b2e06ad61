"""Whether the gateway lives, and whether it is ready."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from gateway.web.web import TheWeb

router = APIRouter()


@router.get("/healthz")
async def healthz(web: TheWeb) -> JSONResponse:
    """Whether the process and its store are fine."""
    broken = web.state.store.broken
    if broken is not None:
        return JSONResponse({"status": "broken", "reason": str(broken)}, 503)
    return JSONResponse({"status": "ok"})
