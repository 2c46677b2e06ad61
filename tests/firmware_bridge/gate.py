"""A gate that keeps what links hand it, and a registry with one key: what the edges are tested against."""

from __future__ import annotations

from firmware_bridge.link import Delivery, Link
from firmware_bridge.messages import Ask, Hello, PickInfo, Picks

KEY = bytes(range(32))


class KeepingGate:
    """Registry and gate in one. Events are acknowledged when a test says so."""

    def __init__(self, *names: str) -> None:
        self.names = names
        self.stored: dict[tuple[str, int], int] = {}
        self.waiting: list[Delivery] = []
        self.open: dict[str, Link] = {}
        self.closings: list[str] = []
        self.room = True

    def key_of(self, dispenser: str) -> bytes | None:
        return KEY if dispenser in self.names else None

    def durable(self, dispenser: str, generation: int) -> int:
        return self.stored.get((dispenser, generation), 0)

    def clock_ms(self) -> int:
        return 0

    def opened(self, link: Link, hello: Hello, gap: tuple[int, int] | None) -> None:
        self.open[hello.dispenser] = link

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

    def store_all(self) -> None:
        """Everything that waits is on disk now."""
        waiting, self.waiting = self.waiting, []
        for delivery in waiting:
            key = (delivery.hello.dispenser, delivery.event.generation)
            self.stored[key] = max(self.stored.get(key, 0), delivery.event.sequence)
        for delivery in waiting:
            delivery.ack()
