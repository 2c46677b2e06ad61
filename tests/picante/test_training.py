"""Training from the lake: what real customers poured, seen from what was known at the pick."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from heat.errors import DataError
from heat.events import AnyData
from models.features import COLUMN
from models.outcomes import VISIT_MS
from models.train import fit
from picante.cli_models import models
from picante.training import in_lake
from tests.cloud.lake.records import opened, put
from tests.cloud.lake.test_training import MENU, OTHER, SHOWN, at, poured, profile_of, shown, stated


def _visits(folder: Path, outcomes: list[list[tuple[str, int]]]) -> None:
    """A lake with a pick every second, and what was poured because of each: sauces and µl."""
    lake, offset = opened(folder), 0
    records = []
    for number, poured_here in enumerate(outcomes):
        pick_id = f"pick-{number}"
        log: list[AnyData] = [shown(profile_of(stated(500)), pick_id)]
        log += [poured(sauce, volume_ul, pick_id) for sauce, volume_ul in poured_here]
        for data in log:
            records.append(at(number * 1000 + offset, offset, data))
            offset += 1
    put(lake, [*records, at(len(outcomes) * 1000 + 2 * VISIT_MS, offset, stated(500))])


def test_a_lake_s_picks_are_slates_with_what_was_poured_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = [[(SHOWN, 3000)], [(OTHER, 2000)], [(SHOWN, 1500), (OTHER, 4000)], [], [(SHOWN, 200)]]
    _visits(tmp_path / "lake", kinds * 30)
    logs = in_lake(tmp_path / "lake", seed=1)
    assert logs.source == "lake"
    # nothing, and a taster, are no choice
    assert len(logs.slates) == 90
    assert [slate.chosen for slate in logs.slates[:3]] == [0, 1, 1]
    assert logs.slates[0].slots.tolist() == [1, 0, 0, 0]
    assert logs.slates[0].features.shape == (len(MENU), len(COLUMN))
    with monkeypatch.context() as patched:
        patched.setattr("picante.training.MOST_SLATES", 51)
        newest = in_lake(tmp_path / "lake", seed=1).slates
    assert [slate.chosen for slate in newest] == [slate.chosen for slate in logs.slates[-51:]], "the newest"
    again = in_lake(tmp_path / "lake", seed=1)
    assert fit(again.slates).weights == fit(logs.slates).weights
    np.testing.assert_array_equal(again.slates[7].features, logs.slates[7].features)


def test_a_lake_with_too_few_choices_says_how_many_it_takes(tmp_path: Path) -> None:
    _visits(tmp_path / "lake", [[(SHOWN, 3000)]] * 3)
    with pytest.raises(DataError, match="3 picks that ended in a pour are too few: 50 is the least"):
        in_lake(tmp_path / "lake", seed=1)
    arguments = ["train", "--out", str(tmp_path / "out"), "--lake", str(tmp_path / "lake")]
    done = CliRunner().invoke(models, arguments)
    assert (done.exit_code, "leave --lake out" in done.stderr) == (2, True)
    assert not (tmp_path / "out").exists()
