"""What all doors have in common: the same answer is the same evidence, with the version of what it was read by."""

from __future__ import annotations

import pytest

from heat.catalog import default_catalog
from heat.door import MAX_SAID, Label, Understood, label, understand, verdict
from heat.language import parse
from heat.lexicon import default_finder, default_lexicon
from heat.profile import precision_class
from heat.quality import BLUNT_MS, Refusal
from heat.scale import MAX_SHU, default_words, heat_from_shu

WORDS = default_words()
CATALOG = default_catalog()


def test_a_number_is_heat_of_no_table() -> None:
    meant = understand(WORDS, shu=20_700)
    heat = heat_from_shu(20_700)
    assert meant == Understood(heat, precision_class("stated", heat), "20700 SHU")
    assert heat.table is None


def test_a_word_is_kept_as_it_was_said_with_its_table_s_version() -> None:
    meant = understand(WORDS, word="  MeDiUm ")
    assert isinstance(meant, Understood)
    assert meant.said == "MeDiUm"
    assert meant.heat == WORDS.word("medium")
    assert (meant.heat.source, meant.heat.table) == ("word", WORDS.version)


def test_a_dial_is_a_place_in_its_table() -> None:
    meant = understand(WORDS, dial=0)
    assert isinstance(meant, Understood)
    assert (meant.said, meant.heat.source, meant.heat.table) == ("dial 0", "dial", WORDS.version)
    assert meant.heat == WORDS.dial(0)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"shu": -1}, "impossible_heat"),
        ({"shu": MAX_SHU + 1}, "impossible_heat"),
        ({"word": "volcanic"}, "unknown_word"),
        ({"word": ""}, "unknown_word"),
        ({"dial": -1}, "malformed"),
        ({"dial": 101}, "malformed"),
        ({}, "malformed"),
        ({"shu": 500, "word": "medium"}, "malformed"),
        ({"word": "medium", "dial": 3}, "malformed"),
        ({"word": "medium", "text": "medium"}, "malformed"),
        ({"text": "the oven runs hotter"}, "unknown_word"),
        ({"text": "could use more kick"}, "unknown_word"),
        ({"text": "the sauce was very hot"}, "unknown_word"),
        ({"text": "99000000 SHU"}, "unknown_word"),
        ({"text": ""}, "unknown_word"),
    ],
)
def test_what_is_no_heat_is_refused(said: dict[str, int | str], reason: str) -> None:
    refusal = understand(WORDS, **said)  # type: ignore[arg-type]
    assert isinstance(refusal, Refusal)
    assert refusal.reason == reason


def test_the_edges_of_the_scale_are_on_it() -> None:
    assert all(isinstance(understand(WORDS, shu=shu), Understood) for shu in (0, MAX_SHU))
    assert all(isinstance(understand(WORDS, dial=dial), Understood) for dial in (0, 100))


def test_a_refusal_repeats_no_more_than_an_event_would() -> None:
    refusal = understand(WORDS, word="hot " * 1000)
    assert isinstance(refusal, Refusal)
    assert len(refusal.detail) < 120


def test_a_label_carries_the_catalogue_s_version_and_the_weight() -> None:
    sauce = CATALOG["table-red"]
    got = label(CATALOG, "table-red", "poured")
    assert isinstance(got, Label)
    assert (got.sauce, got.flavours) == ("table-red", sauce.flavours)
    assert (got.heat.shu, got.heat.source, got.heat.table) == (sauce.shu, "label", CATALOG.version)
    assert got.w == precision_class("poured", sauce.heat)


def test_a_dose_before_blunts_a_verdict_and_no_pour() -> None:
    def weight(kind: str, since_ms: int | None) -> int:
        got = label(CATALOG, "table-red", kind, since_ms)  # type: ignore[arg-type]
        assert isinstance(got, Label)
        return got.w

    whole = precision_class("too_hot", CATALOG["table-red"].heat)
    assert [weight("too_hot", since) for since in (None, BLUNT_MS, BLUNT_MS - 1)] == [whole, whole, whole // 2]
    assert weight("poured", 0) == weight("poured", None)


def test_a_sauce_that_nobody_lists_is_refused() -> None:
    refusal = label(CATALOG, "ketchup", "poured")
    assert isinstance(refusal, Refusal)
    assert refusal.reason == "unknown_sauce"


def test_own_words_are_heat_of_the_lexicon_and_the_table() -> None:
    meant = understand(WORDS, text="  Not too spicy,   please")
    assert isinstance(meant, Understood)
    assert meant.said == "Not too spicy, please"
    assert (meant.heat.source, meant.heat.table) == ("word", f"{default_lexicon().version}/{WORDS.version}")
    medium, hot = WORDS.word("medium"), WORDS.word("hot")
    assert medium is not None
    assert hot is not None
    assert medium.milli_octaves < meant.heat.milli_octaves < hot.milli_octaves
    assert meant.w == precision_class("stated", meant.heat)


def test_own_words_are_kept_without_contacts_and_cut() -> None:
    meant = understand(WORDS, text="medium please, call me at 555-123-4567 or me@example.com " + "x" * 400)
    assert isinstance(meant, Understood)
    assert meant.said.startswith("medium please, call me at … or … xxx")
    assert len(meant.said) == MAX_SAID


def test_a_refusal_of_own_words_repeats_none_of_them() -> None:
    for text in ("me@example.com", "it was too hot, call 555-1234"):
        refusal = understand(WORDS, text=text)
        assert isinstance(refusal, Refusal)
        assert not {"me@example.com", "555-1234", "call"} & set(refusal.detail.split())


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("needs more kick", "more"),
        ("my mouth was on fire, loved it", "just_right"),
        ("way too hot for me", "too_hot"),
        ("the sauce was very hot", None),
        ("a hot summer day", None),
    ],
)
def test_a_wish_is_a_verdict_on_the_last_pour(text: str, meant: str | None) -> None:
    assert verdict(parse(text, default_finder(), WORDS)) == meant
