"""What came of an impression: poured, only tasted, poured something else, walked away; and what was said of it. Pure.

A pour or a verdict belongs to the impression that it names by its `pick_id`. What names none, since the sauce was not
among the picks or the verdict came from another device, belongs to the last impression of the same subject at the same
store, if that was within the `VISIT_MS` before, by event time. So of several slates on one visit the last one before
the pour is followed, and the others were abandoned. `cloud.lake.training` joins events that way.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from heat.events import Impression, Verdict

Kind = Literal["poured", "tasted", "elsewhere", "abandoned"]

TASTER_UL = 1000
"""µl; less than this is a taster: a quarter of what people put on a taco, and more than a dispenser drips."""
VISIT_MS = 600_000
"""ms after a pick in which a pour belongs to it. A dispenser's session ends 60 s after the last touch; ten minutes hold
whoever eats beside it and comes back, and nobody who comes for lunch and again for dinner."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one impression.

    `poured`: 1 ml or more of one sauce that was shown. `elsewhere`: not that, but of one that was not shown.
    `tasted`: less than that, of one that was shown. `abandoned`: nothing was poured. `sauce` is the one of which most
    was poured among those that make it so, in `slot` if it was shown; `verdict` the last one on it; `too_hot` whether
    any sauce of this visit was called that.
    """

    kind: Kind
    sauce: str | None = None
    slot: int | None = None
    verdict: Verdict | None = None
    too_hot: bool = False


def outcome(impression: Impression, poured_ul: Mapping[str, int], verdicts: Iterable[tuple[str, Verdict]]) -> Outcome:
    """What came of an impression, out of what was poured because of it, by sauce, and said, in the order of time."""
    slots = {pick.sauce: pick.slot for pick in impression.picks}
    said = list(verdicts)
    kind, sauce = _kind(
        {sauce: volume for sauce, volume in poured_ul.items() if volume > 0 and sauce in slots},
        {sauce: volume for sauce, volume in poured_ul.items() if volume > 0 and sauce not in slots},
    )
    too_hot = any(verdict == "too_hot" for _, verdict in said)
    if sauce is None:
        return Outcome(kind, too_hot=too_hot)
    return Outcome(kind, sauce, slots.get(sauce), dict(said).get(sauce), too_hot)


def _kind(shown: Mapping[str, int], others: Mapping[str, int]) -> tuple[Kind, str | None]:
    """A portion says more than a taster, and what was shown comes before what was not."""
    for least in (TASTER_UL, 1):
        kinds: tuple[tuple[Kind, Mapping[str, int]], ...] = (
            ("poured" if least == TASTER_UL else "tasted", shown),
            ("elsewhere", others),
        )
        for kind, volumes in kinds:
            most = max(volumes, key=lambda sauce: (volumes[sauce], sauce), default=None)
            if most is not None and volumes[most] >= least:
                return kind, most
    return "abandoned", None
