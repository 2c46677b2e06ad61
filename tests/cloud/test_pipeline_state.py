"""The pipeline's state is a function of the log: whatever the order, the batches, the repetitions and the restarts."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud.pipeline import identities, subjects
from cloud.pipeline.publish import known
from cloud.pipeline.reading import StateReader
from cloud.pipeline.state import Log as LogKey
from cloud.pipeline.state import PartitionState
from cloud.pipeline.subjects import Subject
from cloud.pipeline.verdict import judge
from cloud_sync.record import Consumed
from cloud_sync.topics import DAY_MS
from heat.errors import StoreError
from heat.events import AnyData, Impression, Poured, PourVoided, SessionClaimed
from heat.identity import EventId, keyed_event_id, session_subject
from heat.profile import Profile, contribution, merge, profile_of_rows
from heat.tally import Tally, is_evidence
from tests import reference
from tests.cloud.logs import ANNA, BERT, NOON_MS, TODAY, Log, batches, pour, sha, value_of
from tests.cloud_sync.examples import EVERY_TYPE
from tests.strategies import PLACE, poured, rated, stated

KEY = LogKey("events", 0)
SESSION = session_subject("hot-bar-1", 0x5E3A09C1, 9)

SUBJECTS = st.sampled_from((ANNA, BERT))
BODIES: st.SearchStrategy[AnyData] = st.one_of(
    st.builds(lambda shu, w: poured(shu, w=w, tags=("smoky",)), st.integers(0, 5_000), st.integers(1, 400)),
    st.builds(lambda shu, w: rated(shu, "too_hot", w=w, tags=("sweet",)), st.integers(0, 5_000), st.integers(1, 400)),
    st.builds(stated, st.integers(0, 5_000)),
)
VALUES = st.builds(
    lambda sequence, data, subject, day, redelivered: value_of(
        sequence, data, subject, day=day, redelivered=redelivered
    ),
    st.integers(1, 8),
    BODIES,
    SUBJECTS,
    st.sampled_from((TODAY, TODAY - 1, TODAY - 40, -3)),
    st.booleans(),
)
"""Few identities, so that they collide, with equal content and with other content."""


@st.composite
def logs(draw: st.DrawFn) -> Log:
    """A log whose records come again here and there."""
    values = draw(st.lists(VALUES, max_size=12))
    log = Log()
    again = draw(st.lists(st.sampled_from(values), max_size=6)) if values else []
    for key, value in draw(st.permutations(values + again)):
        log.append(key, value)
    return log


def expected(log: Log) -> dict[str, Any]:
    """What the reference makes of a log: of each identity, the content that counts."""
    winners: dict[str, tuple[bytes, dict[str, Any]]] = {}
    for record in log.records:
        assert record.value is not None
        content = sha(record.value.replace(b'"redelivered":true,', b""))
        event = json.loads(record.value)
        if event["id"] not in winners or content < winners[event["id"]][0]:
            winners[event["id"]] = content, event
    plain = [
        {"subject": e["subject"], "origin": e["origin"], "day": e["heatday"], "type": e["type"], "data": e["data"]}
        for _, e in winners.values()
    ]
    return {name: profile["digest"] for name, profile in reference.profiles(plain).items()}


def digests(state: PartitionState) -> dict[str, str]:
    """Of every subject that has anything."""
    return {name: state.digest(name)[1] for name in state.names() if state.profile(name) != Profile()}


@settings(deadline=None, max_examples=40)
@given(log=logs(), sizes=st.lists(st.integers(1, 8), max_size=3))
def test_a_log_in_any_order_and_batches_gives_what_the_reference_says(log: Log, sizes: list[int]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "0.db"
        for batch in batches(log.records, sizes):
            with PartitionState.open(path, KEY, log.earlier) as state:  # opened anew for each: all that counts is kept
                state.apply(batch)
        with PartitionState.open(path, KEY, log.earlier) as state:
            assert digests(state) == expected(log)
            assert sum(state.counts().values()) == len(log.records)
            outcomes = [outcome for _, _, outcome in state.counts()]
            assert set(outcomes) <= {"folded", "duplicate", "conflict"}


def test_a_rebuild_folds_what_is_above_a_version_and_nothing_below(tmp_path: Path, log: Log) -> None:
    for number in range(1, 7):
        log.append(*value_of(number, pour(100 * number), ANNA if number % 2 else BERT))
    with PartitionState.open(tmp_path / "lost.db", KEY) as state:
        state.apply(log.records[:4])
        published = [Subject(s.name, s.version, s.version, s.heard_day, s.tally) for s in state.subjects([ANNA, BERT])]
    with PartitionState.open(tmp_path / "new.db", KEY) as state:
        older = Subject(ANNA, 0, 0)  # a process that was late wrote it after the newer one
        state.seed([published, [older], [Subject("p1-" + "c" * 32)]], 0)
        assert state.apply(log.records[:4]).changed == ()
        assert list(state.unpublished()) == []
        assert set(state.apply(log.records[4:]).changed) == {ANNA, BERT}
        assert digests(state) == expected(log)
        assert {s.name for s in state.due()} == {ANNA, BERT}, "features of what was taken over are looked at again"


@settings(deadline=None, max_examples=30)
@given(log=logs(), cut=st.integers(0, 18))
def test_a_rebuild_on_what_was_published_gives_the_same(log: Log, cut: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        with PartitionState.open(Path(directory) / "lost.db", KEY, log.earlier) as state:
            for batch in batches(log.records[:cut], [3, 3, 3]):
                state.apply(batch)
            published = [
                Subject(s.name, s.version, s.version, s.heard_day, s.tally) for s in state.subjects([ANNA, BERT])
            ]
        with PartitionState.open(Path(directory) / "new.db", KEY, log.earlier) as state:
            state.seed([published], 0)
            for batch in batches(log.records, [4, 4, 4]):
                state.apply(batch)
            assert digests(state) == expected(log)


def test_a_copy_of_what_the_log_dropped_is_not_folded_by_a_rebuild(tmp_path: Path, log: Log) -> None:
    copied = value_of(1, pour(), ANNA)
    for pair in (copied, copied, value_of(2, pour(), SESSION), value_of(3, pour(), BERT)):
        log.append(*pair)
    anna = Subject(ANNA, 0, 0)
    anna.tally.add(pour(), "gw-1", TODAY)
    with PartitionState.open(tmp_path / "new.db", KEY) as state:
        state.seed([[anna]], 1, told=3)
        state.apply(log.records[1:2])
    with PartitionState.open(tmp_path / "new.db", KEY) as state:  # it is known after a restart
        state.apply([*log.records[2:], log.append(*copied)])
        assert {name: state.digest(name)[0] for name in state.names()} == {ANNA: 1, SESSION: 1, BERT: 1}
        assert [outcome for _, _, outcome in state.counts()] == ["duplicate", "folded"]


def test_of_sessions_a_rebuild_forgets_those_that_are_not_folded_again(tmp_path: Path, log: Log) -> None:
    over, gone = (session_subject("hot-bar-2", 0x5E3A09C1, number) for number in (1, 2))
    told = [
        Consumed("profiles", 0, offset, NOON_MS, name.encode(), value, ())
        for offset, (name, value) in enumerate([(SESSION, b"sums"), (over, b"sums"), (gone, b"sums"), (gone, None)])
    ]
    with PartitionState.open(tmp_path / "new.db", KEY) as state:
        state.seed(known(KEY, [told[:3], told[3:]]), 0)
        state.apply([log.append(*value_of(1, pour(), SESSION))])
        assert (list(state.names()), state.forgotten()) == ([SESSION], [over])


@given(evidence=st.lists(st.tuples(BODIES, st.sampled_from(("gw-1", "app")), st.sampled_from((TODAY, -3))), max_size=8))
def test_a_tally_is_the_profile_algebra_in_place(evidence: list[tuple[AnyData, str, int]]) -> None:
    tally = Tally()
    for part in evidence:
        tally.add(*part)
    whole = merge(contribution(*part) for part in evidence)
    assert tally.profile() == whole
    assert tally.rows() == whole.rows()
    again = Tally.load(*tally.dump())
    claim = SessionClaimed(**PLACE, session=SESSION, buckets=whole.rows()[0], flavours=whole.rows()[1])
    again.add(claim, "gw-2", TODAY)
    for part in evidence:
        again.add(*part, sign=-1)
    assert again.rows() == whole.rows()
    again.add(claim, "gw-2", TODAY, -1)
    assert (again.rows(), again.dump()) == (((), ()), ({}, {}))


def test_what_is_evidence_is_what_adds_to_a_profile() -> None:
    for data in EVERY_TYPE:
        assert is_evidence(data) == (contribution(data, "gw-1", TODAY) != Profile())


def test_an_event_is_added_to_its_day_and_other_days_are_not_looked_at(
    state: PartitionState, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = [TODAY - number for number in range(40)]
    for number, day in enumerate(days):
        log.append(*value_of(number + 1, pour(), day=day))
    state.apply(log.records)
    looked_at, unpack = [], subjects._unpack_day

    def look(part: bytes) -> object:
        looked_at.append(part)
        return unpack(part)

    monkeypatch.setattr(subjects, "_unpack_day", look)
    log.append(*value_of(50, pour(), day=TODAY - 7))
    state.apply(log.records)
    assert len(looked_at) == 1
    assert state.profile(ANNA) == merge(contribution(pour(), "gw-1", day) for day in (*days, TODAY - 7))


def test_a_claim_is_added_to_all_of_its_days_and_taken_back_from_them(state: PartitionState, log: Log) -> None:
    days = [TODAY, TODAY - 1, TODAY - 2, -3]
    for number, day in enumerate(days):
        log.append(*value_of(number + 1, pour(), day=day))
    state.apply(log.records)
    before = state.profile(ANNA)
    rows = merge(contribution(pour(300), "gw-1", day) for day in (TODAY - 1, TODAY - 2, TODAY - 9)).rows()
    claim = value_of(9, SessionClaimed(**PLACE, session=SESSION, buckets=rows[0], flavours=rows[1]))
    other = next(
        pair
        for tag in range(100)
        if sha((pair := value_of(9, pour(100 + tag), BERT))[1]) < sha(claim[1])  # it wins, and is somebody else's
    )
    log.append(*claim)
    state.apply(log.records)
    assert state.profile(ANNA) == merge([before, profile_of_rows(*rows)])
    log.append(*other)
    state.apply(log.records)
    assert state.profile(ANNA) == before


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def state(tmp_path: Path, log: Log) -> Any:
    with PartitionState.open(tmp_path / "0.db", KEY, log.earlier) as state:
        yield state


def test_the_smaller_hash_counts_and_the_earlier_one_is_read_again_only_where_it_lost(
    state: PartitionState, log: Log
) -> None:
    one, other = value_of(1, pour(100)), value_of(1, pour(200))
    smaller, larger = sorted((one, other), key=lambda pair: sha(pair[1]))
    log.append(*larger)
    state.apply(log.records)
    log.append(*smaller)
    state.apply(log.records[1:])
    assert log.read_again == [0]
    log.append(*larger)
    assert state.apply(log.records[2:]).changed == ()
    assert log.read_again == [0]
    data = judge(log.records[1]).event
    assert data is not None
    assert state.profile(ANNA) == contribution(data.data, "gw-1", TODAY)
    assert state.counts() == {
        (NOON_MS // 3_600_000, "gw-1", "folded"): 1,
        (NOON_MS // 3_600_000, "gw-1", "conflict"): 2,
    }


def test_a_conflict_over_whose_event_it_is_takes_from_one_and_gives_to_the_other(
    state: PartitionState, log: Log
) -> None:
    loser, winner = sorted((value_of(1, pour(), ANNA), value_of(1, pour(), BERT)), key=lambda pair: sha(pair[1]))[::-1]
    for pair in (loser, winner):
        log.append(*pair)
        state.apply(log.records[-1:])
    assert state.profile(loser[0].decode()) == Profile()
    assert state.digest(winner[0].decode())[0] == 1
    assert {s.name: s.version for s in state.unpublished()} == {ANNA: 1, BERT: 1}


def test_a_record_that_is_handed_over_twice_is_no_duplicate(state: PartitionState, log: Log) -> None:
    first, second = (log.append(*value_of(number, pour())) for number in (1, 2))
    state.apply([first, first])
    state.apply([first, second])
    assert {outcome: n for (_, _, outcome), n in state.counts().items()} == {"folded": 2}


def test_an_earlier_content_that_kafka_dropped_stays_and_is_told_of(tmp_path: Path, log: Log) -> None:
    larger, smaller = sorted((value_of(1, pour(100)), value_of(1, pour(200))), key=lambda pair: sha(pair[1]))[::-1]
    with PartitionState.open(tmp_path / "1.db", KEY) as state:
        state.apply([log.append(*larger)])
        applied = state.apply([log.append(*smaller)])
        assert (applied.irreversible, applied.changed, state.digest(ANNA)[0]) == (1, (), 1)


@pytest.mark.parametrize(
    ("key", "value", "received_ms", "reason"),
    [
        (ANNA.encode(), None, NOON_MS, "malformed"),
        (ANNA.encode(), b"{", NOON_MS, "malformed"),
        (BERT.encode(), value_of(1, pour())[1], NOON_MS, "wrong_key"),
        (None, value_of(1, pour())[1], NOON_MS, "wrong_key"),
        (*value_of(1, pour(), day=TODAY), NOON_MS + 91 * DAY_MS, "too_old"),
    ],
)
def test_what_is_refused_is_counted_marks_nothing_and_changes_nobody(
    state: PartitionState, log: Log, key: bytes | None, value: bytes | None, received_ms: int, reason: str
) -> None:
    applied = state.apply([log.append(key, value, received_ms)])
    assert [verdict.refusal and verdict.refusal.reason for verdict in applied.refused] == [reason]
    assert (applied.changed, list(state.names()), state.position) == ((), [], 1)
    assert [outcome for _, _, outcome in state.counts()] == [reason]
    later = NOON_MS if reason != "too_old" else received_ms
    log.append(*value_of(1, pour(), day=later // DAY_MS), later)
    assert state.apply(log.records).changed == (ANNA,)


def _voids(number: int, data: Poured, day: int = TODAY, own_day: int = TODAY) -> tuple[bytes, bytes]:
    """What takes the pour of this sequence and day back; it is of a later day."""
    taken = PourVoided(
        store=data.store, region=data.region, channel="gateway", consent="profile",
        voided=f"hot-bar-1:5e3a09c1:{number}", day=day, sauce=data.sauce, heat=data.heat, flavours=data.flavours,
        w=data.w, nozzle=data.nozzle, volume_ul=data.volume_ul, reason="stuck",
    )  # fmt: skip
    own = keyed_event_id("gw-1", f"void {taken.voided}")
    return value_of(own.sequence, taken, source="gw-1", generation=own.generation, day=own_day)


@settings(max_examples=15, deadline=None)
@given(st.randoms(), st.integers(1, 5))
def test_pours_that_were_taken_back_are_in_no_profile_in_any_order(random: Any, size: int) -> None:
    log = Log()
    pairs = [value_of(number, pour(100 * number), day=TODAY - number % 2) for number in range(1, 7)]
    pairs += [_voids(number, pour(100 * number), TODAY - number % 2) for number in (2, 3, 5)]
    pairs += random.sample(pairs, 4)
    random.shuffle(pairs)
    for pair in pairs:
        log.append(*pair)
    with tempfile.TemporaryDirectory() as place, PartitionState.open(Path(place) / "0.db", KEY) as state:
        for batch in batches(log.records, [size] * len(pairs)):
            state.apply(batch)
        left = merge(contribution(pour(100 * n), "gw-1", TODAY - n % 2) for n in (1, 4, 6))
        assert state.digest(ANNA) == (3, left.digest())


def test_a_void_comes_too_late_where_its_pour_does(state: PartitionState, log: Log) -> None:
    """Or the sums of a pour that was refused would be taken away."""
    log.append(*value_of(1, pour(), day=TODAY - 91))
    log.append(*_voids(1, pour(), TODAY - 91))
    log.append(*value_of(2, pour(), day=TODAY - 90))
    refused = [verdict.refusal and verdict.refusal.reason for verdict in state.apply(log.records).refused]
    assert (refused, state.digest(ANNA)[0]) == (["too_old", "too_old"], 1)


def test_an_event_of_ninety_days_and_one_of_no_known_day_are_folded(state: PartitionState, log: Log) -> None:
    log.append(*value_of(1, pour(), day=TODAY - 90))
    log.append(*value_of(2, pour(), day=-7))
    assert state.apply(log.records).refused == ()
    assert state.digest(ANNA)[0] == 2


def test_an_identity_is_forgotten_after_120_days_of_receipt_and_not_before(state: PartitionState, log: Log) -> None:
    pair = value_of(1, pour(), day=-3)
    for days in (0, 120, 121):
        log.append(*pair, NOON_MS + days * DAY_MS)
        state.apply(log.records)
        state.tidy(TODAY + days)
    assert [outcome for _, _, outcome in state.counts()] == ["folded", "duplicate", "folded"]
    (kept,) = state._connection.execute("SELECT count(*) FROM identities").fetchone()
    log.append(*value_of(2, pour(), day=-3), NOON_MS + 300 * DAY_MS)
    state.apply(log.records)
    while state.tidy(TODAY + 300):
        pass
    (after,) = state._connection.execute("SELECT count(*) FROM identities").fetchone()
    assert (kept, after) == (1, 1)


def test_a_broker_that_was_ahead_for_a_moment_makes_nobody_forget(state: PartitionState, log: Log) -> None:
    pair = value_of(1, pour())
    log.append(*pair)
    log.append(*value_of(2, pour(), day=-3), NOON_MS + 200 * DAY_MS)
    state.apply(log.records)
    while state.tidy(TODAY):
        pass
    log.append(*pair, NOON_MS + 1_000)
    assert state.apply(log.records).changed == ()
    assert sorted(outcome for _, _, outcome in state.counts()) == ["duplicate", "folded", "folded"]


def test_of_sources_that_do_not_count_nothing_stays_beyond_the_120_days(
    state: PartitionState, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identities, "TIDY_ROWS", 7)

    def kept() -> tuple[int, ...]:
        query = "SELECT (SELECT count(*) FROM lives), (SELECT count(*) FROM identities), count(*) FROM receipts"
        counts: tuple[int, ...] = state._connection.execute(query).fetchone()
        return counts

    ids = [keyed_event_id("app-x", str(number)) for number in range(20)]
    ids += [EventId("hot-bar-1", 1, number) for number in range(1, 21)]
    for source, generation, sequence in ids:
        log.append(*value_of(sequence, pour(), source=source, generation=generation, day=-3))
    log.append(*value_of(99, pour(), day=-3), NOON_MS + 121 * DAY_MS)
    state.apply(log.records)
    assert kept() == (22, 41, 2)
    turns = 1
    while state.tidy(TODAY + 121):
        turns += 1
    assert (kept(), turns) == ((1, 1, 2), 6)
    log.append(*value_of(21, pour(), source="hot-bar-1", generation=1, day=-3), NOON_MS + 121 * DAY_MS)
    log.append(log.records[-1].key, log.records[-1].value, NOON_MS + 121 * DAY_MS)
    state.apply(log.records)
    assert kept() == (2, 2, 2)


def test_what_says_nothing_of_taste_is_counted_and_leaves_profiles_alone(state: PartitionState, log: Log) -> None:
    impression = next(data for data in EVERY_TYPE if isinstance(data, Impression))
    log.append(*value_of(1, msgspec.structs.replace(impression, consent="profile"), ANNA, source="gw-1"))
    assert state.apply(log.records).changed == ()
    assert [outcome for _, _, outcome in state.counts()] == ["folded"]


def test_a_session_goes_when_it_is_claimed_or_two_ticks_later(state: PartitionState, log: Log) -> None:
    other = session_subject("hot-bar-2", 0x5E3A09C1, 9)
    log.append(*value_of(1, pour(), SESSION))
    log.append(*value_of(2, pour(), other))
    assert set(state.apply(log.records).changed) == {SESSION, other}
    rows = contribution(pour(), "gw-1", TODAY).rows()
    log.append(*value_of(3, SessionClaimed(**PLACE, session=SESSION, buckets=rows[0], flavours=rows[1])))
    state.apply(log.records)
    assert (list(state.names()), state.forgotten()) == ([ANNA, other], [SESSION])
    state.confirm([], [SESSION])
    state.tick(TODAY + 1)
    while state.tidy(TODAY):
        pass
    assert list(state.names()) == [ANNA, other]
    state.tick(TODAY + 2)
    state.tick(TODAY + 1)
    while state.tidy(TODAY):
        pass
    assert (list(state.names()), state.forgotten()) == ([ANNA], [other])
    log.append(*value_of(4, pour(), other))
    assert state.apply(log.records).changed == ()
    assert (NOON_MS // 3_600_000, "gw-1", "session_over") in state.counts()


def test_where_customers_were_seen_is_kept_of_the_latest_days(state: PartitionState, log: Log) -> None:
    for number in range(20):
        log.append(*value_of(number + 1, pour(region=f"r-{number}"), day=TODAY - number))
    state.apply(log.records)
    [anna] = state.subjects([ANNA])
    assert anna.regions == {f"r-{number}": TODAY - number for number in range(16)}


def test_what_was_published_is_known_after_a_restart(tmp_path: Path, log: Log) -> None:
    path = tmp_path / "0.db"
    with PartitionState.open(path, KEY) as state:
        log.append(*value_of(1, pour(), ANNA))
        log.append(*value_of(2, pour(), BERT))
        state.apply(log.records)
        [anna] = state.subjects([ANNA])
        state.confirm([(anna.told, TODAY + 7)])
    with PartitionState.open(path, KEY) as state:
        assert [s.name for s in state.unpublished()] == [BERT]
        state.tick(TODAY + 6)
        assert list(state.due()) == []
        state.tick(TODAY + 7)
        assert [s.name for s in state.due()] == [ANNA]
        log.append(*value_of(3, pour(), ANNA))
        state.apply(log.records)
        assert {s.name for s in state.unpublished()} == {ANNA, BERT}


@pytest.mark.parametrize(
    "other",
    [
        LogKey("events", 1),
        LogKey("events", 0, generation=2),
        LogKey("events", 0, partitions=2),
        LogKey("events", 0, topic_id="made-anew"),
        LogKey("others", 0),
    ],
)
def test_a_file_of_another_log_is_none(tmp_path: Path, log: Log, other: LogKey) -> None:
    log.append(*value_of(1, pour()))
    with PartitionState.open(tmp_path / "0.db", KEY) as state:
        state.apply(log.records)
    with PartitionState.open(tmp_path / "0.db", other) as state:
        assert (state.position, state.seeded, list(state.names())) == (0, 0, [])


def test_a_seed_that_was_cut_short_begins_anew(tmp_path: Path) -> None:
    class Killed(Exception):
        pass

    def cut() -> Any:
        yield [Subject(ANNA, 7, 7)]
        raise Killed

    with PartitionState.open(tmp_path / "0.db", KEY) as state, pytest.raises(Killed):
        state.seed(cut(), 0)
    with PartitionState.open(tmp_path / "0.db", KEY) as state:
        assert list(state.names()) == []


@pytest.mark.parametrize("at", [0, 5_000])
def test_a_damaged_file_is_made_anew(tmp_path: Path, log: Log, at: int) -> None:
    path = tmp_path / "0.db"
    for number in range(200):
        log.append(*value_of(number + 1, pour(), f"p1-{number:032x}"))
    with PartitionState.open(path, KEY) as state:
        state.apply(log.records)
    content = bytearray(path.read_bytes())
    content[at : at + 40_000] = b"\xaa" * len(content[at : at + 40_000])
    path.write_bytes(content)
    log.append(*value_of(300, pour()))
    if at:  # it is met where it is read
        with pytest.raises(StoreError, match="damaged"), PartitionState.open(path, KEY) as state:
            state.apply(log.records)
    with PartitionState.open(path, KEY) as state:
        assert state.position == 0
        state.apply(log.records)
        assert len(list(state.names())) == 201


@pytest.mark.parametrize("met", ["apply", "subjects", "unpublished", "due", "held"])
def test_sums_that_are_damaged_are_made_anew(tmp_path: Path, log: Log, met: str) -> None:
    path = tmp_path / "0.db"
    with PartitionState.open(path, KEY) as state:
        state.apply([log.append(*value_of(1, pour()))])
        state.tick(TODAY + 1)
        state.confirm([(subject.told, TODAY + 1) for subject in state.subjects([ANNA])] if met == "due" else [])
        state._connection.execute("UPDATE subjects SET sums = CAST(replace(sums, 'poured', 'roused') AS BLOB)")
        meet: dict[str, Callable[[], object]] = {
            "apply": lambda: state.apply([log.append(*value_of(2, pour()))]),
            "subjects": lambda: list(state.subjects([ANNA])),
            "unpublished": lambda: list(state.unpublished()),
            "due": lambda: list(state.due()),
        }
        with pytest.raises(StoreError, match="damaged" if met in meet else "can't be read"):
            if met in meet:
                meet[met]()
            else:
                with StateReader.open(path) as reader:
                    reader.held(ANNA, "gw-1")
    with PartitionState.open(path, KEY) as state:
        assert state.seeded == (met == "held"), "who reads beside the pipeline removes nothing"


def test_profiles_read_as_heat_reads_them(state: PartitionState, log: Log) -> None:
    log.append(*value_of(1, pour(), ANNA, origin="gw-1"))
    log.append(*value_of(1, pour(300), ANNA, source="hot-bar-2", origin="gw-2"))
    state.apply(log.records)
    whole = merge([contribution(pour(), "gw-1", TODAY), contribution(pour(300), "gw-2", TODAY)])
    assert state.profile(ANNA) == whole
    assert state.digest(ANNA) == (2, whole.digest())
    assert state.digest(ANNA, "gw-2") == (1, whole.digest("gw-2"))
    assert state.digest(BERT) == (0, Profile().digest())
    assert msgspec.json.decode(msgspec.json.encode(whole.rows()))
