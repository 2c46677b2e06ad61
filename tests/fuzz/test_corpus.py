"""What the fuzzer found, and the frames of the vectors, break no promise of the decoders; it is not needed here."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.inputs import CORPUS, TARGETS, from_vectors, name_of
from tests.fuzz.keep import steps, worth_keeping
from tests.fuzz.targets import TARGETS as BY_NAME

FILES = sorted(CORPUS.glob("*/*"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.name[:8]}")
def test_what_was_found_breaks_nothing(path: Path) -> None:
    BY_NAME[path.parent.name](path.read_bytes())


@pytest.mark.parametrize("target", TARGETS)
def test_the_vectors_break_nothing(target: str) -> None:
    inputs = from_vectors(target)
    assert inputs
    for given in inputs:
        BY_NAME[target](given)


def test_the_corpus_stays_small_and_names_its_inputs_by_their_content() -> None:
    assert 0 < len(FILES) < 300
    assert sum(path.stat().st_size for path in FILES) < 200_000
    assert [path.name for path in FILES] == [name_of(path.read_bytes()) for path in FILES]
    assert set(BY_NAME) == set(TARGETS)


def test_what_reaches_new_code_is_kept_and_nothing_else() -> None:
    packet = BY_NAME["packet"]
    ping, too_short, of_no_type = from_vectors("packet")[-1], b"\x01", b"\x01\x77\xa0"
    assert steps(packet, ping) > set()
    assert worth_keeping(packet, [ping], [of_no_type, ping, too_short, b"\x02"]) == [too_short, of_no_type]
