"""Words, numbers, units and dates as their readers write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from gateway.web.language import Language, Text, language, preferred

MADRID = ZoneInfo("Europe/Madrid")
SPRING = datetime(2026, 3, 29, 0, 59, 30, tzinfo=UTC)
"""Half a minute before clocks in Madrid go from 02:00 to 03:00."""


@pytest.mark.parametrize(
    ("code", "number", "percent", "unit", "span", "ago"),
    [
        ("en", "1,234.5", "12.3%", "1,234.5 mL", "2 hr", "2 hr. ago"),
        ("de", "1.234,5", "12,3\u00a0%", "1.234,5 ml", "2 Std.", "vor 2 Std."),
        ("es", "1.234,5", "12,3\u00a0%", "1.234,5 ml", "2 h", "hace 2 h"),
    ],
)
def test_each_country_writes_its_own_way(code: str, number: str, percent: str, unit: str, span: str, ago: str) -> None:
    lang = language(code)
    assert lang.number(1234.5, 1) == number
    assert lang.percent(0.1234, 1) in {percent, percent.replace("\u00a0", "")}
    assert lang.unit(1234.5, "milliliter", 1).replace("\u00a0", " ") == unit
    assert lang.span(2 * 3600) == span
    assert lang.ago(SPRING, SPRING + timedelta(hours=2)) == ago


def test_the_time_is_the_shops_also_when_clocks_change() -> None:
    lang = Language("de", MADRID)
    assert lang.time(SPRING) == "01:59:30"
    assert lang.time(SPRING + timedelta(minutes=1)) == "03:00:30"
    assert lang.when(SPRING + timedelta(minutes=1)) == "29.03.2026, 03:00"
    late = datetime(2026, 11, 11, 23, 30, tzinfo=UTC)
    told = [Language(code, MADRID).when(late).replace("\u202f", " ") for code in ("en", "de", "es")]
    assert told == ["Nov 12, 2026, 12:30 AM", "12.11.2026, 00:30", "12 nov 2026, 0:30"]
    autumn = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert [lang.time(autumn + timedelta(hours=hours)) for hours in (0, 1)] == ["02:30:00", "02:30:00"]


def test_sizes_are_said_as_words_are() -> None:
    assert [language("en").size(count) for count in (20, 8_800, 74_600_000_000)] == ["20 bytes", "8.8 kB", "74.6 GB"]


def test_a_message_has_its_values_and_its_number() -> None:
    lang = language("en")
    assert [lang.ngettext("{n} pour", "{n} pours", n) for n in (0, 1, 1234)] == ["0 pours", "1 pour", "1,234 pours"]
    assert lang.say(Text("{what}, {where}", what=Text("Tank low"), where="bar {1}")) == "Tank low, bar {1}"
    assert str(Text("{n} pour", "{n} pours", n=2)) == "2 pours"
    assert lang.say("as it is {x}") == "as it is {x}"


@pytest.mark.parametrize(
    ("chosen", "accepted", "code"),
    [
        ("de", "es", "de"),
        (None, "es-MX,es;q=0.9,en;q=0.8", "es"),
        (None, "fr, de;q=0.5", "de"),
        (None, "en;q=0.1, de;q=0.5", "de"),
        (None, "fr", "en"),
        (None, "", "en"),
        (None, ";;;q=x,\0", "en"),
        ("xx", "de", "de"),
    ],
)
def test_the_language_is_the_one_chosen_or_preferred(chosen: str | None, accepted: str, code: str) -> None:
    assert preferred(chosen, accepted) == code


def test_a_number_is_written_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    lang = language("de")
    told = [lang.number(7_654_321), lang.unit(765.4321, "milliliter", 2)]
    monkeypatch.setattr("babel.numbers.format_decimal", None)  # what writes them out, with units, too
    monkeypatch.setattr("babel.units.format_unit", None)
    assert [lang.number(7_654_321), lang.unit(765.4321, "milliliter", 2)] == told == ["7.654.321", "765,43\u00a0ml"]
