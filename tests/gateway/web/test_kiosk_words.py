"""Heat for people who have never heard of Scoville, and reasons that a page can say in any language."""

from __future__ import annotations

import pytest

from gateway.web.kiosk.words import REASONS, Scale, like, reason, scale
from gateway.web.language import Text, language
from heat.catalog import default_catalog
from heat.scale import Category, WordTable, default_words, milli_octaves
from tests.models.test_explain import TRUE

WORDS = scale(default_words())


def said(text: Text | str | None) -> str:
    """In English."""
    assert text is not None
    return language("en").say(text)


def test_every_reason_of_the_ranker_can_be_said_in_any_language() -> None:
    assert TRUE.keys() == REASONS.keys() - {"a flavour that you like"}
    for line in REASONS:
        assert isinstance(reason(line), Text)
        assert said(reason(line)) == line


def test_a_brands_own_flavour_and_reasons_of_later_versions() -> None:
    own = reason("mesquite, as you like it")
    assert isinstance(own, Text)
    assert (own.message, said(own)) == ("{flavour}, as you like it", "mesquite, as you like it")
    assert reason("as the moon has it") == "as the moon has it"
    assert reason("") is None, "after a restart nobody knows"


@pytest.mark.parametrize(
    ("shu", "flames", "word"),
    [
        (0, 1, "Mild"),
        (2_499, 1, "Mild"),
        (2_500, 2, "Medium"),
        (20_000, 3, "Hot"),
        (100_000, 4, "Extra hot"),
        (500_000, 5, "Extreme"),
        (16_000_000, 5, "Extreme"),
    ],
)
def test_flames_and_words(shu: int, flames: int, word: str) -> None:
    heat_mo = milli_octaves(shu)
    assert (WORDS.flames(heat_mo), said(WORDS.word(heat_mo))) == (flames, word)


def test_each_sauce_is_like_a_pepper_of_its_heat() -> None:
    assert said(like(milli_octaves(5_000))) == "as hot as a jalapeño"
    assert said(like(milli_octaves(250_000))) == "as hot as a habanero"
    assert said(like(0)) == "hardly hotter than a bell pepper"
    likes = [said(like(sauce.heat.milli_octaves)) for sauce in default_catalog().values()]
    assert len(set(likes)) > 6, "it tells sauces apart"


def test_the_scale_ends_where_the_words_do() -> None:
    assert WORDS.percent(0) == WORDS.percent(milli_octaves(100)) == 0
    assert WORDS.percent(milli_octaves(3_000_000)) == WORDS.percent(milli_octaves(16_000_000)) == 100
    assert WORDS.ends() == sorted(WORDS.ends())


def test_a_brands_own_words() -> None:
    words = tuple(
        Category(word=word, low_shu=low, high_shu=low * 10)
        for word, low in (("inferno", 100_000), ("tame", 100), ("brisk", 10_000))
    )
    own = Scale(WordTable(version="own", categories=words, dial_low_shu=1, dial_high_shu=2, dial_sd_milli_octaves=1))
    assert own.names == ["tame", "brisk", "inferno"]
    assert [own.flames(milli_octaves(shu)) for shu in (100, 10_000, 100_000)] == [2, 4, 5]
