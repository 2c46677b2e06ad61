"""The topics as they are, and as the contract has them -> what differs, and what can be done about it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from cloud_sync.topics import DAY_MS, Topic

IN_SYNC = "min.insync.replicas"
Remedy = Literal["create", "add partitions", "set", "none"]
"""`none`: nothing that may be done while records are kept; `why` says what a person can do."""


class Brokers(NamedTuple):
    """How many a cluster has."""

    there: int
    """Those that answer now."""
    known: int
    """And those that don't, but have copies: one that is away for an hour changes nothing of what is wanted."""

    @property
    def missing(self) -> str:
        """What is said of those that are away; empty where all are there."""
        away = self.known - self.there
        return f"{away} of {self.known} brokers {'is' if away == 1 else 'are'} missing" if away else ""


@dataclass(frozen=True, slots=True)
class Found:
    """A topic as the cluster has it."""

    partitions: int
    replication: int
    """Copies of the partition that has the fewest."""
    settings: Mapping[str, str]
    """Kafka's names and values, defaults included."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as the contract has it."""

    topic: Topic
    setting: str
    found: str
    wanted: str
    remedy: Remedy
    why: str = ""
    """What comes of the change, or why there is none and what to do instead."""


def wanted_settings(topic: Topic, replication: int) -> dict[str, str]:
    """A topic's configuration where so many copies are kept: of three, two must have what is acknowledged."""
    return {**topic.settings, IN_SYNC: str(max(replication - 1, 1))}


def differences(
    wanted: Sequence[Topic], found: Mapping[str, Found], replication: int, brokers: Brokers
) -> list[Difference]:
    """What differs, topic by topic in the contract's order; empty where all is as it should be."""
    return [one for topic in wanted for one in _of_topic(topic, found.get(topic.name), replication, brokers)]


def _of_topic(topic: Topic, found: Found | None, replication: int, brokers: Brokers) -> Iterator[Difference]:
    replication = min(replication, brokers.known)
    if found is None:
        copies = f"{topic.partitions} partitions, {replication} {'copy' if replication == 1 else 'copies'}"
        if replication > brokers.there:
            yield Difference(topic, "topic", "missing", copies, "none", f"{brokers.missing}: start them first")
        else:
            yield Difference(topic, "topic", "missing", copies, "create")
        return
    if found.partitions != topic.partitions:
        yield _partitions(topic, found.partitions)
    if found.replication < replication:
        why = "Move its partitions with kafka-reassign-partitions: a change of copies is a move between brokers"
        yield Difference(topic, "copies", str(found.replication), str(replication), "none", why)
    settings = wanted_settings(topic, min(found.replication, replication))
    for name, value in settings.items():
        if (is_ := found.settings.get(name, "")) != value:
            yield Difference(topic, name, is_, value, "set", _consequence(name, is_, value))


def _partitions(topic: Topic, found: int) -> Difference:
    numbers = str(found), str(topic.partitions)
    if found < topic.partitions and not topic.keyed:
        return Difference(topic, "partitions", *numbers, "add partitions")
    if found < topic.partitions:
        why = "More partitions would move keys: a customer's records would lie in two, out of order"
    else:
        why = "Kafka takes no partition away"
    anew = "Stop all writers, delete the topic, and apply again"
    fill = "; picante lake replay fills it from the lake" if topic.name.startswith("picante.events.") else ""
    return Difference(topic, "partitions", *numbers, "none", f"{why}. {anew}{fill}")


def _consequence(name: str, found: str, wanted: str) -> str:
    if name == "cleanup.policy" and wanted == "compact":
        return "older records of a key will be deleted, and records without a key refused"
    if name == "cleanup.policy":
        return "records will be deleted by age"
    if name in ("retention.ms", "delete.retention.ms") and found.isdecimal() and int(found) > int(wanted):
        return "what is older will be deleted"
    if name in ("retention.ms", "delete.retention.ms") and found.startswith("-"):
        return "what is older will be deleted"
    return ""


def in_words(setting: str, value: str) -> str:
    """A value as a person reads it: milliseconds that are whole days get their days beside them."""
    if setting.endswith(".ms") and value.isdecimal() and int(value) >= DAY_MS and int(value) % DAY_MS == 0:
        days = int(value) // DAY_MS
        return f"{value} ({days} {'day' if days == 1 else 'days'})"
    return value or "not set"
