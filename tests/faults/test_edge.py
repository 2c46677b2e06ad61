"""Where the promise ends: a database that is not the one Kafka knows, and a gateway that runs twice.

Whatever happens, a reader of the topic finds every event, in order where it comes for the first time, and what comes
again carries `redelivered`.
"""

from __future__ import annotations

import asyncio
import secrets
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx

from cloud_sync.envelope import Received
from hw_sim.control import call
from hw_sim.journal import read_journal
from tests.cloud_sync.kafka_reading import read_events
from tests.flow.verdict import generated
from tests.flow.world import Kafka, Mqtt, World, world
from tests.servers import MosquittoServer
from tests.waiting import wait_until

PATIENCE_S = 60.0
LOAD = """\
[load]
events_per_s = 200
ask_share = 0.02
customers = 10

[[dispensers]]
id = "{name}"
baud = 0
count = 2
"""


def name() -> str:
    return f"gw-edge-{secrets.token_hex(4)}"


def sync_of(shop: World) -> dict[str, Any]:
    answer: dict[str, Any] = shop.get("/api/v1/sync")
    return answer


def told(shop: World) -> list[dict[str, Any]]:
    """What the page says about the way to Kafka."""
    repairs = shop.get("/api/v1/status")["repairs"]
    return [repair for repair in repairs if repair["code"].startswith(("sync_", "part_"))]


def found(shop: World) -> list[Received]:
    """What a committed reader sees of this gateway, partition by partition, in order."""
    parts = asyncio.run(read_events(shop.bootstrap, shop.gateway_id))
    return [event for _, events in sorted(parts.items()) for event in events]


def made(shop: World) -> set[str]:
    """What the dispensers made, as far as it has left them: call it while they rest."""
    return generated(read_journal(shop.directory / "sim" / "journal.jsonl"))


def rest(shop: World) -> None:
    """Let the dispensers rest, and all that they made go up."""
    call(shop.socket, {"do": "pause"})
    wait_until(lambda: not held(shop), PATIENCE_S, "the rings are empty")
    wait_until(shop.everything_confirmed, PATIENCE_S, "Kafka has everything")


def held(shop: World) -> int:
    """Events that are still on the dispensers."""
    return sum(dispenser["held"] for dispenser in call(shop.socket, {"do": "status"})["dispensers"].values())


def serve(shop: World, rows: int) -> None:
    """Let the dispensers make events until Kafka has so many rows more."""
    call(shop.socket, {"do": "resume"})
    before = shop.confirmed()
    wait_until(lambda: shop.confirmed() >= before + rows, PATIENCE_S, f"{rows} rows more are in Kafka")


def assert_each_once_or_marked(shop: World) -> int:
    """Nothing is lost; how many events came again, all of them marked."""
    seen: set[str] = set()
    again = 0
    for event in found(shop):
        identity = str(event.id)
        if identity in seen:
            assert event.redelivered, f"{identity} came again without a mark"
            again += 1
        seen.add(identity)
    missing = made(shop) - seen
    assert not missing, f"lost: {sorted(missing)[:10]} of {len(missing)}"
    return again


# -- a database that Kafka does not know ---------------------------------------------------------------------------


def back_up(shop: World, to: Path) -> Path:
    """A copy as SQLite makes it, of a database that may be at work."""
    with closing(sqlite3.connect(shop.database)) as source, closing(sqlite3.connect(to)) as target:
        source.backup(target)
    return to


def lose(shop: World) -> None:
    """Remove the database; what lies beside it stays."""
    for path in shop.database.parent.glob("gateway.db*"):
        path.unlink()


