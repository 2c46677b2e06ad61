"""`picante models replay`: logged picks, again from what was logged."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from cloud.record_lines import as_json
from heat.events import Impression
from models.bundle import load, pretrained
from models.features import Context
from models.ranker import RuleRanker, in_numpy
from picante.cli_models import models
from tests.cloud.lake.records import consumed, opened, put
from tests.models.test_explore import ALL, KNOWN, impression
from tests.tasting import unsure

SHIPPED = in_numpy(load(pretrained()))


def logged(count: int = 6) -> list[Impression]:
    """Picks of the shipped bundle, of the rule, and of a bundle that nobody has here."""
    rankers = (SHIPPED, SHIPPED, RuleRanker(), unsure())
    return [
        msgspec.structs.replace(
            impression(rankers[number % 4], KNOWN, ALL, Context(), seed=number), pick_id=f"pick-{number}"
        )
        for number in range(count)
    ]


def run(*arguments: str, lines: Sequence[bytes] = ()) -> tuple[int, str, str]:
    result = CliRunner().invoke(models, ["replay", *arguments], input=b"\n".join(lines), prog_name="picante models")
    return result.exit_code, result.stdout, result.stderr


def test_what_was_logged_replays_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "picks.jsonl"
    file.write_bytes(msgspec.json.Encoder().encode_lines(logged()))
    code, stdout, _ = run(str(file))
    assert code == 0
    assert [line.strip() for line in stdout.splitlines()] == [
        "6 impressions",
        "5 replay to the bit",
        "0 differ",
        "1 of bundle unsure-1, which was not given",
    ]


def test_an_altered_log_differs_and_is_named() -> None:
    first, *others = logged(3)
    altered = msgspec.structs.replace(first, slate_propensity=0.5)
    old = msgspec.structs.replace(others[0], known=None)
    code, stdout, _ = run("-", "--json", lines=[msgspec.json.encode(one) for one in (altered, old, others[1])])
    assert code == 1
    assert msgspec.json.decode(stdout) == {
        "impressions": 3, "replayed": 1, "differ": 1, "differing": ["pick-0"], "unknown": {}, "silent": 1,
    }  # fmt: skip


def test_records_replay_from_kafka_s_tail_and_from_the_lake(tmp_path: Path) -> None:
    records = [consumed(offset, data) for offset, data in enumerate(logged(3))] + [consumed(3)]
    put(opened(tmp_path), records)
    for code, stdout, _ in (
        run("--lake", str(tmp_path)),
        run("-", lines=[as_json(record) for record in records]),
    ):
        assert (code, stdout.splitlines()[:2]) == (0, ["        3 impressions", "        3 replay to the bit"])


@pytest.mark.parametrize(
    ("arguments", "line", "told"),
    [
        ((), b"", "give a FILE of impressions, or --lake"),
        (("-", "--lake", "here"), b"", "give a FILE of impressions, or --lake"),
        (("-",), b'{"pick_id": ', "error: line 2: "),
        (("-",), b'{"pick_id": "a", "candidates": []}', "error: line 2: "),
        (("--lake", "nowhere"), b"", "nowhere: no lake there yet"),
        (("-", "--bundle", "nowhere"), b"", "nowhere/manifest.json: can't be read"),
    ],
)
def test_what_can_t_be_read_is_one_line_and_exit_2(arguments: tuple[str, ...], line: bytes, told: str) -> None:
    code, stdout, stderr = run(*arguments, lines=[b"", line])
    assert (code, stdout) == (2, "")
    assert told in stderr
    assert len(stderr.splitlines()) <= 2
