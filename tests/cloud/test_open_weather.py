"""A weather service that answers, lies, stalls and refuses."""

from __future__ import annotations

import gzip
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.open_weather import MAX_BYTES, NoWeather, OpenWeather, Spot, Weather, parse, spot_of
from heat.errors import ConfigError
from tests.cloud.weather_service import DRIZZLE, NOW_MS, Answer, Service, weather_service
from tests.servers import free_port
from tests.shared_data import weather_answers

LYON = spot_of(45.7640, 4.8357)
KEY = "5ecre7-5ecre7-5ecre7"
IN_TEN_MINUTES = format_datetime(datetime.fromtimestamp(NOW_MS / 1000 + 600, UTC), usegmt=True)
PACKED = gzip.compress(b"{}", mtime=0)  # workers that collect in different seconds must name the same tests
NONSENSE = b"", b"<html>", b"null", b"[]", b"3", b'"x"', b"{", b"\xff\xfe", b"[" * 10_000, b"{}", PACKED


@pytest.fixture
def service() -> Iterator[Service]:
    with weather_service() as running:
        yield running


async def ask(url: str, key: str = KEY, deadline_s: float = 5.0) -> Weather | NoWeather:
    async with OpenWeather(url, lambda: key, deadline_s) as client:
        return await client.ask(LYON, NOW_MS)


def told(**changes: Any) -> Weather | NoWeather:
    return parse(json.dumps(DRIZZLE | changes).encode(), NOW_MS)


async def test_a_spot_is_asked_for_and_its_weather_read(service: Service) -> None:
    assert await ask(service.url) == Weather(
        as_of_ms=NOW_MS - 300_000, centi_celsius=925, feels_centi_celsius=825, humidity_percent=87, weather="Drizzle"
    )
    assert service.asked == [{"lat": "45.76", "lon": "4.84", "units": "metric", "appid": KEY}]


@pytest.mark.parametrize(
    ("status", "headers", "expected"),
    [
        (401, {}, ("refused", 3600)),
        (403, {}, ("refused", 3600)),
        (429, {}, ("too_many", 3600)),
        (429, {"retry-after": "120"}, ("too_many", 120)),
        (429, {"retry-after": "0"}, ("too_many", 60)),
        (429, {"retry-after": "999999999"}, ("too_many", 86_400)),
        (429, {"retry-after": "soon"}, ("too_many", 3600)),
        (429, {"retry-after": IN_TEN_MINUTES}, ("too_many", 600)),
        (500, {}, ("unavailable", 0)),
        (503, {"retry-after": "120"}, ("unavailable", 0)),
        (404, {}, ("unusable", 0)),
        (302, {"location": "http://127.0.0.1:1/"}, ("unusable", 0)),
    ],
)  # fmt: skip
async def test_what_a_status_means(
    service: Service, status: int, headers: dict[str, str], expected: tuple[str, float]
) -> None:
    service.answer = lambda _asked: Answer(b"{}", status, headers)
    answer = await ask(service.url)
    assert isinstance(answer, NoWeather)
    assert (answer.reason, answer.pause_s) == expected


@pytest.mark.parametrize("body", NONSENSE)
async def test_nonsense_is_no_weather(service: Service, body: bytes) -> None:
    service.answer = lambda _asked: Answer(body)
    answer = await ask(service.url)
    assert isinstance(answer, NoWeather)
    assert answer.reason == "unusable"


async def test_a_service_that_floods_drips_or_is_gone_is_left(service: Service) -> None:
    service.answer = lambda _asked: Answer(b" " * (MAX_BYTES + 1))
    assert await ask(service.url) == NoWeather("unusable", f"more than {MAX_BYTES} bytes")
    service.answer = lambda _asked: Answer(drip_s=0.05)
    assert await ask(service.url, deadline_s=0.3) == NoWeather("unavailable", "no answer within 0.3 s")
    gone = await ask(f"http://127.0.0.1:{free_port()}/")
    assert isinstance(gone, NoWeather)
    assert (gone.reason, gone.detail) == ("unavailable", "ConnectError")


