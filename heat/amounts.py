"""Numbers and chillies in a text -> heat: SHU, positions of a dial, runs of chillies. Pure.

    12k SHU · 1,000,000 · 50 000 scoville · 1.2M · 10k-20k SHU     a number of SHU, or the middle of a range
    7/10 heat · heat 3 out of 5 · spice level 4                    a position of the dial
    three chillies · 3 of 5 chillies · 3 x chilli                  the same, of five unless it says of how many

A number is SHU where SHU stand beside it, or where the text is nothing else; a share is a heat where a word of heat
stands beside it. Stars and degrees are neither.
"""

from __future__ import annotations

import re

from heat.scale import LAB_SD_MO, MAX_SHU, Heat, WordTable, heat_from_shu, milli_octaves, shu
from heat.wording import CHILLI

LEAST_BARE_SHU = 100
"""SHU; a number alone below that is more likely something else."""
CHILLIES = 5
"""Chillies of a full row, where the text does not say how many."""

_DIGITS = r"\d{1,3}(?:[,.' ]\d{3}){1,3}(?![\d.])|\d{1,9}(?:\.\d{1,3}|,\d{1,2}(?!\d))?"
_NUMBER = rf"({_DIGITS})\s?(k|m|mio|mil|million|thousand|thou)?"
_RANGE = rf"{_NUMBER}(?:\s?(?:-|to|and)\s?{_NUMBER})?"
_SHU = r"(?:shus?\b|scovilles?\b|scoville heat units?\b)"
_BESIDE = re.compile(rf"(?<![\w.,/^-]){_RANGE}\s?{_SHU}|{_SHU}[ :=]{{1,3}}(?:of |about |around )?{_RANGE}(?!\w)")
_ALONE = re.compile(rf"(?:about |around |roughly |~ ?)?{_RANGE}(?: please)?[.!]?\Z")
_OF = r"(\d{1,3}(?:\.5)?)\s?(?:/|out of|of)\s?(5|10|100)(?!\d)"
_HEAT = r"(?:heat|hotness|spic[ey]\w*|hot|chill?i(?:e?s)?|pepper|scoville)"
_LEVEL = rf"\b{_HEAT} (?:level|scale|rating|setting)[ :=]{{1,3}}(?:of |at |is )?"
_SHARE = re.compile(
    rf"(?<![\d./]){_OF}(?! stars?)(?: on the| in| for| of| on)?(?: the| my)? {_HEAT}\b"
    rf"|\b{_HEAT}(?: level| scale| rating)?[ :=]{{1,3}}(?:is |was |at |of )?(?:an? |about )?{_OF}(?! stars?)"
    rf"|(?:{_LEVEL}|\bheat ?[:=] ?|\blevel (?=\d{{1,2}} {_HEAT}))(\d{{1,2}})(?!\d|[.,/]\d| stars?)"
    rf"|(?<![\d./])(\d{{1,2}}) (?:peppers|chill?i(?:e?s)?) (?:out )?of (5|10)(?!\d)"
    rf"|(?<![\d./])(\d{{1,2}}) on (?:the|your|a) {_HEAT} scale"
)
_SCALE = re.compile(
    rf"\b{_HEAT}? ?scale (?:of|from) (?:1|0|one|zero)(?:-| to )(5|10|100|five|ten)\b[^.!?]{{0,60}}?\b(\d{{1,3}})(?!\d)"
)
_ROW = re.compile(
    rf"(?:(?<![\d./])(\d{{1,2}})(?:\s?(?:/|out of|of)\s?(5|10))?\s?x?\s?)?"
    rf"({CHILLI}(?: ?{CHILLI})*)(?:\s?x\s?(\d{{1,2}})(?!\d))?\s?(?:(?:/|out of|of)\s?(\d{{1,2}}))?"
)
_COUNTED = re.compile(
    rf"\b(one|two|three|four|five)(?= ?{CHILLI}| chill?i(?:e?s)?(?: please)?[.!]?\Z| (?:out )?of (?:five|5|10)\b)"
)
_FULL = re.compile(r"(?<=\d of )five\b|(?<=\d out of )five\b")
_FEW = re.compile(r"([1-5]) chill?i(?:e?s)?(?: please)?[.!]?\Z")
_COUNTS = {"one": "1", "two": "2", "three": "3", "four": "4", "five": "5"}
_TIMES = {"k": 1000, "thousand": 1000, "thou": 1000, "m": 10**6, "mio": 10**6, "mil": 10**6, "million": 10**6}
_GROUPED = re.compile(r"\d{1,3}(?:[,.' ]\d{3})+")
_IN_WORDS = {
    "a": "1",
    "one": "1",
    "two": "2",
    "half a": "0.5",
    "1/2": "0.5",
    "1/2 a": "0.5",
    "1/4": "0.25",
    "3/4": "0.75",
    "ten": "10",
    "fifty": "50",
    "a hundred": "100",
}
_WORDS = re.compile(r"\b(half a|a hundred|1/2 a|1/2|1/4|3/4|a|one|two|ten|fifty)(?= (?:million|thousand)\b)")
_DENIED = re.compile(r"\b(?:not|never|isnt|wasnt|anything but|hate|dont (?:want|like|give me))(?: an?| the)? \Z")
_TENS = {"five": "5", "ten": "10"}


