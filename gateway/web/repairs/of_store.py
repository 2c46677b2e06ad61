"""The store: broken, full, or set aside for damage."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from gateway.quarantine import Quarantined
from gateway.space import Full
from gateway.state import GatewayState
from gateway.web import reads
from gateway.web.hearsay import heard
from gateway.web.language import Share, Text
from gateway.web.repairs.repair import Fix, Repair, split

FULL_SHARE = 0.9
"""Share of the store's quota above which it is told of."""


def store_repairs(state: GatewayState, downloaded: set[str]) -> Iterator[Repair]:
    """The list. `downloaded`: what was set aside and has been taken away since the start."""
    store = state.store
    if store.broken is not None:
        what, steps = split(str(store.broken))
        yield Repair("store_broken", Text("The store is broken: {detail}", detail=heard(what)), steps)
    if store.full is not None:
        yield _full(store.full, store.settings.data_dir)
    else:
        yield from filling(reads.used_bytes(state.reader), store.settings.quota_bytes)
    yield from set_aside(store.quarantined, downloaded)


def filling(used_bytes: int, quota_bytes: int) -> Iterator[Repair]:
    """A database that has used most of its quota."""
    if (share := used_bytes / quota_bytes) > FULL_SHARE:
        steps = (Text("Let Kafka take what waits, or raise quota_mb in gateway.toml"),)
        yield Repair("store_filling", Text("The store is {share} full", share=Share(share)), steps)


def _full(full: Full, data_dir: Path) -> Repair:
    what, step = {
        "disk": (
            Text("The store is full: no space is left on its disk. Picks go on"),
            Text("Delete what is not needed on the disk of {path}", path=str(data_dir)),
        ),
        "quota": (
            Text("The store is full: it has used up its quota. Picks go on"),
            Text("Let Kafka take what waits, or raise quota_mb in gateway.toml"),
        ),
    }[full.of]
    ends = Text("It ends by itself when there is room")
    return Repair("store_full", what, (step, ends), since=reads.moment(full.since * 1000))


def set_aside(quarantined: Iterable[Quarantined], downloaded: set[str]) -> Iterator[Repair]:
    """What was damaged and is still here."""
    for aside in quarantined:
        place = Path(aside.directory)
        if place.exists():
            yield _set_aside(aside, place, taken=place.name in downloaded)


def _set_aside(aside: Quarantined, place: Path, *, taken: bool) -> Repair:
    if aside.part == "journal":
        what = Text("The database's journal was damaged: its last commits are lost")
    elif aside.lost is None:
        what = Text("The database was damaged, and a new one begun: what Kafka did not have is lost to it")
    else:
        what = Text(
            "The database was damaged, and a new one begun: {n} event at most had not reached Kafka",
            "The database was damaged, and a new one begun: {n} events at most had not reached Kafka",
            n=aside.lost,
        )
    download = Fix(
        "download", Text("Download it"), link=f"/api/v1/repairs/store_quarantined.{place.name}/quarantined.tar"
    )
    return Repair(
        "store_quarantined",
        what,
        (
            Text("Download it for salvage, or copy {path} away", path=str(place)),
            Text("Delete it here"),
            Text("Change the disk if this happens again"),
        ),
        place.name,
        reads.moment(aside.time * 1000),
        (download, Fix("delete", Text("Delete it"), hold=True)) if taken or aside.lost == 0 else (download,),
    )
