"""Who is answered by the new ranker of an experiment, and who by the one before: the same customer always by the same.

It takes nothing but the experiment's name and the customer's pseudonym, so a gateway without Internet, every other one
of the brand, and whoever reads the events later come to the same arm. Customers without a pseudonym are assigned by
their session, and stay in its arm as long as it lasts.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Literal

import msgspec

from heat.events import Name

Arm = Literal["control", "challenger"]
"""The ranker that was used before, and the new one."""
STEPS = 10_000
"""The finest share is a hundredth of a percent."""


class Experiment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which share of the customers a bundle answers; the others keep the ranker from before."""

    name: Name
    percent: Annotated[float, msgspec.Meta(ge=0, le=100)]

    def arm(self, subject: str) -> Arm:
        """The arm of a customer, or of a session. Another experiment draws anew, whatever this one drew."""
        drawn = hashlib.sha256(f"{self.name}\n{subject}".encode()).digest()
        step = int.from_bytes(drawn[:8]) % STEPS
        return "challenger" if step < self.percent * STEPS / 100 else "control"
