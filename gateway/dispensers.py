"""Who is out there: which dispensers are adopted, online, on which link. The gate of all links.

The newest proof wins: a dispenser that opens a second link (the cable was put back, MQTT beside serial) has its older
one closed, so its events come in once and its picks go to one place. The older one stays out for as long as the newer
is open: two lines of one dispenser would take turns otherwise, for ever.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import msgspec

from firmware_bridge.link import Delivery, Link, Rival
from firmware_bridge.messages import Ask, Hello, NozzleInfo, RejectReason, Result, Sample
from gateway.clock import Clock
from gateway.commands import Commands
from gateway.ingest import Ingest
from gateway.keyring import Keyring
from gateway.order_queue import Reach
from gateway.picks import Recommender
from gateway.samples import Samples
from gateway.store import Store
from gateway.strangers import FOR_WANT_OF_A_KEY, Strangers
from heat.errors import StoreError

log = logging.getLogger("gateway.dispensers")

_RESENDS = ("duplicates", "out_of_order", "held_back", "unexpected")


@dataclass(slots=True)
class Dispenser:
    """A dispenser that said HELLO since this daemon started."""

    hello: Hello
    link: Link | None
    """The open link, or None while it is away."""
    since: float
    """Unix time, s, of the last coming or going."""
    proved: bytes = field(default=b"", repr=False)
    """The key that opened its link."""
    resting: set[str] = field(default_factory=set)
    """Links that the open one replaced, by name: they wait until it is gone."""
    opened_boot_ms: int = 0
    """When its link opened, by the gateway's uptime."""
    openings: int = 0
    events: int = 0

    @property
    def online(self) -> bool:
        """Whether it has a link on which it has proved itself."""
        return self.link is not None and self.link.session.dispenser == self.hello.dispenser


