"""The error tree. An error carries a decision (its class) and a hint that a technician can act on.

Each edge maps foreign exceptions to one of these once; the supervisor reads the class, never the text.
"""

from __future__ import annotations

from typing import Literal


class PicanteError(Exception):
    """Base of everything that Picante raises on purpose.

    `hint` says what to do about it, in one sentence, for the person at the machine.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    def __str__(self) -> str:
        message = super().__str__()
        return f"{message}. {self.hint}" if self.hint else message


class ConfigError(PicanteError):
    """The configuration can't be used: stop."""


class ProtocolError(PicanteError):
    """The wire protocol was broken, by one side or the other."""


class LocalProtocolError(ProtocolError):
    """We were about to break the protocol: our bug, stop."""


class RemoteProtocolError(ProtocolError):
    """The peer broke the protocol: count it and resynchronise."""


class TransportError(PicanteError):
    """A link can't carry bytes now: retry with backoff."""


class PortMissing(TransportError):
    """The serial port is not there, or is none."""


class PortBusy(PortMissing):
    """Another program holds the serial port."""


class PortForbidden(PortMissing):
    """The daemon's user may not open the serial port."""


class PortUnreachable(PortMissing):
    """The serial server on the network does not answer, or not as one."""


class LinkLost(TransportError):
    """The port or the connection went away while it was in use."""


class BrokerUnreachable(TransportError):
    """The MQTT broker does not answer."""


class BrokerRefused(BrokerUnreachable):
    """The MQTT broker does not let us in, or is not whom we trust: retry, but seldom; somebody has to mend it."""


class StoreError(PicanteError):
    """The store failed."""


class StoreFull(StoreError):
    """Disk or quota is used up: samples are shed, events stay un-ACKed on their dispensers."""


class StoreBusy(StoreError):
    """Somebody else holds the database, or memory is short: the same work succeeds later."""


class OutOfSequence(StoreError):
    """An event came before one that precedes it and could not be stored: both stay on their dispenser."""


class StoreCorrupt(StoreError):
    """The database failed its check: quarantine it, start anew, tell."""


class StoreLocked(StoreError):
    """Another gateway owns this data directory."""


class BackupUnusable(PicanteError):
    """A backup can't be made now, or put back here: nothing was changed."""


class SyncError(PicanteError):
    """The way to Kafka failed."""


class SinkUnavailable(SyncError):
    """Kafka can't take the batch now: retry with a new producer."""


class SinkRefused(SinkUnavailable):
    """Kafka does not let us in, or is not whom we trust: retry, but seldom; somebody has to mend it."""


class ForeignInstance(SyncError):
    """Kafka holds a position written by a gateway that is not us under our name: stop sending."""


class RecordRejected(SyncError):
    """Kafka will never take this record: dead letter."""


Flaw = Literal[
    "missing", "unreadable", "files", "size", "format", "schema", "hash", "unsigned", "signer", "signature", "sequence",
    "golden", "model", "latency", "onnxruntime",
]  # fmt: skip
"""What is wrong with a bundle, in one word for the page and for metrics; docs/models.md says what to do about each."""


class ModelError(PicanteError):
    """A bundle can't be used: fall back to what ranked before, or to the rule, and say so."""

    def __init__(self, message: str, *, hint: str = "", reason: Flaw = "unreadable") -> None:
        super().__init__(message, hint=hint)
        self.reason: Flaw = reason


class ScorerError(ModelError):
    """The bundle is good as far as is known, but onnxruntime does not work: score it with NumPy and say so."""


class DataError(PicanteError):
    """Text or bytes from outside don't parse; the message says where."""
