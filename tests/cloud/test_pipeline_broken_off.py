"""A batch of the pipeline that breaks off, wherever it was, leaves no trace; one that comes again changes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloud.pipeline.identities import Identities
from cloud.pipeline.state import Log as LogKey
from cloud.pipeline.state import PartitionState
from cloud.pipeline.subjects import Subjects
from tests.cloud.logs import ANNA, BERT, Log, pour, value_of

KEY = LogKey("events", 0)


class BrokenOff(Exception):
    """Nobody goes on after it."""


@pytest.fixture
def log() -> Log:
    """Ten events of two customers."""
    log = Log()
    for sequence in range(1, 11):
        log.append(*value_of(sequence, pour(100 * sequence), ANNA if sequence % 2 else BERT))
    return log


def told(path: Path) -> tuple[int, dict[str, tuple[int, str]], int]:
    """What lies in the file, as another process finds it: position, digests, and how many records were counted."""
    with PartitionState.open(path, KEY) as state:
        return state.position, {name: state.digest(name) for name in state.names()}, sum(state.counts().values())


@pytest.mark.parametrize(
    "step", [(Identities, "find"), (Identities, "write"), (Subjects, "apply"), (Subjects, "forget")]
)
def test_a_batch_that_breaks_off_at_any_step_leaves_the_file_as_it_was(
    tmp_path: Path, log: Log, monkeypatch: pytest.MonkeyPatch, step: tuple[type, str]
) -> None:
    path, whole = tmp_path / "state.db", tmp_path / "whole.db"
    with PartitionState.open(whole, KEY) as state:
        state.apply(log.records)
    with PartitionState.open(path, KEY) as state:
        state.apply(log.records[:4])
        before = told(path)
        with monkeypatch.context() as broken, pytest.raises(BrokenOff):
            owner, name = step
            done = getattr(owner, name)

            def break_off(*given: object) -> None:
                done(*given)
                raise BrokenOff

            broken.setattr(owner, name, break_off)
            state.apply(log.records[4:])
    assert told(path) == before
    with PartitionState.open(path, KEY) as state:
        state.apply(log.records[4:])
    assert told(path) == told(whole)


def test_what_comes_again_in_another_batch_is_folded_once(tmp_path: Path, log: Log) -> None:
    path = tmp_path / "state.db"
    with PartitionState.open(path, KEY) as state:
        state.apply(log.records)
    position, digests, counted = told(path)
    with PartitionState.open(path, KEY) as state:
        state.apply([log.append(record.key, record.value) for record in list(log.records)])
    assert told(path) == (2 * position, digests, 2 * counted)
