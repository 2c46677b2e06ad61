"""What sensors say on the page and in the API, from a SAMPLE on a link to the answer."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from firmware_bridge.codec import body_map
from firmware_bridge.messages import Channel, Hello, Sample, Series
from firmware_bridge.verbs import AnyArguments, Calibrate, Prime
from gateway.aggregates import MINUTE_MS
from gateway.forecast import Forecast
from gateway.orders import Order
from gateway.plausibility import Finding
from gateway.web.readings import FRESH_MS
from gateway.web.repairs.of_sensors import sensor_repairs
from tests.gateway.web.conftest import Inside, Shop, inside_of, open_shop
from tests.waiting import wait_until, wait_until_async

NOZZLE = (1, "table-red", 500)


def sampled(inside: Inside, hello: Hello, *series: Series, back_ms: int = 0, period_ms: int = 1_000) -> int:
    """A SAMPLE whose last value was read so long ago; when that was, in the gateway's uptime."""
    now_ms = inside.state.clock.now().boot_ms
    inside.state.samples.take(
        hello.dispenser, Sample(uptime_ms=now_ms - back_ms, period_ms=period_ms, series=series, shed=2)
    )
    return now_ms - back_ms


@pytest.fixture
async def hello(inside: Inside) -> Hello:
    """A dispenser that booted with this machine."""
    hello = inside.hello(NOZZLE)
    inside.state.samples.readings[hello.dispenser].began_ms = 0

    async def there() -> bool:
        return bool((await inside.json("/api/v1/dispensers"))["dispensers"])

    await wait_until_async(there, 5, "its HELLO is stored")
    return hello


async def test_what_sensors_said_long_ago_is_grey_with_its_age(inside: Inside, hello: Hello) -> None:
    sampled(inside, hello, Series(Channel.LEVEL, 1, (500,)), Series(Channel.TEMPERATURE, 0, (2031,)))
    pages = (f"/dispensers/{hello.dispenser}", f"/dispensers/{hello.dispenser}/readings", "/dispensers")
    for page in pages:
        text = (await inside.client.get(page)).raise_for_status().text
        assert 'class="reading"' in text, page
        assert 'class="reading stale"' not in text, page
    inside.state.samples.readings[hello.dispenser].at_ms -= 31_000
    for page, greyed in zip(pages, (2, 1, 1), strict=True):
        text = (await inside.client.get(page)).raise_for_status().text
        assert text.count('class="reading stale"') == greyed, page
        assert text.count('data-period="10"') == greyed, page


async def test_what_was_counted_is_true_until_the_dispenser_goes(inside: Inside, hello: Hello) -> None:
    pages = {"/dispensers": 1, f"/dispensers/{hello.dispenser}": 1, f"/dispensers/{hello.dispenser}/nozzles": 1}
    for page in pages:
        assert "reading stale" not in (await inside.client.get(page)).raise_for_status().text, page
    known = inside.state.dispensers.known[hello.dispenser]
    known.link, known.since = None, known.since - 31
    for page, greyed in pages.items():
        text = (await inside.client.get(page)).raise_for_status().text
        assert text.count('class="reading stale"') == greyed, page


async def test_the_newest_readings_are_told_of_each_dispenser(inside: Inside, hello: Hello) -> None:
    [dispenser] = (await inside.json("/api/v1/dispensers"))["dispensers"]
    assert dispenser["readings"] is None
    sampled(
        inside,
        hello,
        *(Series(Channel.LEVEL, 1, (502, 498)), Series(Channel.FLOW, 1, (0, 31))),
        *(Series(Channel.TEMPERATURE, 0, (2031,)), Series(Channel.DOOR, 0, (1,)), Series(Channel.DRIP_TRAY, 0, (0,))),
    )
    [dispenser] = (await inside.json("/api/v1/dispensers"))["dispensers"]
    readings = dispenser["readings"]
    assert 0 <= readings.pop("age_s") < 5
    assert readings == {
        "temperature_c": 20.31,
        "door_open": True,
        "drip_tray_full": False,
        "nozzles": [{"nozzle": 1, "level_ml": 498, "flow_pulses": 31}],
        "shed": 2,
    }


