"""What `make faults` tells: its figures add up, and what failed stays to be looked at."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cluster import KafkaCluster
from tests.faults.__main__ import main, repeat
from tests.faults.kills import Kill, Kind, Outcome, Recovery
from tests.faults.sweep import attempt, bound, summary, sweep, table
from tests.flow.verdict import Verdict
from tests.waiting import TooLate


def kill(kind: Kind, transaction: str = "Empty") -> Kill:
    return Kill(kind, 1 if kind == "kafka" else None, "2026-11-25T12:00:00.000+00:00", 20, 10, transaction, 0, 0)


def outcome(directory: Path, seed: int) -> Outcome:
    """A run in which all went well."""
    directory.mkdir()
    (directory / "kills.jsonl").touch()
    return Outcome(
        seed,
        directory / "kills.jsonl",
        [kill("gateway", "Ongoing"), kill("gateway", "PrepareCommit"), kill("mosquitto"), kill("kafka", "Ongoing")],
        [Recovery(1.0 + seed, 2.0 + seed, 3.0 + seed)] * 2,
        made=1000,
        written_twice=seed,
        hits=1,
        ledger=[{"generated": 1000, "stored": 1000, "in_kafka": 1000, "flaws": []}],
        integrity="ok",
        seconds=40.0,
    )


def put(run: Outcome, **values: object) -> None:
    """Several attributes at once."""
    for name, value in values.items():
        setattr(run, name, value)


def broken_at(seed: int, how: Callable[[Outcome], object]) -> Callable[[Path, int], Outcome]:
    """Runs, of which the one of this seed goes wrong."""

    def go(directory: Path, now: int) -> Outcome:
        made = outcome(directory, now)
        if now == seed:
            how(made)
        return made

    return go


def told(output: str) -> dict[str, str]:
    """The table's figures by their names."""
    return {line[:36].strip(): line[36:].strip() for line in output.splitlines() if len(line) == 61}


def test_the_table_sums_up_all_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(sweep(tmp_path, [1, 2, 3], outcome, summary, table)) == 3
    output = capsys.readouterr().out
    assert told(output) == {
        "tries": "3",
        "failed": "0",
        "of these, too slow": "0",
        "kills of gateway": "6",
        "kills of mosquitto": "3",
        "kills of kafka": "3",
        "of the gateway's, in a transaction": "3 (50%)",
        "of these, left records": "3 (100%)",
        "events made": "3000",
        "lost": "0",
        "doubled": "0",
        "out of order": "0",
        "made up": "0",
        "written twice, seen once": "6",
        "recovery, to ready": "p50 3.0 s, max 4.0 s",
        "recovery, to an event on disk": "p50 4.0 s, max 5.0 s",
        "recovery, to an event in Kafka": "p50 5.0 s, max 6.0 s",
    }
    assert "0 of 3 tries failed" in output
    assert list(tmp_path.iterdir()) == [], "nothing of a good run is left"