def test_a_database_put_back_or_begun_anew_goes_on_by_itself(tmp_path: Path, kafka: Kafka, mqtt: Mqtt) -> None:
    with world(tmp_path, kafka, mqtt, LOAD.format(name="bar"), name()) as shop:
        shop.start_sim()
        gateway = shop.start_gateway()
        serve(shop, 300)
        warm = back_up(shop, tmp_path / "warm.db")
        serve(shop, 200)
        gateway.stop()
        cold = back_up(shop, tmp_path / "cold.db")
        gateway = shop.start_gateway()
        serve(shop, 300)
        rest(shop)
        assert sync_of(shop)["epoch"] == 1
        assert assert_each_once_or_marked(shop) == 0
        for epoch, backup in enumerate((cold, warm, None), 2):
            gateway.stop()
            lose(shop)
            if backup is not None:
                shutil.copy(backup, shop.database)
            call(shop.socket, {"do": "resume"})  # so that rows come in before Kafka is reached, and after
            gateway = shop.start_gateway()
            serve(shop, 100)
            rest(shop)
            sync = sync_of(shop)
            assert (sync["epoch"], sync["state"], told(shop)) == (epoch, "idle", [])
            assert 0 < sync["redelivered"] < sync["sent"], "what came after the epoch began carries no mark"
        assert assert_each_once_or_marked(shop) > 0, "no backup had rows that Kafka got later: nothing was tested"


# -- a gateway that runs twice -------------------------------------------------------------------------------------


def adopt(shop: World) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "picante", "gateway", "adopt", "--config", str(shop.directory / "gateway.toml")]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_of_a_gateway_and_its_clone_one_goes_on_and_the_other_says_so(
    tmp_path: Path, kafka: Kafka, mqtt: Mqtt, killable_mqtt: MosquittoServer
) -> None:
    for directory in (tmp_path / "shop", tmp_path / "other"):
        directory.mkdir()
    gateway_id = name()
    with (
        world(tmp_path / "shop", kafka, mqtt, LOAD.format(name="bar"), gateway_id) as shop,
        world(tmp_path / "other", kafka, killable_mqtt, LOAD.format(name="clone"), gateway_id) as clone,
    ):
        shop.start_sim()
        gateway = shop.start_gateway()
        serve(shop, 100)
        rest(shop)
        gateway.stop()
        no_socket = shutil.ignore_patterns("*.sock")  # which no copy of a card would have either
        shutil.copytree(shop.database.parent, clone.database.parent, ignore=no_socket)
        gateway = shop.start_gateway()
        serve(shop, 100)
        clone.start_sim()
        clone.start_gateway()
        repair = wait_until(lambda: told(clone), PATIENCE_S, "the clone's page says that it is one")
        assert [entry["code"] for entry in repair] == ["sync_foreign"]
        assert "picante gateway adopt" in " ".join(repair[0]["steps"])
        assert httpx.get(f"{clone.url}/readyz", timeout=20).is_success, "its dispensers are served all the same"
        wait_until(lambda: sync_of(clone)["pending"] > 50, PATIENCE_S, "the clone's dispensers fill its outbox")
        serve(shop, 200)
        rest(shop)
        assert (sync_of(shop)["state"], told(shop)) == ("idle", [])
        assert adopt(shop).returncode == 1, "the one that goes on is not stopped"
        assert assert_each_once_or_marked(shop) == 0
        strangers = {event.id.source for event in found(shop)} - {"bar-1", "bar-2", gateway_id}
        assert strangers == set(), "nothing of the clone's was merged in"

        gateway.stop()
        adopted = adopt(clone)
        assert adopted.returncode == 0, adopted.stderr
        wait_until(lambda: sync_of(clone)["sent"] > 0, PATIENCE_S, "the clone goes on in its place")
        rest(clone)
        assert told(clone) == []
        assert assert_each_once_or_marked(clone) == 0, "it has nothing that had gone up before"
        assert sync_of(clone)["redelivered"] > 0, "and marks what it had when it was adopted"
        shop.start_gateway()
        repair = wait_until(lambda: told(shop), PATIENCE_S, "now the other is told")
        assert [entry["code"] for entry in repair] == ["sync_foreign"]
