"""What people read, in their language: messages by gettext, numbers, units and dates as their country writes them.

A message stands in the code in English, with its values by name in braces. What is made before it is known who reads
it is a `Text`; templates call `_` and `ngettext`. `make messages` collects both into locale/*.po.
"""

from __future__ import annotations

import functools
import io
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, tzinfo
from gettext import GNUTranslations, NullTranslations
from importlib import resources
from typing import Any
from zoneinfo import ZoneInfo

from babel import Locale, dates, lists, numbers, units
from babel.core import negotiate_locale
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

LANGUAGES = ("en", "es", "de")
"""The first is what the code is written in."""
REMEMBERED = 4_096
"""Numbers that are known as they are written, with units and without. A page that is drawn each second has the same
ones again, and each takes 0.1 ms: the ledger of 200 dispensers has 1,200."""


@dataclass(frozen=True, slots=True)
class Text:
    """A message that is said once its reader is known: `Text("{name} is offline", name=name)`."""

    message: str
    values: dict[str, Any] = field(default_factory=dict)
    plural: str | None = None
    """What it is for other counts than one; the count is the value `n`."""

    def __init__(self, message: str, plural: str | None = None, /, **values: Any) -> None:
        object.__setattr__(self, "message", message)
        object.__setattr__(self, "plural", plural)
        object.__setattr__(self, "values", values)

    def __str__(self) -> str:
        return language("en").say(self)


@dataclass(frozen=True, slots=True)
class Amount:
    """A value of a text, with its unit by CLDR's name: `Amount(40, "milliliter")`."""

    value: float
    unit: str
    digits: int = 0


@dataclass(frozen=True, slots=True)
class Share:
    """A value of a text: a share of one, said in percent."""

    share: float


@dataclass(frozen=True, slots=True)
class Span:
    """A value of a text: a length of time."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Listed:
    """A value of a text: several, said one after the other."""

    each: tuple[Text | str, ...]


class Language:
    """One language: its messages, and how it writes numbers and dates."""

    def __init__(self, code: str, zone: tzinfo = UTC) -> None:
        self.code = code
        self.zone = zone
        self._locale = Locale.parse(code)
        self._messages = _messages(code)

    def say(self, text: Text | str) -> str:
        """A text in this language; a plain string as it is."""
        if isinstance(text, str):
            return text
        values = {name: self._value(value) for name, value in text.values.items()}
        if text.plural is None:
            return self._messages.gettext(text.message).format(**values)
        return self._messages.ngettext(text.message, text.plural, text.values["n"]).format(**values)

    def gettext(self, message: str, /, **values: Any) -> str:
        """`_` of the templates."""
        return self.say(Text(message, **values))

    def ngettext(self, message: str, plural: str, n: int, /, **values: Any) -> str:
        """`ngettext` of the templates."""
        return self.say(Text(message, plural, n=n, **values))

    def _value(self, value: Any) -> Any:
        match value:
            case Text():
                return self.say(value)
            case Amount():
                return self.unit(value.value, value.unit, value.digits)
            case Share():
                return self.percent(value.share)
            case Span():
                return self.span(value.seconds)
            case Listed():
                return lists.format_list([self.say(each) for each in value.each], locale=self._locale)
            case datetime():
                return self.when(value)
            case bool():
                return value
            case int():
                return self.number(value)
            case _:
                return value

    def number(self, value: float, digits: int = 0) -> str:
        """A number with its thousands apart."""
        return _number(self.code, value, digits)

    def percent(self, share: float, digits: int = 0) -> str:
        """A share of one."""
        pattern = self._locale.percent_formats[None].pattern  # "#,##0 %" where a space belongs there
        return numbers.format_percent(
            share, pattern.replace("#,##0", "#,##0." + "0" * digits) if digits else pattern, locale=self._locale
        )

    def unit(self, value: float, unit: str, digits: int = 0) -> str:
        """A value with its unit, by CLDR's name: `milliliter`, `celsius`, `hour`, `megabyte`."""
        return _unit(self.code, value, unit, digits)

    def symbol(self, unit: str) -> str:
        """A unit by itself, as `unit` writes it: what stands beside a field."""
        return self.unit(0, unit).removeprefix(self.number(0)).strip()

    def size(self, count: float) -> str:
        """So many bytes, in the largest unit of which there are some."""
        for unit, one in (("gigabyte", 1e9), ("megabyte", 1e6), ("kilobyte", 1e3)):
            if count >= one:
                return self.unit(count / one, unit, 0 if count >= 100 * one else 1)
        return units.format_unit(count, "byte", "long", "#,##0", self._locale)

    def when(self, moment: datetime) -> str:
        """A day and a time, in the store's time zone: the year in full, the month never to be taken for the day."""
        day = dates.format_date(moment.astimezone(self.zone), "medium", locale=self._locale)
        return f"{day}, {dates.format_time(moment, 'short', tzinfo=self.zone, locale=self._locale)}"

    def day(self, day: date) -> str:
        """A day, as a word and a number."""
        return dates.format_date(day, "medium", locale=self._locale)

    def time(self, moment: datetime) -> str:
        """A time of the day, to the second, in the store's time zone."""
        return dates.format_time(moment, "medium", tzinfo=self.zone, locale=self._locale)

    def span(self, seconds: float) -> str:
        """A length of time, in its largest unit."""
        return dates.format_timedelta(timedelta(seconds=seconds), threshold=1, format="short", locale=self._locale)

    def ago(self, then: datetime, now: datetime) -> str:
        """How long ago something was."""
        return dates.format_timedelta(then - now, add_direction=True, threshold=1, format="short", locale=self._locale)


@functools.lru_cache(REMEMBERED)
def _number(code: str, value: float, digits: int) -> str:
    return numbers.format_decimal(value, _decimal(digits), locale=code)


@functools.lru_cache(REMEMBERED)
def _unit(code: str, value: float, unit: str, digits: int) -> str:
    return units.format_unit(value, unit, "short", _decimal(digits), code)


def _decimal(digits: int) -> str:
    return "#,##0" + ("." + "0" * digits if digits else "")


@functools.cache
def _messages(code: str) -> NullTranslations:
    if code == LANGUAGES[0]:
        return NullTranslations()
    file = resources.files("gateway.web").joinpath("locale", f"{code}.po")
    if not file.is_file():
        return NullTranslations()
    compiled = io.BytesIO()
    with file.open("rb") as po:
        write_mo(compiled, read_po(po, locale=code))
    compiled.seek(0)
    return GNUTranslations(compiled)


@functools.cache
def language(code: str, timezone: str | None = None) -> Language:
    """The language of this code, with the times of this time zone; without one, of UTC."""
    return Language(code, UTC if timezone is None else ZoneInfo(timezone))


def load_languages() -> None:
    """Read the messages of all languages, and how their countries write: 0.1 s of a PC."""
    for code in LANGUAGES:
        language(code).number(1)


def preferred(chosen: str | None, accepted: str) -> str:
    """The language to answer in: what somebody chose, or what their browser's Accept-Language prefers."""
    if chosen in LANGUAGES:
        return chosen
    wanted: list[tuple[float, str]] = []
    for part in accepted[:500].split(","):
        tag, _, quality = part.strip().partition(";q=")
        try:
            wanted.append((-float(quality or 1), tag))
        except ValueError:
            continue
    tags = [tag for _, tag in sorted(wanted, key=lambda each: each[0])]
    return negotiate_locale(tags, LANGUAGES, sep="-") or LANGUAGES[0]
