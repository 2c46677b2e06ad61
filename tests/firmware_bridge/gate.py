"""A gate that keeps what links hand it, and a registry with one key: what the edges are tested against."""

from __future__ import annotations

from firmware_bridge import proofs
from firmware_bridge.link import Delivery, Link, Rival
from firmware_bridge.messages import Ask, Hello, PickInfo, Picks, RejectReason, Result, Sample

KEY = bytes(range(32))


class KeepingGate:
    """Registry and gate in one. Events are acknowledged when a test says so."""

    def __init__(self, *names: str) -> None:
        self.names = names
        self.stored: dict[tuple[str, int], int] = {}
        self.waiting: list[Delivery] = []
        self.open: dict[str, Link] = {}
        self.closings: list[str] = []
        self.samples: list[Sample] = []
        self.results: list[Result] = []
        self.refusals: list[tuple[str, RejectReason, str]] = []
        self.room = True
        self.confirm: tuple[int, ...] = ()

    def key_of(self, dispenser: str, key_id: bytes | None) -> bytes | None:
        return KEY if dispenser in self.names and key_id in (None, proofs.key_id(KEY)) else None

    def key_to_provision(self, dispenser: str) -> bytes | None:
        return None

    def durable(self, dispenser: str, generation: int) -> int:
        return self.stored.get((dispenser, generation), 0)

    def to_confirm(self, hello: Hello) -> tuple[int, ...]:
        return self.confirm

    def clock_ms(self) -> int:
        return 0

    def opened(self, link: Link, hello: Hello, gap: tuple[int, int] | None) -> None:
        self.open[hello.dispenser] = link

    def rivals(self, link: Link, hello: Hello) -> Rival | None:
        return None

    def closed(self, link: Link, hello: Hello | None, reason: str) -> None:
        self.closings.append(reason)
        if hello is not None and self.open.get(hello.dispenser) is link:
            del self.open[hello.dispenser]

    def has_room(self) -> bool:
        return self.room

    def deliver(self, delivery: Delivery) -> None:
        self.waiting.append(delivery)

    def ask(self, link: Link, ask: Ask, read_ns: int) -> None:
        pick = PickInfo(1, "table-red", "Table Red", 7114, "a favourite here")
        link.answer(Picks(nonce=ask.nonce, pick_id="p", picks=(pick,)), lambda: None)

    def sampled(self, link: Link, sample: Sample) -> None:
        self.samples.append(sample)

    def resulted(self, link: Link, result: Result) -> None:
        self.results.append(result)

    def refused(self, link: Link, hello: Hello, reason: RejectReason, detail: str) -> None:
        self.refusals.append((hello.dispenser, reason, detail))

    def store_all(self) -> None:
        """Everything that waits is on disk now."""
        waiting, self.waiting = self.waiting, []
        for delivery in waiting:
            key = (delivery.hello.dispenser, delivery.event.generation)
            self.stored[key] = max(self.stored.get(key, 0), delivery.event.sequence)
        for delivery in waiting:
            delivery.ack()