async def test_the_key_is_read_anew_and_told_to_nobody(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    await ask(service.url)
    service.answer = lambda _asked: Answer(KEY.encode(), 401)
    said = repr(await ask(service.url)) + repr(await ask(f"http://127.0.0.1:{free_port()}/"))
    assert KEY not in said + caplog.text

    def lost() -> str:
        raise ConfigError("weather-key: No such file")

    async with OpenWeather(service.url, lost) as client:
        assert await client.ask(LYON, NOW_MS) == NoWeather("refused", "weather-key: No such file", 3600)


@pytest.mark.parametrize(
    ("temperature", "centi"),
    [
        (9.25, 925),
        (0, 0),
        (-89.2, -8920),
        (282.4, 925),
        (184, -8915),
        (120, None),
        ("9", None),
        (True, None),
        (9e99, None),
    ],
)
def test_degrees_are_celsius_or_kelvin_or_left_out(temperature: object, centi: int | None) -> None:
    answer = told(main={"temp": temperature, "humidity": 50})
    assert isinstance(answer, Weather)
    assert answer.centi_celsius == centi


def test_a_member_that_makes_no_sense_is_left_out_alone() -> None:
    assert told(main={"temp": 9.25, "feels_like": None, "humidity": 101}, weather=[]) == Weather(
        as_of_ms=NOW_MS - 300_000, centi_celsius=925
    )
    assert told(main="warm", weather=[{"main": "Rain"}, {"main": "Mist"}]) == Weather(
        as_of_ms=NOW_MS - 300_000, weather="Rain"
    )
    assert told(main=[], weather={"main": "Rain"}) == NoWeather("unusable", "it tells nothing")
    assert told(main={}, weather=[{"main": "<script>"}]) == NoWeather("unusable", "it tells nothing")


@pytest.mark.parametrize(("minutes", "is_weather"), [(0, True), (179, True), (181, False), (-9, True), (-11, False)])
def test_weather_is_of_now(minutes: int, is_weather: bool) -> None:
    assert isinstance(told(dt=NOW_MS // 1000 - minutes * 60), Weather) is is_weather


@pytest.mark.parametrize(
    ("cod", "reason"), [(401, "refused"), ("404", "unusable"), ("429", "too_many"), (500, "unavailable")]
)
def test_a_failure_that_calls_itself_a_success_is_seen(cod: object, reason: str) -> None:
    answer = told(cod=cod)
    assert isinstance(answer, NoWeather)
    assert answer.reason == reason


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["dt", "main", "temp", "humidity", "weather", "cod"]), inner)
        ),
        max_leaves=20,
    )
)
def test_whatever_is_told_is_no_error(told: object) -> None:
    document = DRIZZLE | told if isinstance(told, dict) else told
    answer = parse(json.dumps(document).encode(), NOW_MS)
    if isinstance(answer, Weather):
        assert answer.humidity_percent is None or 0 <= answer.humidity_percent <= 100
        assert answer.centi_celsius is None or -10_000 <= answer.centi_celsius <= 7_200


def test_what_services_answered_elsewhere_is_weather() -> None:
    for path in weather_answers():
        measured_s = json.loads(path.read_bytes())["dt"]
        answer = parse(path.read_bytes(), measured_s * 1000 + 60_000)
        assert isinstance(answer, Weather), path.name
        assert None not in (answer.centi_celsius, answer.feels_centi_celsius, answer.humidity_percent, answer.weather)


def test_stores_within_a_hundredth_of_a_degree_share_a_spot() -> None:
    assert spot_of(45.7603, 4.8401) == spot_of(45.7598, 4.8397) == Spot(4576, 484)
    assert str(spot_of(-33.8688, -0.004)) == "-33.87,0.00"
