"""`picante heat`: what the gateway makes of what people say, by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from click.testing import CliRunner

from heat.scale import default_words
from models.heat_text import data, load
from picante.cli import main


def _run(*args: str, given: str | None = None, status: int = 0) -> str:
    result = CliRunner().invoke(main, ["heat", *args], input=given)
    assert result.exit_code == status, result.output
    return result.output


def test_words_are_one_text() -> None:
    heat = default_words().word("hot")
    assert heat is not None
    assert json.loads(_run("say", "something", "hot", "please", "--json")) == {
        "about_heat": True,
        "wish": "more",
        "heat_shu": heat.shu,
        "heat_milli_octaves": heat.milli_octaves,
        "sd_milli_octaves": heat.sd_milli_octaves,
        "table": "en-1/picante-1",
        "asked": True,
    }


def test_each_line_is_answered_by_one() -> None:
    given = "could use more kick\n\nzip lock bag\n" + "mild " * 5_000 + "\n12k SHU"
    answers = [json.loads(line) for line in _run("say", "--json", given=given).splitlines()]
    assert [answer["wish"] for answer in answers] == ["more", "none", "none", "none", "none"]
    assert [answer["heat_shu"] is not None for answer in answers] == [False, False, False, True, True]
    assert answers[-1]["heat_shu"] == 12_000


def test_people_get_sentences() -> None:
    assert "not about heat" in _run("say", "a hot summer day")
    assert "milder, please" in _run("say", "way too hot for me")
    assert "wants 12,000 SHU" in _run("say", "12k SHU")
    assert "speaks of" in _run("say", "the sauce was very hot")
    assert "\x1b" not in _run("say", "\x1b[31mhot")


def test_bytes_that_are_no_text_are_read_as_far_as_they_are() -> None:
    result = CliRunner().invoke(main, ["heat", "say", "--json"], input=b"\xff\xfe hot\n")
    assert json.loads(result.output)["about_heat"]


def test_a_brand_s_words_are_used(tmp_path: Path) -> None:
    path = tmp_path / "words.json"
    categories = [{"word": "volcano", "low_shu": 1000, "high_shu": 2000}]
    words = {"categories": categories, "dial_low_shu": 1, "dial_high_shu": 9, "dial_sd_milli_octaves": 1}
    path.write_text(json.dumps({"version": "brand-9", **words}))
    assert json.loads(_run("say", "volcano", "--json", "--words", str(path)))["table"] == "brand-9"
    assert "can't be read" in _run("say", "hot", "--words", str(tmp_path / "none.json"), status=2)


def test_training_writes_both_files(tmp_path: Path) -> None:
    _run("train", "--out", str(tmp_path / "new"))
    assert np.array_equal(load(tmp_path / "new/heat_text.npy"), load(data() / "heat_text.npy"))
    assert (tmp_path / "new/heat_text.onnx").exists()
    assert "can't be read" in _run("train", "--out", str(tmp_path), "--sentences", str(tmp_path / "none"), status=2)
    (tmp_path / "file").touch()
    assert "can be written" in _run("train", "--out", str(tmp_path / "file"), status=2)
