"""Recordings and logs from the field, kept beside the checkout: their licences forbid to hand them on.

Tests that read them skip where they are absent, in CI too (`MAY_SKIP` in conftest.py), and never pass on none.
"""

import csv
import hashlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def captures(below: Path = ROOT) -> list[Path]:
    """Raw captures of real serial lines, none of which speaks our protocol; skips the test where there are none."""
    return _found("captures of real lines", "serial/*.log", below)


def weather_answers(below: Path = ROOT) -> list[Path]:
    """What a weather service answered, of OpenWeatherMap's shape; skips the test where there are none."""
    return _found("answers on the weather", "weather/*_weather_*.json", below)


def heat_sentences(below: Path = ROOT) -> dict[str, str]:
    """Sentences of reviews by the first 16 digits of their SHA-256; skips the test where there are none."""
    (path,) = _found("sentences on heat", "text/heat_sentences.csv", below)
    with path.open(encoding="utf-8", newline="") as file:
        sentences = [row["sentence"] for row in csv.DictReader(file)]
    return {hashlib.sha256(sentence.encode()).hexdigest()[:16]: sentence for sentence in sentences}


def bandit_logs(below: Path = ROOT) -> Path:
    """Picks of a shop elsewhere, drawn evenly, with their chances and clicks; skips the test where there are none."""
    return _found("logged picks of another shop", "ope/obd_random_men_10k.csv.gz", below)[0]


def real_choices(below: Path = ROOT) -> Path:
    """The folder with logs of what real people chose; skips the test where there is none."""
    return _found("logs of real choices", "preferences/*.csv*", below)[0].parent


def _found(what: str, pattern: str, below: Path) -> list[Path]:
    found = [path for folder in below.parents for path in sorted((folder / "shared/data").glob(pattern))]
    if not found:
        pytest.skip(f"no {what} at shared/data/{pattern} beside {below}")
    return found
