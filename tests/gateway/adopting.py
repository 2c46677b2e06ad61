"""The technician's hand over real stores and keyrings, and dispensers that come by without a line."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from firmware_bridge.link import Link
from firmware_bridge.messages import Hello, NozzleInfo, Ready
from firmware_bridge.proofs import key_id, ready_mac
from firmware_bridge.verbs import AnyArguments
from gateway.adoption import Adoption
from gateway.clock import Clock
from gateway.commands import Commands
from gateway.dispensers import Dispensers
from gateway.ingest import Ingest
from gateway.judge import Limits
from gateway.keyring import load
from gateway.picks import Recommender
from gateway.plans import Plans, load_plans
from gateway.sample_file import FILE, SampleFile
from gateway.samples import Samples
from gateway.store import Store
from heat.catalog import default_catalog


@dataclass
class Noted:
    """A queue that notes what it was given: (dispenser, arguments, id)."""

    given: list[tuple[str, AnyArguments, bytes | None]] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    open: bool = True
    """Whether what it was given has not ended."""

    async def enqueue(
        self,
        dispenser: str,
        arguments: AnyArguments,
        expires_in_s: float,
        *,
        asked_by: str,
        command_id: bytes | None = None,
    ) -> object:
        """See `adoption.Queue`."""
        assert expires_in_s > 0
        assert asked_by
        self.given.append((dispenser, arguments, command_id))
        return None

    def waits(self, dispenser: str, command_id: bytes) -> bool:
        """See `adoption.Queue`."""
        assert (dispenser, command_id) in [(to, number) for to, _, number in self.given]
        return self.open

    async def drop(self, dispenser: str) -> None:
        """See `adoption.Queue`."""
        self.dropped.append(dispenser)


@dataclass
class Desk:
    """A gateway's part that adopts. `start` begins it anew, from what is on disk."""

    store: Store
    clock: Clock
    ingest: Ingest
    recommender: Recommender
    keys: dict[str, bytes] = field(default_factory=dict)
    """Those of the keys file."""
    queue: Noted = field(default_factory=Noted)
    dispensers: Dispensers = field(init=False)
    plans: Plans = field(init=False)
    adoption: Adoption = field(init=False)

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Start (again): memory is gone, and the queue noted anew."""
        keyring = load(self.store.settings.data_dir, self.keys)
        reader = self.store.reader()
        self.plans = load_plans(self.store, reader)
        reader.close()
        self.queue = Noted()
        commands = Commands(self.store, self.clock, 1)
        samples = Samples(SampleFile(self.store.settings.data_dir / FILE, 2**23, "boot"), self.clock, Limits())
        self.dispensers = Dispensers(keyring, self.store, self.clock, self.ingest, self.recommender, commands, samples)
        self.adoption = Adoption(self.dispensers, self.plans, default_catalog(), self.queue)

    def comes(self, said: Hello, *, private: bool = True, on: str = "/dev/ttyUSB0") -> None:
        """A dispenser says HELLO, and is turned away."""
        self.dispensers.strangers.note(said, on, private, "unadopted", "adopt it")

    def opens(self, said: Hello) -> None:
        """A dispenser proves itself on a link of its own; the key is the one that it names, or the one made for it."""
        keyring = self.dispensers.keyring
        key = keyring.to_provision(said.dispenser) if said.key_id is None else None
        key = key or keyring.key_of(said.dispenser, said.key_id)
        assert key is not None
        if max(said.versions) >= 2:
            said = msgspec.structs.replace(said, key_id=key_id(key))
        link = Link("/dev/ttyUSB0", Down(), self.dispensers, self.dispensers)
        link.receive(said, 0)
        offered = link.session._offered
        assert offered is not None
        link.receive(Ready(mac=ready_mac(key, *offered)), 0)
        assert self.dispensers.known[said.dispenser].online


class Down:
    """A link's way down that nobody reads."""

    def send(self, message: object, version: int, written: object = None) -> None:
        """Drop it."""


def hello(name: str, **changes: object) -> Hello:
    """A HELLO of version 2 and without a key, with two nozzles."""
    said = Hello(
        dispenser=name,
        firmware="1.0.0",
        versions=(1, 2),
        nozzles=(NozzleInfo(1, "table-red", 500), NozzleInfo(2, "mango-fresno", 500)),
        generation=1,
        lowest=1,
        next=1,
        nonce=bytes(16),
        boot=1,
        uptime_ms=0,
    )
    return msgspec.structs.replace(said, **changes)