async def level(inside: Inside) -> tuple[int, str, int]:
    """Of the first bottle: what is told, where from, and what is counted."""
    [dispenser] = (await inside.json("/api/v1/dispensers"))["dispensers"]
    [nozzle] = dispenser["nozzles"]
    return nozzle["level_ml"], nozzle["level_from"], nozzle["counted_ml"]


async def test_a_level_is_what_its_sensor_says_and_else_what_was_counted(inside: Inside, hello: Hello) -> None:
    assert await level(inside) == (500, "count", 500)
    sampled(inside, hello, Series(Channel.LEVEL, 1, (310, 306)))
    assert await level(inside) == (308, "sensor", 500)
    inside.state.samples.findings = {hello.dispenser: [Finding("stuck_level", 1, 0)]}
    assert await level(inside) == (500, "count", 500)
    inside.state.samples.findings = {}
    inside.state.samples.readings[hello.dispenser].levels[1].at_ms -= FRESH_MS + 1
    assert await level(inside) == (500, "count", 500)
    inside.state.dispensers.known[hello.dispenser].link = None
    assert await level(inside) == (308, "sensor", 500), "of one that is away the last word stands"


async def test_a_bottle_that_leaks_is_low_by_its_sensor(inside: Inside, hello: Hello) -> None:
    sampled(inside, hello, Series(Channel.LEVEL, 1, (40,)))
    assert (await inside.repair("bottle_low"))["what"] == "Table Red is down to 40 mL"


async def test_a_gauge_s_noise_moves_no_level(inside: Inside, hello: Hello) -> None:
    told = []
    for values in ((311, 304, 309), (301, 306, 314), (-4, 2, -4)):
        sampled(inside, hello, Series(Channel.LEVEL, 1, values))
        told.append((await level(inside))[0])
    assert told == [308, 308, 0]


async def test_the_page_marks_a_bottle_with_a_flaw_and_tells_of_the_rest_in_a_line(
    inside: Inside, hello: Hello
) -> None:
    inside.state.samples.findings = {hello.dispenser: [Finding("leak", 1, 0, 2.3), Finding("drift", 1, 0, 0.06)]}
    inside.state.samples.forecasts = {(hello.dispenser, 1): Forecast(5.2, 3.9, 8.1)}
    sampled(
        inside,
        hello,
        *(Series(Channel.LEVEL, 1, (308,)), Series(Channel.TEMPERATURE, 0, (2031,))),
        *(Series(Channel.DOOR, 0, (1,)), Series(Channel.DRIP_TRAY, 0, (1,))),
    )

    async def page() -> str:
        text = (await inside.client.get(f"/dispensers/{hello.dispenser}")).raise_for_status().text
        return text if "308 mL" in text else ""

    text = await wait_until_async(page, 5, "the level is on the page")
    said = " ".join(re.sub(r"<[^>]*>", " ", text).split())
    assert 'aria-label="1: Table Red, 308 mL"' in text
    assert '<g class="flaw">' in text
    assert "leaks its meter is off 308 mL empty in about 5 hr" in said
    assert "Temperature 20.3°C Door open Drip tray full" in said
    assert "counted from pours" not in said  # all are read by sensors


async def test_kept_values_are_answered_by_column(inside: Inside, hello: Hello) -> None:
    at_ms = sampled(inside, hello, Series(Channel.LEVEL, 1, (500, 499, 497)), back_ms=3 * MINUTE_MS)
    await inside.state.samples.turn()
    offset_ms = inside.state.clock.offset_ms
    assert offset_ms is not None
    path = "/api/v1/dispensers/hot-bar-1/samples?channel=level&nozzle=1"
    raw = await inside.json(f"{path}&resolution=raw")
    assert raw["columns"]["value"] == [500, 499, 497]
    assert raw["columns"]["time_ms"] == [at_ms + offset_ms - back for back in (2_000, 1_000, 0)]
    minutes = await inside.json(path)
    assert sum(minutes["columns"]["n"]) == 3
    assert sum(minutes["columns"]["sum"]) == 1_496
    assert (minutes["unit"], minutes["resolution"], minutes["next"]) == ("ml", "minute", None)
    later = await inside.json(f"{path}&since={at_ms + offset_ms + MINUTE_MS}")
    assert later["columns"]["n"] == []
    other = await inside.json("/api/v1/dispensers/hot-bar-1/samples?channel=flow&nozzle=1")
    assert other["columns"]["n"] == []


