"""Who is in which arm of an experiment: the same wherever it is asked, and as many as were wanted."""

from __future__ import annotations

import msgspec
import pytest

from models.experiment import Experiment

PEOPLE = [f"p1-{number:032x}" for number in range(20_000)]


@pytest.mark.parametrize("percent", [0, 0.5, 5, 20, 50, 99.99, 100])
def test_the_share_is_what_was_wanted(percent: float) -> None:
    experiment = Experiment("warmer-1", percent)
    share = sum(experiment.arm(who) == "challenger" for who in PEOPLE) / len(PEOPLE)
    spread = (percent * (100 - percent) / len(PEOPLE)) ** 0.5
    assert abs(100 * share - percent) <= 4 * spread


def test_an_arm_is_the_same_everywhere() -> None:
    """Written down once: gateways of all versions must agree."""
    experiment = Experiment("warmer-1", 50)
    arms = [experiment.arm(who) for who in (*PEOPLE[:6], "s-bar-00000001-7")]
    letters = "".join(arm[1] for arm in arms)  # c-h-allenger, c-o-ntrol
    assert letters == "hhohhoh"


def test_a_larger_share_keeps_who_was_in_it() -> None:
    small, large = (Experiment("warmer-1", percent) for percent in (10, 30))
    assert {who for who in PEOPLE if small.arm(who) == "challenger"} < {
        who for who in PEOPLE if large.arm(who) == "challenger"
    }


def test_two_experiments_draw_apart() -> None:
    one, other = (Experiment(name, 50) for name in ("warmer-1", "warmer-2"))
    both = sum(one.arm(who) == other.arm(who) for who in PEOPLE)
    assert abs(both / len(PEOPLE) - 0.5) < 0.02


@pytest.mark.parametrize(
    "text", [b'{"name":"x"}', b'{"name":"x","percent":101}', b'{"name":"","percent":1}', b'{"name":"x","percent":-1}']
)
def test_what_is_no_experiment_is_refused(text: bytes) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(text, type=Experiment)
