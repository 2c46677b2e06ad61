"""The labelled sentences are what they were before the lexicon was written."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

from tests.shared_data import heat_sentences

LABELS = Path(__file__).parents[1] / "vectors/heat_language/labels.csv"
FROZEN = "ab152928fcba281d612c6bf0d1d9e8c438770f6fb5051dfc2e6cc239f84f9034"


def _rows() -> list[dict[str, str]]:
    with LABELS.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_labels_are_frozen() -> None:
    assert hashlib.sha256(LABELS.read_bytes()).hexdigest() == FROZEN, "labels don't follow the code"


def test_labels_keep_their_own_rules() -> None:
    for row in _rows():
        assert row["wish"] in {"more", "right", "less", "none"}
        if row["about_heat"] == "0":
            assert row["wish"] == "none", row
        if row["trap"] == "1":
            assert row["about_heat"] == "0", row
        side = int(hashlib.sha256(row["sha256"].encode()).hexdigest(), 16) % 2
        assert row["split"] == ("dev" if side else "held-out"), row


def test_each_label_is_of_a_sentence() -> None:
    sentences = heat_sentences()
    assert {row["sha256"] for row in _rows()} <= set(sentences)