class Dispensers:
    """The registry that sessions ask, and the gate that links hand things to."""

    def __init__(  # noqa: PLR0913, PLR0917 -- all parts that links hand things to
        self,
        keyring: Keyring,
        store: Store,
        clock: Clock,
        ingest: Ingest,
        recommender: Recommender,
        commands: Commands,
        samples: Samples,
        fit: Callable[[str, tuple[NozzleInfo, ...]], tuple[NozzleInfo, ...]] = lambda _dispenser, nozzles: nozzles,
    ) -> None:
        self.known: dict[str, Dispenser] = {}
        self.keyring = keyring
        self.strangers = Strangers()
        self.closings: Counter[str] = Counter()
        """Links that ended, by reason."""
        self._ended_links = dict.fromkeys(_RESENDS, 0)
        self._proofs: set[asyncio.Task[None]] = set()
        self._store = store
        self._clock = clock
        self._ingest = ingest
        self._recommender = recommender
        self._commands = commands
        self._samples = samples
        self._fit = fit
        """Of a dispenser's nozzles those whose bottles may be poured from."""

    def reach(self, dispenser: str) -> Reach | None:
        """The open link to a dispenser, for its commands."""
        known = self.known.get(dispenser)
        if known is None or known.link is None or not known.online:
            return None
        return Reach(known.link, known.hello, known.opened_boot_ms)

    def resends(self, links: Iterable[Link]) -> dict[str, int]:
        """Events that did not move a link on, by why: what ended links saw, and these, as far as they live."""
        alive = [link.session.counters for link in links if link.session.alive]
        return {
            name: ended + sum(getattr(counters, name) for counters in alive)
            for name, ended in self._ended_links.items()
        }

    # -- what sessions ask (`firmware_bridge.session.Registry`) -----------------------------------------------------

    def key_of(self, dispenser: str, key_id: bytes | None) -> bytes | None:
        """See `Registry.key_of`."""
        return self.keyring.key_of(dispenser, key_id)

    def key_to_provision(self, dispenser: str) -> bytes | None:
        """See `Registry.key_to_provision`."""
        return self.keyring.to_provision(dispenser)

    def durable(self, dispenser: str, generation: int) -> int:
        """See `Registry.durable`."""
        return self._store.sequences.durable(dispenser, generation)

    def clock_ms(self) -> int:
        """See `Registry.clock_ms`."""
        return self._clock.unix_ms()

    def to_confirm(self, hello: Hello) -> tuple[int, ...]:
        """See `Registry.to_confirm`."""
        return self._recommender.menus.to_confirm(hello.nozzles)

    # -- what links hand over (`firmware_bridge.link.Gate`) ---------------------------------------------------------

    def opened(self, link: Link, hello: Hello, gap: tuple[int, int] | None) -> None:
        """See `Gate.opened`."""
        for other in self.known.values():
            if other.link is link and other.hello.dispenser != hello.dispenser:
                other.link, other.since = None, time.time()  # another dispenser was put on its port
                self._ingest.note_lost(other.hello.dispenser)
        known = self.known.get(hello.dispenser)
        if known is None:
            known = self.known[hello.dispenser] = Dispenser(hello, link, time.time())
        elif known.link is not None and known.link is not link:
            older, known.link = known.link, None
            known.resting.add(older.name)
            older.close("replaced")
        known.resting.discard(link.name)
        if known.link is not link or known.openings == 0:
            log.info("%s is online on %s", hello.dispenser, link.name, extra={"dispenser": hello.dispenser})
            known.since = time.time()
        known.hello, known.link = hello, link
        known.proved = self.keyring.key_of(hello.dispenser, hello.key_id) or b""
        known.openings += 1
        known.opened_boot_ms = self._clock.now().boot_ms
        self.strangers.drop(hello.dispenser)
        self._note_proof(hello)
        self._samples.greet(hello)
        self._ingest.note_hello(hello, link.name, gap, lambda: link.close("not stored"))
        self._commands.opened(hello.dispenser)

    def rivals(self, link: Link, hello: Hello) -> Rival | None:
        """See `Gate.rivals`."""
        known = self.known.get(hello.dispenser)
        if known is None or not known.online or known.link is link or link.name not in known.resting:
            return None
        return "other line" if hello.generation == known.hello.generation else "namesake"

    def closed(self, link: Link, hello: Hello | None, reason: str) -> None:
        """See `Gate.closed`."""
        self.closings[reason] += 1
        for name in _RESENDS:
            self._ended_links[name] += getattr(link.session.counters, name)
        known = self.known.get(hello.dispenser) if hello is not None else None
        if known is not None and known.link is link:
            log.warning("%s is offline: %s", known.hello.dispenser, reason, extra={"dispenser": known.hello.dispenser})
            known.link, known.since = None, time.time()
            known.resting.clear()
            self._ingest.note_lost(known.hello.dispenser)

    def has_room(self) -> bool:
        """See `Gate.has_room`."""
        return self._store.has_room()

    def deliver(self, delivery: Delivery) -> None:
        """See `Gate.deliver`."""
        if (known := self.known.get(delivery.hello.dispenser)) is not None:
            known.events += 1
        self._ingest.deliver(delivery)

    def ask(self, link: Link, ask: Ask, read_ns: int) -> None:
        """See `Gate.ask`."""
        hello = link.session.hello
        if hello is not None:
            now = self._ingest.bottles.now(hello)
            fit = msgspec.structs.replace(now, nozzles=self._fit(hello.dispenser, now.nozzles))
            self._recommender.answer(link, fit, ask, read_ns)

    def sampled(self, link: Link, sample: Sample) -> None:
        """See `Gate.sampled`."""
        if link.session.dispenser is not None:
            self._samples.take(link.session.dispenser, sample)

    def resulted(self, link: Link, result: Result) -> None:
        """See `Gate.resulted`."""
        if (dispenser := link.session.dispenser) is not None:
            self._commands.resulted(dispenser, result)

    def refused(self, link: Link, hello: Hello, reason: RejectReason, detail: str) -> None:
        """See `Gate.refused`."""
        if reason not in FOR_WANT_OF_A_KEY:
            return
        if self.strangers.get(hello.dispenser) is None:
            line = "mqtt" if link.name.startswith("mqtt:") else link.name  # a topic is made up as easily as a name
            name = hello.dispenser
            log.warning("%s on %s waits: %s", name, link.name, detail, extra={"stranger": name, "line": line})
        self.strangers.note(hello, link.name, link.session.private, reason, detail)

    def tell_limit(self) -> None:
        """Sauces have other labels: where there is a limit, each WELCOME says anew which nozzles lie above it."""
        if self._recommender.menus.limited:
            for known in self.known.values():
                if known.link is not None and known.online:
                    known.link.invite()

    # -- keys -------------------------------------------------------------------------------------------------------

    def forget(self, dispenser: str) -> None:
        """Close the link of a dispenser whose key is gone, and know it no more."""
        self.strangers.drop(dispenser)
        known = self.known.pop(dispenser, None)
        if known is not None and known.link is not None:
            known.link.close("forgotten")
            log.info("%s is forgotten", dispenser, extra={"dispenser": dispenser})

    def close_keyless(self) -> None:
        """Close the links whose keys count no more: somebody took them out of a file."""
        for dispenser, known in self.known.items():
            if known.link is not None and known.online and not self.keyring.counts(dispenser, known.proved):
                known.link.close("its key was taken away")

    async def aclose(self) -> None:
        """Wait until what was proved is on disk."""
        await asyncio.gather(*self._proofs)

    def _note_proof(self, hello: Hello) -> None:
        # the link need not wait: until it is on disk older keys count too, and the next READY proves it again
        task = asyncio.create_task(self._keep_proof(hello), name=f"proof:{hello.dispenser}")
        self._proofs.add(task)
        task.add_done_callback(self._proofs.discard)

    async def _keep_proof(self, hello: Hello) -> None:
        try:
            await self.keyring.proved(hello.dispenser, hello.key_id)
        except StoreError as error:
            log.warning("%s", error)
