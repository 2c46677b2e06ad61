"""Event ids, sets of sequences, pseudonyms."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heat.errors import DataError
from heat.identity import (
    SAFE_INTEGER,
    EventId,
    SequenceSet,
    check_name,
    check_subject,
    is_session,
    keyed_event_id,
    parse_event_id,
    pseudonym,
    session_subject,
)

NAMES = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?", fullmatch=True)


@given(NAMES, st.integers(0, 2**32 - 1), st.integers(1, SAFE_INTEGER))
def test_an_event_id_survives_writing(source: str, generation: int, sequence: int) -> None:
    event_id = EventId(source, generation, sequence)
    assert parse_event_id(str(event_id)) == event_id


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hot-bar-1",
        "hot-bar-1:5e3a09c1",
        "hot-bar-1:5e3a09c1:0",
        "hot-bar-1:5e3a09c1:042",
        "hot-bar-1:5E3A09C1:42",
        "hot-bar-1:5e3a09c:42",
        "hot-bar-1:5e3a09c1:42\n",
        "Hot-bar-1:5e3a09c1:42",
        "-bar-1:5e3a09c1:42",
        f"hot-bar-1:5e3a09c1:{SAFE_INTEGER + 1}",
        "a" * 33 + ":5e3a09c1:42",
    ],
)
def test_what_is_no_event_id(text: str) -> None:
    with pytest.raises(DataError, match=r"not an event id.*source:generation:sequence"):
        parse_event_id(text)


def test_a_key_has_one_identity_that_any_language_can_make() -> None:
    # SHA-256 of answer-17: 45586167 bba4112996432a4a ...
    assert str(keyed_event_id("autumn-2026", "answer-17")) == "autumn-2026:45586167:1144770219159592"
    assert 0xBBA4112996432A4A % (2**53 - 1) + 1 == 1144770219159592
    assert keyed_event_id("shop", "") == EventId("shop", 0xE3B0C442, 7912174173026704)


@given(st.text())
def test_every_key_s_identity_can_be_written_and_read(key: str) -> None:
    identity = keyed_event_id("hot-app", key)
    assert parse_event_id(str(identity)) == identity


_INTERVALS = st.lists(st.tuples(st.integers(1, 60), st.integers(0, 9)), max_size=30)


@given(_INTERVALS)
def test_a_sequence_set_is_a_set(added: list[tuple[int, int]]) -> None:
    ours, truth = SequenceSet(), set[int]()
    for first, length in added:
        ours.add(first, first + length)
        truth.update(range(first, first + length + 1))
    intervals = list(ours)
    assert {n for first, last in intervals for n in range(first, last + 1)} == truth
    assert ours.count() == len(truth)
    assert ours.highest == max(truth, default=0)
    assert [n for n in range(75) if n in ours] == sorted(truth)
    # sorted, and with a gap between neighbours
    assert all(last + 1 < first for (_, last), (first, _) in pairwise(intervals))


@given(_INTERVALS, st.randoms())
def test_a_sequence_set_forgets_the_order(added: list[tuple[int, int]], random: object) -> None:
    intervals = [(first, first + length) for first, length in added]
    shuffled = intervals * 2
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # Hypothesis types it as an object
    assert SequenceSet(intervals) == SequenceSet(shuffled)


def test_single_sequences_melt_together() -> None:
    ours = SequenceSet()
    for n in (1, 3, 2, 7, 2):
        ours.add(n)
    assert list(ours) == [(1, 3), (7, 7)]


def test_an_interval_must_run_forwards() -> None:
    with pytest.raises(ValueError, match=r"5\.\.4 runs backwards"):
        SequenceSet([(5, 4)])


def test_a_pseudonym_hides_the_token() -> None:
    # HMAC-SHA-256 of b"picante loyalty token\0loyal-1", as openssl gives it
    assert pseudonym("loyal-1", b"k" * 32, 2) == "p2-aeb3a0926050f0b240654f6465c0f243"
    assert pseudonym("loyal-1", b"j" * 32, 2) != pseudonym("loyal-1", b"k" * 32, 2)
    assert check_subject(pseudonym("loyal-1", b"k" * 32, 9999))


def test_sessions_are_told_from_pseudonyms() -> None:
    session = session_subject("hot-bar-1", 0x5E3A09C1, 7)
    assert session == "s-hot-bar-1-5e3a09c1-7"
    assert is_session(check_subject(session))
    assert not is_session(pseudonym("loyal-1", b"k", 1))


@pytest.mark.parametrize("subject", ["loyal-000042", "p1-xyz", "p0-" + "0" * 32, "p1-" + "0" * 32 + "\n", "s-bar-1"])
def test_a_token_is_no_subject_and_is_not_repeated(subject: str) -> None:
    with pytest.raises(DataError, match="not a subject") as raised:
        check_subject(subject)
    assert subject not in str(raised.value)


@pytest.mark.parametrize("name", ["a", "hot-bar-1", "0" * 32])
def test_names(name: str) -> None:
    assert check_name(name, "dispenser") == name


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "a_b", "a" * 33, "a\n", "ä"])
def test_bad_names(name: str) -> None:
    with pytest.raises(DataError, match=r"dispenser .* is not a name"):
        check_name(name, "dispenser")


@given(st.lists(st.tuples(st.integers(1, 60), st.integers(0, 9)), max_size=8), st.integers(1, 60), st.integers(0, 30))
def test_what_is_missing_is_what_is_not_there(intervals: list[tuple[int, int]], first: int, more: int) -> None:
    held = SequenceSet((low, low + length) for low, length in intervals)
    missing = held.missing(first, first + more)
    numbers = [n for low, high in missing for n in range(low, high + 1)]
    assert numbers == [n for n in range(first, first + more + 1) if n not in held]
    assert all(after > before + 1 for (_, before), (after, _) in pairwise(missing))