@pytest.mark.parametrize(
    ("how", "figure"),
    [
        (lambda run: setattr(run, "verdict", Verdict(("a:1:1", "a:1:2"), (), (), ())), ("lost", "2")),
        (lambda run: setattr(run, "verdict", Verdict((), ("a:1:1",), (), ())), ("made up", "1")),
        (lambda run: setattr(run, "verdict", Verdict((), (), ("a:1:1",), ())), ("doubled", "1")),
        (lambda run: setattr(run, "verdict", Verdict((), (), (), ("a:1:1",))), ("out of order", "1")),
        (lambda run: setattr(run, "integrity", "row 7 is missing"), ("lost", "0")),
        (lambda run: setattr(run, "broken", "AssertionError: no rows"), ("of these, too slow", "0")),
        (lambda run: put(run, broken="TooLate", too_slow=True), ("of these, too slow", "1")),
        (lambda run: setattr(run, "hits", 0), ("of these, left records", "2 (67%)")),
        (lambda run: setattr(run, "kills", run.kills[2:]), ("kills of gateway", "4")),
        (lambda run: run.kills.insert(0, kill("gateway")), ("of the gateway's, in a transaction", "3 (43%)")),
    ],
)
def test_a_failed_run_keeps_its_files_and_names_its_seed(
    how: Callable[[Outcome], object],
    figure: tuple[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    outcomes = sweep(tmp_path, [7, 8, 9], broken_at(8, how), summary, table)
    assert [run.good for run in outcomes] == [True, False, True]
    output = capsys.readouterr().out
    assert told(output)["failed"] == "1"
    assert told(output)[figure[0]] == figure[1]
    assert f"failed: seed 8; its files are in {tmp_path / 'run-8'}" in output
    assert (tmp_path / "run-8" / "kills.jsonl").exists()
    assert not (tmp_path / "run-7").exists()


def test_a_sweep_that_is_cut_short_tells_what_it_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def go(directory: Path, seed: int) -> Outcome:
        made = outcome(directory, seed)
        if seed == 3:
            raise KeyboardInterrupt
        return made

    with pytest.raises(KeyboardInterrupt):
        sweep(tmp_path, [1, 2, 3], go, summary, table)
    assert told(capsys.readouterr().out)["tries"] == "2"
    assert list(tmp_path.iterdir()) == [], "no run failed, so nothing is left to look at"


@pytest.mark.parametrize("stopped_by", [signal.SIGINT, signal.SIGTERM])
def test_a_sweep_that_is_stopped_leaves_nothing_and_says_so_by_its_status(
    stopped_by: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(directory: Path, *_: object, **__: object) -> Outcome:
        directory.mkdir(parents=True)
        signal.raise_signal(stopped_by)
        raise AssertionError("the signal was ignored")

    monkeypatch.setattr("tests.faults.sweep.KafkaCluster", lambda _: contextlib.nullcontext())
    monkeypatch.setattr("tests.faults.sweep.run", run)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = signal.getsignal(signal.SIGTERM)
    try:
        assert main(["kills", "--runs", "2"]) == 130
    finally:
        signal.signal(signal.SIGTERM, before)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("why", "too_slow"),
    [
        (TooLate("not within 180 s: the gateway is ready"), True),
        (subprocess.TimeoutExpired("picante", 10), True),
        (TimeoutError(), True),
        (AssertionError("the simulator ended"), False),
        (ValueError("no such row"), False),
    ],
)
def test_a_missed_deadline_is_told_from_other_ends(
    why: Exception, too_slow: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*_: object, **__: object) -> Outcome:
        raise why

    monkeypatch.setattr("tests.faults.sweep.run", run)
    monkeypatch.setattr(KafkaCluster, "wait_until_in_sync", lambda *_: None)
    cluster = KafkaCluster(tmp_path)
    cluster.nodes.clear()
    outcome = attempt(tmp_path, cluster, 1)
    assert (outcome.good, outcome.too_slow) == (False, too_slow)
    assert ("broke off at a deadline" in summary(outcome)) is too_slow


def test_no_failure_is_told_with_what_it_shows() -> None:
    assert bound(100, 0).endswith("the rate is under 3.00% at 95 % (rule of three)")
    assert bound(100, 2) == "2 of 100 tries failed"
    assert bound(0, 0) == "0 of 0 tries failed"


def test_each_seed_is_tried_and_a_failed_one_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    tried = []

    def attempt(place: Path, seed: int) -> None:
        assert list(place.iterdir()) == [], "each has a place of its own"
        (place / "ring").touch()
        tried.append(seed)
        assert seed != 8, 'seed 8: lost\nagain: make faults ARGS="link --seed 8 --runs 1"'

    assert repeat("link", range(7, 10), attempt) == 1
    output = capsys.readouterr().out
    assert tried == [7, 8, 9]
    assert 'ARGS="link --seed 8 --runs 1"' in output
    assert "link: 1 of 3 tries from seed 7 on failed" in output
    assert repeat("link", range(9, 12), attempt) == 0
    assert "link: 0 of 3 tries from seed 9 on failed: the rate is under" in capsys.readouterr().out


def test_a_name_and_a_seed_have_one_run_again(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []
    monkeypatch.setattr("tests.firmware_bridge.trial.attempt", lambda place, seed: tried.append(seed))
    before = signal.getsignal(signal.SIGTERM)
    try:
        assert main(["link", "--seed", "1234", "--runs", "1"]) == 0
    finally:
        signal.signal(signal.SIGTERM, before)
    assert tried == [1234]