async def test_a_long_answer_comes_in_parts(inside: Inside, hello: Hello, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.web.dispensers.sensors.MAX_ROWS", 3)
    for minutes in range(9, 2, -1):
        sampled(inside, hello, Series(Channel.LEVEL, 1, (500 + minutes,)), back_ms=minutes * MINUTE_MS)
    await inside.state.samples.turn()
    path: str | None = "/api/v1/dispensers/hot-bar-1/samples?channel=level&nozzle=1"
    parts: list[list[int]] = []
    while path is not None:
        answer = await inside.json(path)
        parts.append(answer["columns"]["last"])
        following = answer["next"]
        path = following and f"/api/v1/dispensers/hot-bar-1/samples?channel=level&nozzle=1&since={following}"
    assert parts == [[509, 508, 507], [506, 505, 504], [503]]


async def test_what_can_not_be_answered_is_told(inside: Inside, hello: Hello) -> None:
    for query, status in (
        ("nobody/samples?channel=level", 404),
        (f"{hello.dispenser}/samples", 422),
        (f"{hello.dispenser}/samples?channel=humidity", 422),
        (f"{hello.dispenser}/samples?channel=level&nozzle=300", 422),
        (f"{hello.dispenser}/samples?channel=level&since=-1", 422),
        (f"{hello.dispenser}/samples?channel=level&resolution=hour", 422),
    ):
        assert (await inside.client.get(f"/api/v1/dispensers/{query}")).status_code == status, query


FINDINGS: list[tuple[Finding, str, str]] = [
    (Finding("leak", 1, 0, 2.34), "bottle_leaks", "Table Red leaks at nozzle 1 of hot-bar-1: about 2.3 mL an hour"),
    (Finding("drift", 1, 0, 0.06), "meter_drifts", "6% more flows"),
    (Finding("drift", 2, 0, -0.06), "meter_drifts", "6% less flows"),
    (Finding("stuck_level", 1, 0), "level_sensor_stuck", "level sensor on nozzle 1 of hot-bar-1"),
    (Finding("stuck_thermometer", 0, 0, 2006), "thermometer_stuck", "20.1°C"),
    (Finding("too_warm", 0, 0, 3140), "cabinet_too_warm", "too warm: 31.4°C"),
    (Finding("too_cold", 0, 0, 210), "cabinet_too_cold", "too cold: 2.1°C"),
    (Finding("door_open", 0, 0), "door_open", "door of hot-bar-1 stands open"),
    (Finding("tray_full", 0, 0), "drip_tray_full", "tray of hot-bar-1 is full"),
]


async def test_each_finding_is_one_warning_with_a_remedy(inside: Inside, hello: Hello) -> None:
    inside.state.samples.findings = {hello.dispenser: [finding for finding, _, _ in FINDINGS]}
    await inside.repair("drip_tray_full")
    repairs = (await inside.json("/api/v1/status"))["repairs"]
    assert sorted(repair["code"] for repair in repairs) == sorted(code for _, code, _ in FINDINGS)
    for _, code, words in FINDINGS:
        assert any(one["code"] == code and words in one["what"] and one["steps"] for one in repairs), code
    metrics = (await inside.client.get("/metrics")).text
    assert 'picante_findings{kind="drift"} 2.0' in metrics
    inside.state.samples.findings = {}
    await inside.no_repairs()


async def test_a_bottle_that_will_be_empty_soon_is_told_of(inside: Inside, hello: Hello) -> None:
    inside.state.samples.forecasts = {(hello.dispenser, 1): Forecast(5.2, 3.9, 8.1)}
    repair = await inside.repair("bottle_ending")
    assert repair["what"] == "Table Red will be empty in about 5 hr (4 hr to 8 hr)"
    [dispenser] = (await inside.json("/api/v1/dispensers"))["dispensers"]
    assert dispenser["nozzles"][0]["empty_in"] == {"hours": 5.2, "earliest_h": 3.9, "latest_h": 8.1}
    inside.state.samples.forecasts = {(hello.dispenser, 1): Forecast(20.0, 13.0, 30.0)}
    await inside.no_repairs()


async def test_a_damaged_file_is_told_of_and_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "gateway").mkdir()
    (tmp_path / "gateway" / "samples.db").write_bytes(b"no database" * 1_000)
    async with inside_of(tmp_path) as inside:
        hello = inside.hello(NOZZLE)
        sampled(inside, hello, Series(Channel.LEVEL, 1, (500,)))
        await inside.state.samples.turn()
        repair = await inside.repair("samples_begun_anew")
        assert "damaged" in repair["what"]
        sampled(inside, hello, Series(Channel.LEVEL, 1, (500,)))
        await inside.state.samples.turn()
        assert inside.state.samples.file.held is None
        for held, word in (("gone", "gone"), ("locked", "locked"), ("disk", "room")):
            inside.state.samples.file.held = held  # type: ignore[assignment]
            [told] = sensor_repairs(inside.state, [])
            assert (told.code, word in str(told.what)) == ("samples_held", True)
        await inside.repair("samples_held")


