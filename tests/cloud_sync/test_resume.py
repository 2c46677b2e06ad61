"""Where reading a compacted topic goes on, as a pure function of what is remembered and what is there."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cloud_sync.resume import Anew, GoOn, Log, Mark, decide, is_another_log
from cloud_sync.topics import DAY_MS

NOW_MS = 1_790_000_000_000
LOG = Log("cluster-a", 0, 1_000)
MARK = Mark("cluster-a", "south", next=500, witness=498, witness_ms=NOW_MS - 9, read_ms=NOW_MS - DAY_MS, snapshot=3)


def test_it_goes_on_at_the_last_record_that_was_read() -> None:
    """That one is compared, since an offset says nothing of which log it is of."""
    assert decide(MARK, LOG, "south", NOW_MS) == GoOn(MARK, 498)


def test_where_the_last_record_is_gone_it_goes_on_at_the_next() -> None:
    log = replace(LOG, start=499)
    assert decide(MARK, log, "south", NOW_MS) == GoOn(MARK, 500)


@pytest.mark.parametrize(
    ("mark", "log", "scope", "why"),
    [
        (None, LOG, "south", "never read"),
        (MARK, replace(LOG, cluster="cluster-b"), "south", "another cluster"),
        (MARK, LOG, "north", "something else"),
        (MARK, replace(LOG, end=499), "south", "ends before"),
        (MARK, replace(LOG, start=501), "south", "is gone"),
        (replace(MARK, read_ms=NOW_MS - 119 * DAY_MS - 1), LOG, "south", "so long"),
        (replace(MARK, read_ms=None), LOG, "south", "so long"),
        (replace(MARK, until=900, read_ms=NOW_MS - 119 * DAY_MS - 1), LOG, "south", "so long"),
        (replace(MARK, until=900, read_ms=None), LOG, "south", "so long"),
    ],
)
def test_it_reads_everything_anew(mark: Mark | None, log: Log, scope: str, why: str) -> None:
    how = decide(mark, log, scope, NOW_MS)
    assert isinstance(how, Anew)
    assert why in how.why
    expected = Mark(log.cluster, scope, log.start, read_ms=NOW_MS, snapshot=4 if mark else 1, until=log.end)
    assert how.mark == expected


@pytest.mark.parametrize("read_ms", [NOW_MS - 119 * DAY_MS, NOW_MS, NOW_MS + DAY_MS])
def test_within_what_tombstones_stay_it_goes_on(read_ms: int) -> None:
    assert isinstance(decide(replace(MARK, read_ms=read_ms), LOG, "south", NOW_MS), GoOn)


def test_while_nobody_knows_the_time_age_is_not_judged() -> None:
    assert isinstance(decide(replace(MARK, read_ms=0), LOG, "south", None), GoOn)


def test_a_snapshot_that_was_cut_off_goes_on() -> None:
    mark = replace(MARK, until=900)
    assert decide(mark, LOG, "south", NOW_MS) == GoOn(mark, 498)


@pytest.mark.parametrize(("next_", "whole"), [(899, False), (900, True), (901, True)])
def test_a_snapshot_is_whole_at_its_end(next_: int, whole: bool) -> None:
    assert replace(MARK, until=900, next=next_).whole is whole
    assert not replace(MARK, next=next_).whole


def test_another_record_at_the_same_place_is_another_log() -> None:
    assert not is_another_log(MARK, 498, MARK.witness_ms)
    assert is_another_log(MARK, 498, MARK.witness_ms + 1)
    assert not is_another_log(MARK, 499, 0), "compaction took the last record that was read"