def amount(text: str, words: WordTable) -> tuple[Heat | None, str] | None:
    """The heat that a normalised text gives as an amount, and the text without it; None where there is no amount.

    The heat is None where it can't be, more than pure capsaicin, 7 of 5, and where it is what nobody wants: *not 12k*.
    """
    heat: Heat | None
    text = _FULL.sub("5", _COUNTED.sub(lambda match: _COUNTS[match[1]], text))
    text = _WORDS.sub(lambda match: _IN_WORDS[match[1]], text)
    if (match := _BESIDE.search(text)) is not None:
        heat = _from_shu(*(match.groups()[:4] if match[1] is not None else match.groups()[4:]))
    elif (match := _ALONE.match(text)) is not None:
        heat = _from_shu(*match.groups())
        if heat is None or heat.shu < LEAST_BARE_SHU:
            return None
    elif (match := _ROW.search(text)) is not None:
        heat = _from_row(match, words)
    elif (match := _FEW.match(text)) is not None:
        heat = words.dial(100 * int(match[1]) // CHILLIES)
    elif (match := _SHARE.search(text) or _SCALE.search(text)) is not None:
        heat = _from_share(match, words)
    else:
        return None
    if _DENIED.search(text[: match.start()]) is not None:
        heat = None
    return heat, text[: match.start()] + " " + text[match.end() :]


def _from_shu(low: str, low_unit: str | None, high: str | None, high_unit: str | None) -> Heat | None:
    least = _whole(low, low_unit or (high_unit if high else None))
    if high is None:
        return heat_from_shu(least) if least <= MAX_SHU else None
    most = _whole(high, high_unit)
    if not least <= most <= MAX_SHU:
        return None
    middle = (milli_octaves(least) + milli_octaves(most)) // 2
    # the deviation of a uniform spread over the range
    spread = (milli_octaves(most) - milli_octaves(least)) * 289 // 1000
    return Heat(shu=shu(middle), milli_octaves=middle, sd_milli_octaves=max(spread, LAB_SD_MO), source="shu")


def _whole(digits: str, unit: str | None) -> int:
    times = _TIMES.get(unit or "", 1)
    if _GROUPED.fullmatch(digits) and not (unit and "." in digits):
        return int(re.sub(r"\D", "", digits)) * times
    whole, _, part = digits.replace(",", ".").replace("'", "").replace(" ", "").partition(".")
    return int(whole) * times + int(part or 0) * times // int("1" + "0" * len(part))


def _from_row(match: re.Match[str], words: WordTable) -> Heat:
    times, of, row, by, out_of = match.groups()
    count, full = row.count(CHILLI) * int(times or by or 1), int(of or out_of or CHILLIES)
    return words.dial(min(100 * count // max(full, 1), 100))


def _from_share(match: re.Match[str], words: WordTable) -> Heat | None:
    if match.re is _SCALE:
        full, part = match.groups()
        full = _TENS.get(full, full)
    else:
        part, full, part_2, full_2, level, peppers, of, on_scale = match.groups()
        part, full = part or part_2 or level or peppers or on_scale, full or full_2 or of
        full = full or ("5" if int(part) <= 5 else "10")
    position = int(float(part) * 100) // int(full)
    return words.dial(position) if position <= 100 else None
