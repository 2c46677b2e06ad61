"""Heat, and why a sauce was picked, in words for people who have never heard of Scoville, in their language."""

from __future__ import annotations

from functools import cache

from gateway.web.language import Text
from heat.scale import WordTable, milli_octaves

FLAMES = 5

_CATEGORIES = {
    "mild": Text("Mild"),
    "medium": Text("Medium"),
    "hot": Text("Hot"),
    "extra hot": Text("Extra hot"),
    "extreme": Text("Extreme"),
}
"""What the words of the table that ships are called; a brand's own are shown as they are."""

_LIKE = (
    (100, Text("hardly hotter than a bell pepper")),
    (600, Text("as hot as a mild pimiento")),
    (1_500, Text("as hot as a poblano")),
    (4_500, Text("as hot as a jalapeño")),
    (14_000, Text("as hot as a serrano")),
    (38_000, Text("as hot as a cayenne")),
    (80_000, Text("as hot as a Thai chili")),
    (220_000, Text("as hot as a habanero")),
    (900_000, Text("as hot as a ghost pepper")),
    (1_700_000, Text("as hot as a Carolina Reaper")),
)
"""SHU in the middle of what growers give for a pepper."""

_FLAVOURS = {
    "smoky": Text("smoky, as you like it"),
    "fruity": Text("fruity, as you like it"),
    "garlic": Text("garlic, as you like it"),
    "vinegar": Text("vinegar, as you like it"),
    "sweet": Text("sweet, as you like it"),
    "citrus": Text("citrus, as you like it"),
    "earthy": Text("earthy, as you like it"),
    "umami": Text("umami, as you like it"),
}
"""Of the catalogue that ships: flavours bend with their language, so each has its own sentence."""

_TAGS = {
    "smoky": Text("smoky"),
    "fruity": Text("fruity"),
    "garlic": Text("garlic"),
    "vinegar": Text("vinegar"),
    "sweet": Text("sweet"),
    "citrus": Text("citrus"),
    "earthy": Text("earthy"),
    "umami": Text("umami"),
}

_REASONS = (
    Text("hotter than you usually like"),
    Text("hotter than most people like"),
    Text("a heat that most people like"),
    Text("close to your usual heat"),
    Text("a little hotter than your usual"),
    Text("a little milder than your usual"),
    Text("hotter than your usual"),
    Text("milder than your usual"),
    Text("liked by many"),
    Text("a favourite here"),
    Text("close to your dial"),
    Text("bolder, for today's mood"),
    Text("milder, for today's mood"),
    Text("bolder, for the evening"),
    Text("milder, for the evening"),
    Text("bolder, for a hot day"),
    Text("milder, for a hot day"),
    Text("bolder, for a cold day"),
    Text("for a cold evening"),
    Text("milder, for a cold day"),
    Text("the one you had last time"),
    Text("just right last time"),
    Text("one of your favourites"),
    Text("you have had it before"),
    Text("new here"),
    Text("one you have yet to try here"),
    Text("milder: the last was too hot"),
    Text("something else to try"),
    Text("a flavour that you like"),
)
"""All that `models.explain` says."""

REASONS = {text.message: text for text in (*_REASONS, *_FLAVOURS.values())}
_OWN_FLAVOUR = ", as you like it"


def reason(line: str) -> Text | str | None:
    """Why a sauce was picked, from the line on the dispenser's screen; None where nothing is known."""
    if line in REASONS:
        return REASONS[line]
    if line.endswith(_OWN_FLAVOUR):  # a brand's own tag
        return Text("{flavour}, as you like it", flavour=line.removesuffix(_OWN_FLAVOUR))
    return line or None


def flavour(tag: str) -> Text | str:
    """What a flavour is called; a brand's own tag as it is."""
    return _TAGS.get(tag, tag)


def like(heat_mo: int) -> Text:
    """The pepper that is nearest to a heat in milli-octaves."""
    return min(_LIKE, key=lambda pepper: abs(milli_octaves(pepper[0]) - heat_mo))[1]


class Scale:
    """The heat scale of a table of words, from its mildest word to its hottest."""

    def __init__(self, words: WordTable) -> None:
        self._steps = sorted((milli_octaves(each.low_shu), each.word) for each in words.categories)
        self._low_mo = self._steps[0][0]
        self._high_mo = max(milli_octaves(each.high_shu) for each in words.categories)

    @property
    def names(self) -> list[Text | str]:
        """Its words, mildest first."""
        return [_CATEGORIES.get(word, word) for _, word in self._steps]

    def percent(self, heat_mo: int) -> float:
        """Where a heat lies on it, 0..100."""
        share = (heat_mo - self._low_mo) / (self._high_mo - self._low_mo)
        return round(100 * min(max(share, 0.0), 1.0), 1)

    def ends(self) -> list[float]:
        """Where its words begin, 0..100."""
        return [self.percent(low_mo) for low_mo, _ in self._steps]

    def word(self, heat_mo: int) -> Text | str:
        """What a heat is called."""
        return self.names[self._step(heat_mo)]

    def flames(self, heat_mo: int) -> int:
        """How many of five flames a heat is; the mildest is one."""
        return -(-FLAMES * (self._step(heat_mo) + 1) // len(self._steps))

    def _step(self, heat_mo: int) -> int:
        return max((place for place, (low_mo, _) in enumerate(self._steps) if low_mo <= heat_mo), default=0)


@cache
def scale(words: WordTable) -> Scale:
    """The scale of a brand."""
    return Scale(words)
