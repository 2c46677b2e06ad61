"""Nothing true is refused. What can't be true, and how it is told, is in tests/vectors/poison."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from heat.catalog import default_catalog
from heat.consistency import contradiction
from heat.events import AnyData, Rated, SessionClaimed, Stated
from heat.profile import contribution, merge
from heat.scale import MAX_MO, MAX_SHU, Heat, WordTable, default_words, shu
from tests.strategies import EVIDENCE, PLACE, stated

CUSTOMER = "p1-0123456789abcdef0123456789abcdef"
TODAY = 20_006
DIRECT = EVIDENCE.map(lambda evidence: evidence[0]).filter(lambda data: not isinstance(data, SessionClaimed))


@given(st.lists(st.tuples(DIRECT, st.integers(19_990, TODAY)), max_size=8))
def test_whatever_a_session_gathered_can_be_claimed(parts: list[tuple[AnyData, int]]) -> None:
    buckets, flavours = merge(contribution(data, "gw-1", day) for data, day in parts).rows()
    claim = SessionClaimed(**PLACE, session="s-d-00000001-1", buckets=buckets, flavours=flavours)
    assert contradiction(claim, CUSTOMER, "gw-1", TODAY) is None
    assert all(contradiction(data, CUSTOMER, "gw-1", day) is None for data, day in parts)


@given(st.integers(0, MAX_SHU))
def test_every_number_of_shu_is_one_heat(value: int) -> None:
    assert contradiction(stated(value), CUSTOMER, "gw-1", TODAY) is None


@given(st.integers(0, MAX_MO))
def test_every_place_on_the_scale_is_one_heat(place: int) -> None:
    heat = Heat(shu=shu(place), milli_octaves=place, sd_milli_octaves=0, source="dial", table="t")
    assert contradiction(Stated(**PLACE, heat=heat, w=1, said="dial"), CUSTOMER, "gw-1", TODAY) is None


def test_every_word_dial_and_label_that_ships_is_one_heat() -> None:
    words: WordTable = default_words()
    heats = [words.word(category.word) for category in words.categories] + [words.dial(n) for n in range(101)]
    said: list[AnyData] = [Stated(**PLACE, heat=heat, w=1, said="x") for heat in heats if heat is not None]
    catalog = default_catalog()
    rated: list[AnyData] = [
        Rated(**PLACE, sauce=sauce.id, heat=catalog.label(sauce), flavours=sauce.flavours, w=1, verdict="more")
        for sauce in catalog.values()
    ]
    assert len(said) == len(heats)
    assert all(contradiction(data, CUSTOMER, "gw-1", TODAY) is None for data in (*said, *rated))
