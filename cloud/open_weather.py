"""A weather service of OpenWeatherMap's shape: its current weather at a place -> `Weather`, or why there is none.

    GET URL?lat=48.85&lon=2.35&units=metric&appid=KEY
    {"dt": 1544194800, "main": {"temp": 9.25, "feels_like": 8.25, "humidity": 87}, "weather": [{"main": "Drizzle"}]}

Nothing that a service answers, or does not, is an error here: weather that nobody knows is a feature that is missing. A
member that makes no sense is left out by itself. Whoever ignores `units` tells temperatures in kelvins, whose numbers
no place on Earth has in degrees Celsius.
"""

from __future__ import annotations

import asyncio
import logging
import math
import re
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Literal, NamedTuple, Self

import httpx
import msgspec

from heat.errors import ConfigError

DEADLINE_S = 10.0
"""s for an answer, whole."""
MAX_BYTES = 65_536
"""bytes of an answer; real ones have 500."""
OLDEST_MS = 3 * 60 * 60 * 1000
"""ms; what was measured longer ago says nothing of now: the station is silent."""
AHEAD_MS = 10 * 60 * 1000
"""ms that a station's clock may be ahead of ours."""
REFUSED_PAUSE_S = 3600.0
LEAST_PAUSE_S, MOST_PAUSE_S = 60.0, 86_400.0
"""s for which nothing is asked after 429, whatever `Retry-After` says."""

_CELSIUS = -100.0, 70.0
_KELVIN = 170.0, 345.0
_WORD = re.compile(r"[A-Za-z][A-Za-z ]{0,31}\Z")


class Spot(NamedTuple):
    """A place on Earth, in hundredths of a degree: about a kilometre. Stores that share one share its weather."""

    latitude: int
    longitude: int

    def __str__(self) -> str:
        return f"{self.latitude / 100:.2f},{self.longitude / 100:.2f}"


def spot_of(latitude: float, longitude: float) -> Spot:
    """The spot at these degrees."""
    return Spot(round(latitude * 100), round(longitude * 100))


class Weather(msgspec.Struct, frozen=True, kw_only=True):
    """What it was like, as far as it was told. The members mean what they mean in `cloud_sync.published.Context`."""

    as_of_ms: int
    centi_celsius: int | None = None
    feels_centi_celsius: int | None = None
    humidity_percent: int | None = None
    weather: str | None = None


class NoWeather(msgspec.Struct, frozen=True):
    """Why there is none."""

    reason: Literal["refused", "too_many", "unavailable", "unusable"]
    """`refused`: our key. `too_many`: we asked too often. `unavailable`: it may be there again in a minute."""
    detail: str
    """For a log line: nothing of what was sent or received, since the key is in the one and anything in the other."""
    pause_s: float = 0.0
    """s for which the service is not to be asked for any place."""


class OpenWeather:
    """Asks the service."""

    def __init__(self, url: str, key: Callable[[], str], deadline_s: float = DEADLINE_S) -> None:
        """`key` is asked at each request, so that one that was renewed counts; it may raise ConfigError."""
        self._url = url
        self._key = key
        self._deadline_s = deadline_s
        self._client = httpx.AsyncClient(timeout=deadline_s, headers={"accept-encoding": "identity"})
        for name in ("httpx", "httpcore"):
            logging.getLogger(name).setLevel(logging.WARNING)  # below it they write addresses, and ours holds the key

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def ask(self, spot: Spot, now_ms: int) -> Weather | NoWeather:
        """The weather at a spot, for `now_ms` (Unix time). One request, and never an error."""
        latitude, longitude = str(spot).split(",")
        try:
            asked = {"lat": latitude, "lon": longitude, "units": "metric", "appid": self._key()}
            request = self._client.stream("GET", self._url, params=asked)
            async with asyncio.timeout(self._deadline_s), request as response:
                if response.status_code != 200:
                    return _failed(response.status_code, response.headers.get("retry-after"), now_ms)
                body = bytearray()
                async for chunk in response.aiter_raw():
                    body += chunk
                    if len(body) > MAX_BYTES:
                        return NoWeather("unusable", f"more than {MAX_BYTES} bytes")
        except ConfigError as error:
            return NoWeather("refused", str(error), REFUSED_PAUSE_S)
        except TimeoutError:
            return NoWeather("unavailable", f"no answer within {self._deadline_s:g} s")
        except httpx.HTTPError as error:
            return NoWeather("unavailable", type(error).__name__)
        return parse(bytes(body), now_ms)


