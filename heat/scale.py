"""Heat as a number: Scoville heat units, milli-octaves, and the words that people use.

Perceived pungency follows Weber's law, so heat lives on a logarithmic axis: `q = round(1000 * log2(1 + SHU / 16))`,
whole milli-octaves (mo). 16 SHU are 1 ppm of capsaicin; 1,000 mo are a doubling of capsaicin; pure capsaicin
(16 million SHU) is 19,932 mo. People tell 200 mo apart, laboratories disagree by about 600 mo on the same sauce, so a
heat is never a bare number: it has a standard deviation and a source.

The words (`mild`, `medium`, ...) and the dial are data with a version, one table per brand, and that version travels
with every heat made from it.
"""

from __future__ import annotations

import math
from functools import cache
from importlib import resources
from typing import Annotated, Literal

import msgspec

from heat.errors import DataError

MAX_SHU = 16_000_000
"""SHU of pure capsaicin: nothing that is sold as a sauce can be hotter."""
MAX_MO = 19_932
"""`milli_octaves(MAX_SHU)`."""
LAB_SD_MO = 600
"""mo; how far laboratories (and labels) stand apart on the same sauce."""
BANDS = 10
"""Heat bands of two octaves each: band b holds 2000*b <= q < 2000*(b+1)."""

Version = Annotated[str, msgspec.Meta(min_length=1, max_length=32)]
"""Of a word table or a catalogue; it travels with every heat made from it."""
Source = Literal["label", "shu", "word", "dial"]
"""Where a heat comes from: the sauce's label, a number, a category word, a dial."""


def milli_octaves(shu: int) -> int:
    """Heat of `shu` Scoville heat units, in milli-octaves, 0..19,932.

    Raises:
        ValueError: `shu` is below 0 or above pure capsaicin.
    """
    if not 0 <= shu <= MAX_SHU:
        raise ValueError(f"{shu} SHU is outside 0..{MAX_SHU}")
    return round(1000 * math.log2(1 + shu / 16))


def shu(milli_octaves: int) -> int:
    """The SHU nearest to a heat in milli-octaves (the inverse of `milli_octaves`, to rounding)."""
    return min(round(16 * (2 ** (milli_octaves / 1000) - 1)), MAX_SHU)


def band(milli_octaves: int) -> int:
    """The heat band (0..9) that a heat in milli-octaves falls into."""
    return min(milli_octaves // 2000, BANDS - 1)


class Heat(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One heat: how hot, how sure, and who says so."""

    shu: Annotated[int, msgspec.Meta(ge=0, le=MAX_SHU)]
    milli_octaves: Annotated[int, msgspec.Meta(ge=0, le=MAX_MO)]
    sd_milli_octaves: Annotated[int, msgspec.Meta(ge=0, le=MAX_MO)]
    source: Source
    table: Version | None = None
    """Version of what it was made from: the word table, or for a label the catalogue. None where a number was said."""


def heat_from_shu(value: int, *, source: Source = "shu", sd_milli_octaves: int = LAB_SD_MO) -> Heat:
    """A heat from a number of SHU. Raises ValueError outside 0..16,000,000."""
    return Heat(shu=value, milli_octaves=milli_octaves(value), sd_milli_octaves=sd_milli_octaves, source=source)


class Category(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A word for a range of heat, in SHU. Words are lower case; `aliases` mean the same."""

    word: str
    low_shu: Annotated[int, msgspec.Meta(ge=0, le=MAX_SHU)]
    high_shu: Annotated[int, msgspec.Meta(ge=0, le=MAX_SHU)]
    aliases: tuple[str, ...] = ()


class WordTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A brand's words and dial. `dial_*_shu` are the heats at the dial's ends, 0 and 100."""

    version: Version
    categories: tuple[Category, ...]
    dial_low_shu: Annotated[int, msgspec.Meta(ge=0, le=MAX_SHU)]
    dial_high_shu: Annotated[int, msgspec.Meta(ge=0, le=MAX_SHU)]
    dial_sd_milli_octaves: Annotated[int, msgspec.Meta(ge=1, le=MAX_MO)]

    def word(self, text: str) -> Heat | None:
        """The heat that a category word means in this table, or None for an unknown word.

        A word stands for its whole range: the heat is the middle, the deviation that of a uniform spread over it.
        """
        wanted = text.strip().lower()
        for category in self.categories:
            if wanted == category.word or wanted in category.aliases:
                low, high = milli_octaves(category.low_shu), milli_octaves(category.high_shu)
                middle = (low + high) // 2
                return self._heat(middle, max((high - low) * 289 // 1000, 1), "word")
        return None

    def dial(self, position: int) -> Heat:
        """The heat at a dial position of 0..100. Raises ValueError outside."""
        if not 0 <= position <= 100:
            raise ValueError(f"dial position {position} is outside 0..100")
        low, high = milli_octaves(self.dial_low_shu), milli_octaves(self.dial_high_shu)
        return self._heat(low + (high - low) * position // 100, self.dial_sd_milli_octaves, "dial")

    def _heat(self, q: int, sd: int, source: Source) -> Heat:
        return Heat(shu=shu(q), milli_octaves=q, sd_milli_octaves=sd, source=source, table=self.version)


def parse_words(text: bytes | str) -> WordTable:
    """A word table from its JSON. Raises DataError, with the place, if it isn't one."""
    try:
        table = msgspec.json.decode(text, type=WordTable)
    except msgspec.DecodeError as error:
        raise DataError(f"word table: {error}", hint="Compare it with heat/data/words.json") from error
    words = [word for category in table.categories for word in (category.word, *category.aliases)]
    if twice := sorted({word for word in words if words.count(word) > 1}):
        raise DataError(f"word table: {twice[0]!r} stands there twice")
    for category in table.categories:
        if category.low_shu >= category.high_shu:
            raise DataError(f"word table: {category.word!r}: low_shu must be below high_shu")
    if table.dial_low_shu >= table.dial_high_shu:
        raise DataError("word table: dial_low_shu must be below dial_high_shu")
    return table


@cache
def default_words() -> WordTable:
    """The table that ships with Picante."""
    return parse_words(resources.files("heat").joinpath("data/words.json").read_bytes())
