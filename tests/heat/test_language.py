"""What is made of what people say: sentences of our own with what they mean, and texts that nobody would write."""

from __future__ import annotations

import csv
from pathlib import Path

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from heat.errors import DataError
from heat.language import ABOUT_MARGIN, WISH_MARGIN, Said, Scores, parse
from heat.lexicon import default_finder, default_lexicon, parse_lexicon
from heat.scale import MAX_MO, MAX_SHU, Category, default_words, milli_octaves
from heat.wording import MAX_CHARS, normalise

SENTENCES = Path(__file__).parents[1] / "vectors/heat_language/sentences.csv"
FINDER, WORDS = default_finder(), default_words()


def _say(text: str) -> Said:
    return parse(text, FINDER, WORDS)


def _rows() -> list[dict[str, str]]:
    with SENTENCES.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("row", _rows(), ids=lambda row: row["text"][:40])
def test_sentences_mean_what_they_mean(row: dict[str, str]) -> None:
    said = _say(row["text"])
    assert (str(int(said.about_heat)), said.wish) == (row["about_heat"], row["wish"])
    heat = said.heat
    got = ("", "", "") if heat is None else (str(heat.shu), str(heat.sd_milli_octaves), heat.table or "")
    assert got == (row["heat_shu"], row["sd_milli_octaves"], row["table"])
    assert str(int(said.asked)) == row["asked"]


# -- how the lexicon and a classifier share the work ------------------------------------------------------------------


def _classifier(**scores: int) -> Scores:
    return Scores(**{"not_about": 0, "none": 0, "more": 0, "right": 0, "less": 0, **scores})


def test_where_the_lexicon_is_silent_the_classifier_decides() -> None:
    silent = "set my taste buds tingling all night"
    assert _say(silent) == Said(about_heat=False, wish="none")
    scores = {
        (ABOUT_MARGIN, "none"): False,
        (ABOUT_MARGIN + 1, "none"): True,
        (WISH_MARGIN, "none"): True,
        (WISH_MARGIN + 1, "right"): True,
    }
    for (right, wish), about in scores.items():
        said = parse(silent, FINDER, WORDS, lambda _, right=right: _classifier(right=right))  # type: ignore[misc]
        assert (said.about_heat, said.wish) == (about, wish)
    assert not parse(silent, FINDER, WORDS, lambda _: _classifier(not_about=9999, right=9999)).about_heat


def test_where_the_lexicon_is_sure_the_classifier_is_not_heard() -> None:
    for text in ("way too hot for me", "I want it hotter", "not too spicy, just perfect", "zip lock bag", "12k SHU"):
        for scores in (_classifier(not_about=9999), _classifier(more=9999), _classifier(less=9999)):
            assert parse(text, FINDER, WORDS, lambda _, scores=scores: scores) == _say(text)  # type: ignore[misc]


def test_the_classifier_reads_what_the_lexicon_reads() -> None:
    read: list[str] = []

    def classify(text: str) -> Scores:
        read.append(text)
        return _classifier()

    parse("  SOOOO  tingly,\u200b  jalape\N{LATIN SMALL LETTER N WITH TILDE}o!", FINDER, WORDS, classify)
    assert read == ["so tingly, jalapeno!"]


# -- texts that nobody would write ------------------------------------------------------------------------------------

HOSTILE = [
    "",
    "\0",
    "\N{HOT PEPPER}" * 10_000,
    "hot " * 10_000,
    "not too " * 5_000,
    "9" * 10_000 + " SHU",
    "1" + ",000" * 3_000 + " SHU",
    "\u202e toh oot",
    "\ufdfa" * 1_000,  # eighteen characters each, in its compatibility form
    "\ud800 lone surrogate hot",
    "e\u0301" * 5_000,
    "(" * 10_000,
    "5/0 heat",
    "0/5 heat \N{HOT PEPPER}/0",
    "-5 SHU",
    "heat scale of 1-5 " + "x" * 5_000,
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_texts_are_read_like_any(text: str) -> None:
    said = _say(text)
    assert said.cut == (len(" ".join(text.split())) > MAX_CHARS)
    assert len(normalise(text).text) <= 4 * MAX_CHARS


@given(st.text(max_size=700))
@example("hot")
@example("10k-20k SHU")
def test_any_text_gives_heat_on_the_scale_or_none(text: str) -> None:
    said = _say(text)
    if not said.about_heat:
        assert (said.wish, said.heat, said.asked) == ("none", None, False)
    if said.heat is not None:
        assert 0 <= said.heat.shu <= MAX_SHU
        assert 0 <= said.heat.milli_octaves <= MAX_MO
        assert abs(milli_octaves(said.heat.shu) - said.heat.milli_octaves) <= 1 or said.heat.milli_octaves < 1000
    assert said.asked <= (said.heat is not None)


@pytest.mark.parametrize("categories", [(), (Category("MILD", 100, 200),)], ids=["none", "one that is never found"])
def test_a_brand_without_a_word_for_it_has_no_heat_for_it(categories: tuple[Category, ...]) -> None:
    words = msgspec.structs.replace(WORDS, categories=categories)
    for row in _rows():
        said, usual = parse(row["text"], FINDER, words), _say(row["text"])
        assert (said.about_heat, said.wish) == (usual.about_heat, usual.wish) or WORDS.word(row["text"])
        assert said.heat is None or said.heat.source != "word"


PHRASES = st.lists(st.sampled_from([row["text"] for row in _rows()]), min_size=1, max_size=3).map(", ".join)


@given(PHRASES, st.sampled_from([str.upper, str.title, str.swapcase, lambda text: "  " + text.replace(" ", " \t ")]))
def test_case_and_space_say_nothing(text: str, change: object) -> None:
    assert callable(change)
    assert _say(change(text)) == _say(text)


@given(st.text(max_size=300))
def test_plain_form_is_plain(text: str) -> None:
    plain = normalise(text).text
    assert normalise(plain).text == plain


# -- the lexicon's own errors -----------------------------------------------------------------------------------------


def _with(**changed: object) -> bytes:
    return msgspec.json.encode(msgspec.structs.asdict(default_lexicon()) | changed)


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"traps": ["zip lock", "zip lock"]}, "'zip lock' stands there twice"),
        ({"traps": ["Zip Lock"]}, "'Zip Lock' is never found"),
        ({"traps": ["don't"]}, '"don\'t" is never found'),
        ({"traps": ["one two three four five six seven"]}, "is never found"),
        ({"contexts": {}}, "no context"),
        ({"marks": {"nonsense": ["x"]}}, "nonsense"),
        ({"version": "far-too-long"}, "version"),
    ],
)
def test_a_lexicon_that_is_none_is_refused_with_the_place(changed: dict[str, object], complaint: str) -> None:
    with pytest.raises(DataError, match="lexicon") as caught:
        parse_lexicon(_with(**changed))
    assert complaint in str(caught.value)


def test_the_lexicon_that_ships_is_one() -> None:
    assert parse_lexicon(_with()) == default_lexicon()
