"""What a person at the machine may have the daemon do. `gateway.web.guard` names these paths, and keeps pages away."""

from __future__ import annotations

from fastapi import APIRouter

from gateway.web import views
from gateway.web.answers import SyncView
from gateway.web.problems import Problem, documented
from gateway.web.web import TheWeb

router = APIRouter(prefix="/api/v1", tags=["v1"])


@router.post("/uplink/adopt", responses=documented(409))
async def adopt(web: TheWeb) -> SyncView:
    """Have a stopped uplink go on: whoever wrote its position was this gateway, with another card or database."""
    uplink = web.state.uplink
    if uplink is None or uplink.status.foreign_instance is None:
        hint = "Only an uplink that is stopped, as another gateway wrote its position, can be told to go on"
        raise Problem(409, "not-stopped", "the uplink is not stopped", hint=hint)
    await uplink.adopt()
    return views.sync_view(web.state, web.watch)
