"""The labelled sentences are what they were before the lexicon was written, or anything was tried on them."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

import pytest

from tests.shared_data import heat_sentences

FOLDER = Path(__file__).parents[1] / "vectors/heat_language"
FROZEN = {
    "labels.csv": "ab152928fcba281d612c6bf0d1d9e8c438770f6fb5051dfc2e6cc239f84f9034",
    "labels_later.csv": "efa5243537a49132bd00966c5b53fe172138f56399ba96e433a836e68b8a1a35",
    "labels_second.csv": "97ea4551d9b6d9db2afa91a4181a313f990de299f5dd2ec548a891b6fa0d8cc8",
}


def _rows() -> list[dict[str, str]]:
    rows = []
    for name in FROZEN:
        with (FOLDER / name).open(encoding="utf-8", newline="") as file:
            rows += list(csv.DictReader(file))
    return rows


@pytest.mark.parametrize(("name", "digest"), FROZEN.items())
def test_labels_are_frozen(name: str, digest: str) -> None:
    assert hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() == digest, "labels don't follow the code"


def test_labels_keep_their_own_rules() -> None:
    for row in _rows():
        assert row["wish"] in {"more", "right", "less", "none"}
        if row["about_heat"] == "0":
            assert row["wish"] == "none", row
        if row["trap"] == "1":
            assert row["about_heat"] == "0", row
        side = int(hashlib.sha256(row["sha256"].encode()).hexdigest(), 16) % 2
        assert row["split"] in {"later", "second", "dev" if side else "held-out"}, row
    assert len({row["sha256"] for row in _rows()}) == len(_rows())


def test_each_label_is_of_a_sentence() -> None:
    sentences = heat_sentences()
    assert {row["sha256"] for row in _rows()} <= set(sentences)