def parse(body: bytes, now_ms: int) -> Weather | NoWeather:
    """The weather that an answer tells, for `now_ms` (Unix time)."""
    try:
        answer = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return NoWeather("unusable", "not JSON")
    if not isinstance(answer, dict):
        return NoWeather("unusable", "not an object")
    if (code := _code(answer.get("cod"))) not in (None, 200):
        return _failed(code or 0, None, now_ms)  # some say 200 in HTTP, and what they mean in the body
    measured_s = _number(answer.get("dt"), 0, 2**40)
    if measured_s is None:
        return NoWeather("unusable", "it does not say when it was measured")
    as_of_ms = int(measured_s * 1000)
    if not now_ms - OLDEST_MS <= as_of_ms <= now_ms + AHEAD_MS:
        return NoWeather("unusable", f"measured {(now_ms - as_of_ms) // 60_000} minutes ago")
    return _weather(answer, as_of_ms)


def _weather(answer: dict[str, Any], as_of_ms: int) -> Weather | NoWeather:
    main = answer.get("main")
    numbers = main if isinstance(main, dict) else {}
    humidity = _number(numbers.get("humidity"), 0, 100)
    found = Weather(
        as_of_ms=as_of_ms,
        centi_celsius=_centi_celsius(numbers.get("temp")),
        feels_centi_celsius=_centi_celsius(numbers.get("feels_like")),
        humidity_percent=None if humidity is None else round(humidity),
        weather=_word(answer.get("weather")),
    )
    return NoWeather("unusable", "it tells nothing") if found == Weather(as_of_ms=as_of_ms) else found


def _failed(status: int, retry_after: str | None, now_ms: int) -> NoWeather:
    detail = f"status {status}"
    if status in (401, 403):
        return NoWeather("refused", detail, REFUSED_PAUSE_S)
    if status == 429:
        return NoWeather("too_many", detail, _pause_s(retry_after, now_ms))
    return NoWeather("unavailable" if status >= 500 else "unusable", detail)


def _pause_s(retry_after: str | None, now_ms: int) -> float:
    """`Retry-After`, in seconds or as a date; an hour where it is none."""
    text = retry_after or ""
    if re.fullmatch(r"[0-9]{1,9}", text):
        wanted_s = float(text)
    else:
        try:
            wanted_s = parsedate_to_datetime(text).timestamp() - now_ms / 1000
        except (ValueError, OverflowError):
            wanted_s = REFUSED_PAUSE_S
    return min(max(wanted_s, LEAST_PAUSE_S), MOST_PAUSE_S)


def _code(value: object) -> int | None:
    if isinstance(value, str) and re.fullmatch(r"[0-9]{3}", value):
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _number(value: object, low: float, high: float) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        return None
    return value if math.isfinite(value) else None


def _centi_celsius(value: object) -> int | None:
    if (celsius := _number(value, *_CELSIUS)) is not None:
        return round(celsius * 100)
    kelvin = _number(value, *_KELVIN)
    return None if kelvin is None else round(kelvin * 100) - 27_315


def _word(value: object) -> str | None:
    first = value[0] if isinstance(value, list) and value else None
    word = first.get("main") if isinstance(first, dict) else None
    return word if isinstance(word, str) and _WORD.match(word) else None
