"""What the demo counts, and when something is wrong: for the screen, the JSON and the exit status alike. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CloudNumbers:
    """What the cloud half has."""

    events: int = 0
    """Folded, each identity once."""
    duplicates: int = 0
    customers: int = 0
    """Of the gateway, since the demo began."""
    profiles: int = 0
    """Of those customers, in the hot store."""
    equal: int = 0
    """Customers whose digests are the same at both ends."""
    lake_rows: int = 0

    @property
    def digests_equal(self) -> bool:
        """Whether edge and cloud say the same of everybody."""
        return self.equal == self.customers

    def faults(self) -> list[str]:
        """What is not as at the edge, or not there yet, in words; nothing if all is well."""
        found = []
        if not self.digests_equal:
            found.append(f"the cloud has another digest of {self.customers - self.equal} of {self.customers} customers")
        if (lacking := self.events + self.duplicates - self.lake_rows) > 0:
            found.append(f"the lake lacks {lacking} events")
        if not self.events:
            found.append("the cloud has folded nothing")
        return found


@dataclass(frozen=True, slots=True)
class Numbers:
    """Where the events are now: those that an earlier demo had brought into an embedded Kafka are left out."""

    generated: int
    stored: int
    in_topic: int
    duplicates: int
    waiting: int
    """Stored, and not in Kafka yet."""
    held: int
    """Not acknowledged yet: still in the dispensers' rings."""
    picks_shown: int
    picks_accepted: int
    online: int
    lost: int
    """Freed by a dispenser and not on disk, or confirmed some seconds ago and not in the topic."""
    cloud: CloudNumbers | None
    """None where no cloud half is played."""
    kafka_answers: bool = True

    @property
    def under_way(self) -> int:
        """Generated, not lost, and not in the topic yet."""
        return self.generated - self.lost - self.in_topic

    def faults(self, *, ended: bool) -> list[str]:
        """What went wrong, in words; nothing if all is well. Once it has ended, all has to be where it belongs."""
        found = [f"{self.lost} events are lost"] if self.lost else []
        if self.duplicates:
            found.append(f"{self.duplicates} events are doubled")
        if ended and self.under_way:
            why = "" if self.kafka_answers else ": Kafka does not answer"
            found.append(f"{self.under_way} events are not in Kafka yet{why}")
        if ended and self.cloud is not None:
            found += self.cloud.faults()
        return found
