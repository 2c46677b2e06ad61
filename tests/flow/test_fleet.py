"""From a running gateway to `picante cloud fleet`: what it tells of itself, and that it has fallen silent."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from click.testing import CliRunner, Result

from picante.cli import main
from tests.flow.world import Kafka, Mqtt, World, world
from tests.waiting import wait_until

SCENARIO = """\
[load]
total = 300
ask_share = 0.2
customers = 8

[[dispensers]]
id = "bar"
baud = 0
ring = 40
count = 2
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, kafka: Kafka, mqtt: Mqtt) -> Any:
    """A shop whose 300 events are all in Kafka, and whose gateway goes on."""
    name = f"gw-{uuid.uuid4().hex[:8]}"
    with world(tmp_path_factory.mktemp("fleet"), kafka, mqtt, SCENARIO, name) as shop:
        (shop.directory / "cloud.toml").write_text(f'[kafka]\nbootstrap = "{kafka.bootstrap}"\n')
        sim = shop.start_sim("--check")
        shop.start_gateway()
        wait_until(shop.sim_ended, 60, "all rings are empty")
        assert sim.process.returncode == 0, sim.said()
        wait_until(shop.everything_confirmed, 60, "Kafka has everything")
        yield shop


def fleet(shop: World, *options: str) -> Result:
    return CliRunner().invoke(main, ["cloud", "fleet", "--config", str(shop.directory / "cloud.toml"), *options])


def told(shop: World) -> dict[str, Any]:
    """What the fleet says of this gateway; nothing while it was not heard."""
    done = fleet(shop, "--json")
    assert done.exit_code in {0, 4}, done.output
    return next((one for one in json.loads(done.stdout) if one["gateway"] == shop.gateway_id), {})


def test_a_gateway_tells_how_it_is(shop: World) -> None:
    found = wait_until(
        lambda: told(shop) if told(shop).get("confirmed") == shop.position() else None, 60, "it is heard"
    )
    assert isinstance(found, dict)
    status = shop.get("/api/v1/status")
    assert (found["store"], found["region"], found["clock"]) == ("flow-store", "south", "known")
    assert found["software"] == status["gateway"]["version"]
    assert found["ranker"] == status["gateway"]["ranker"]
    assert (found["dispensers"], found["backlog"], found["oldest_ms"]) == (2, 0, None)
    assert found["since_start"]["sent"] == found["confirmed"] == shop.position()
    assert found["since_start"]["picks"] == status["counts"]["picks_shown"]
    assert "dispenser_offline" in found["repairs"], "the simulator has ended"
    assert not found["well"]
    table = fleet(shop)
    assert table.exit_code == 4
    [line] = [line for line in table.stdout.splitlines() if line.startswith(shop.gateway_id)]
    assert "dispenser_offline" in line


def test_the_digests_that_it_tells_are_those_of_its_profiles(shop: World) -> None:
    digests: dict[str, str] = {}
    for record in shop.read_topic("picante.gateways.v1"):
        if (value := record["value"]) and value["subject"] == shop.gateway_id:
            digests |= {subject: digest for subject, _, digest in value["data"]["digests"]}
    assert digests == shop.digests()
    assert len(digests) > 3


def test_one_that_is_no_more_is_forgotten(shop: World) -> None:
    assert shop.gateway is not None
    shop.gateway.kill()
    assert told(shop)
    assert fleet(shop, "--forget", shop.gateway_id).output == f"{shop.gateway_id} is forgotten\n"
    assert not told(shop)