async def test_a_calibration_that_was_done_has_the_meter_learned_anew(inside: Inside, hello: Hello) -> None:
    sampled(inside, hello, Series(Channel.LEVEL, 1, (500,)), back_ms=3 * MINUTE_MS)
    await inside.state.samples.turn()
    watch = inside.state.samples._judge._dispensers[hello.dispenser].nozzles[1]
    for arguments, left in (
        (Prime(nozzle=1, duration_ms=500), 90.0),
        (Calibrate(nozzle=1, pulses_per_litre=98_000), None),
    ):
        watch.pulses_per_ml = 90.0
        inside.state.commands.done(_order(hello.dispenser, arguments))
        await inside.state.samples.turn()
        assert watch.pulses_per_ml == left


def _order(dispenser: str, arguments: AnyArguments) -> Order:
    body = msgspec.msgpack.encode(body_map(arguments))
    return Order("00" * 16, dispenser, arguments.verb, body, "test", 0, 60_000, None, 1, 60_000, "done")


# -- dispensers on real lines ---------------------------------------------------------------------------------------

_READ = """\
store = "mercado-12"

[[dispensers]]
id = "hot-bar-1"
nozzles = ["garden-green", "table-red"]
sample_hz = 20

[[dispensers]]
id = "hot-bar-2"
baud = 9600
sample_hz = 10
nozzles = 12
"""


def test_a_dispenser_s_sensors_reach_the_api(tmp_path: Path) -> None:
    with open_shop(tmp_path, scenario=_READ) as shop:

        def readings(name: str = "hot-bar-1") -> dict[str, Any] | None:
            found = shop.json("/api/v1/dispensers")["dispensers"]
            told: dict[str, Any] | None = next(one["readings"] for one in found if one["name"] == name)
            return told

        shop.ask("door", dispenser="hot-bar-1", to="open")
        wait_until(lambda: (readings() or {}).get("door_open"), 20, "the door is told of at once")
        shop.ask("pour", dispenser="hot-bar-1", nozzle=2, ml=5)
        # it pours until it has counted 500; a busy machine may have it shed some of what it tells
        wait_until(lambda: 0 < _flowed(shop) <= 500, 30, "its pulses are kept")
        wait_until(lambda: readings("hot-bar-2") is not None, 30, "a slow line has room for readings, too")


def _flowed(shop: Shop) -> int:
    answer = shop.get("/api/v1/dispensers/hot-bar-1/samples?channel=flow&nozzle=2&resolution=raw")
    return sum(json.loads(answer.text)["columns"]["value"])
