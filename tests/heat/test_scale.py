"""The octave axis, words and the dial."""

from __future__ import annotations

import json
import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heat import scale
from heat.errors import DataError
from heat.scale import MAX_MO, MAX_SHU, Heat, band, default_words, heat_from_shu, milli_octaves, parse_words

GOLDEN = [
    (0, 0),
    (1, 87),
    (16, 1000),
    (48, 2000),
    (100, 2858),
    (250, 4055),
    (2_200, 7114),
    (2_500, 7297),
    (5_000, 8292),
    (20_000, 10_289),
    (100_000, 12_610),
    (350_000, 14_417),
    (1_600_000, 16_610),
    (2_693_000, 17_361),
    (16_000_000, 19_932),
]


@pytest.mark.parametrize(("shu", "expected"), GOLDEN)
def test_milli_octaves_golden(shu: int, expected: int) -> None:
    assert milli_octaves(shu) == expected


@pytest.mark.parametrize("shu", [-1, MAX_SHU + 1])
def test_milli_octaves_refuses_impossible_heat(shu: int) -> None:
    with pytest.raises(ValueError, match="outside 0"):
        milli_octaves(shu)


@given(st.integers(0, MAX_SHU - 1))
def test_hotter_never_has_fewer_octaves(shu: int) -> None:
    assert 0 <= milli_octaves(shu) <= milli_octaves(shu + 1) <= MAX_MO


@given(st.integers(0, MAX_MO))
def test_shu_inverts_milli_octaves_to_its_own_rounding(q: int) -> None:
    shu = scale.shu(q)
    half_a_shu = 1000 * math.log2(1 + 0.5 / (16 + shu))
    assert 0 <= shu <= MAX_SHU
    assert abs(milli_octaves(shu) - q) <= half_a_shu + 1


@pytest.mark.parametrize(("q", "expected"), [(0, 0), (1999, 0), (2000, 1), (17_999, 8), (18_000, 9), (MAX_MO, 9)])
def test_bands_are_two_octaves_wide(q: int, expected: int) -> None:
    assert band(q) == expected


def test_a_heat_survives_json() -> None:
    heat = heat_from_shu(MAX_SHU)
    assert msgspec.json.decode(msgspec.json.encode(heat), type=Heat) == heat


@pytest.mark.parametrize(
    ("text", "q", "sd"),
    [
        ("mild", 5077, 1282),
        ("  Mild ", 5077, 1282),
        ("gentle", 5077, 1282),
        ("medium", 8793, 864),
        ("HOT", 11_449, 670),
        ("spicy", 11_449, 670),
        ("very hot", 13_771, 671),
        ("extreme", 16_224, 747),
    ],
)
def test_a_word_is_the_middle_of_its_range(text: str, q: int, sd: int) -> None:
    heat = default_words().word(text)
    assert heat is not None
    assert (heat.milli_octaves, heat.sd_milli_octaves, heat.source, heat.table) == (q, sd, "word", "picante-1")


@pytest.mark.parametrize("text", ["", "lukewarm", "milds", "hot hot"])
def test_an_unknown_word_is_no_heat(text: str) -> None:
    assert default_words().word(text) is None


@pytest.mark.parametrize(("position", "q"), [(0, 2858), (50, 8734), (100, 14_610)])
def test_dial(position: int, q: int) -> None:
    heat = default_words().dial(position)
    assert (heat.milli_octaves, heat.sd_milli_octaves, heat.source) == (q, 900, "dial")


@pytest.mark.parametrize("position", [-1, 101])
def test_dial_refuses_positions_it_does_not_have(position: int) -> None:
    with pytest.raises(ValueError, match=r"0\.\.100"):
        default_words().dial(position)


def test_the_hottest_dial_still_decodes() -> None:
    table = parse_words(_words(dial_high_shu=MAX_SHU))
    heat = table.dial(100)
    assert msgspec.json.decode(msgspec.json.encode(heat), type=Heat).shu == MAX_SHU


def _words(**changes: object) -> str:
    table: dict[str, object] = {
        "version": "t",
        "categories": [{"word": "mild", "low_shu": 100, "high_shu": 200, "aliases": ["soft"]}],
        "dial_low_shu": 100,
        "dial_high_shu": 1000,
        "dial_sd_milli_octaves": 900,
    }
    return json.dumps(table | changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"categories": [{"word": "mild", "low_shu": 200, "high_shu": 200}]}, "'mild': low_shu must be below"),
        (
            {"categories": [{"word": "hot", "low_shu": 1, "high_shu": 2, "aliases": ["hot"]}]},
            "'hot' stands there twice",
        ),
        ({"dial_low_shu": 1000}, "dial_low_shu must be below"),
        ({"dial_high_shu": MAX_SHU + 1}, r"dial_high_shu"),
        ({"dial_hihg_shu": 1}, r"unknown field `dial_hihg_shu`"),
        ({"categories": [{"word": "x", "low_shu": -1, "high_shu": 2}]}, r"categories\[0\].low_shu"),
    ],
)
def test_a_bad_word_table_says_where(changes: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        parse_words(_words(**changes))


def test_words_that_are_not_json() -> None:
    with pytest.raises(DataError, match=r"word table: .*Compare it with"):
        parse_words("{")
