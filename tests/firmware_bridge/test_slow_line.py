"""Firmware and link session on a line whose bytes take time, both ways, in time that only the test moves."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from firmware_bridge.codec import encode_message
from firmware_bridge.messages import DownMessage, EventMessage, Hello, Message, PickInfo, Picks, UpMessage, Welcome
from firmware_bridge.serial_link import SerialLink
from firmware_bridge.session import WINDOW, LinkSession, Terms, window_for
from hw_sim.faults import FaultRates, Faults
from hw_sim.ports import PortSettings, SerialLine
from tests.firmware_bridge.gate import KEY, KeepingGate
from tests.firmware_bridge.pair import NAME, Pair
from tests.hand_device import HandDevice
from tests.hw_sim.desk import make_unit
from tests.waiting import wait_until_async

SD_CARD_MS = 200
"""ms that a commit takes on a slow one."""
THREE_PICKS = tuple(PickInfo.fitted(n, "carolina-reaper-mash", "N" * 32, 12_345, "W" * 48) for n in (1, 2, 3))


class Way:
    """One direction of a line: a message at a time, ten bits a byte; PICKS overtake."""

    def __init__(self, baud: int) -> None:
        self._baud = baud
        self._waiting: deque[Message] = deque()
        self._sent: Message | None = None
        self._free_ms = 0.0

    def put(self, message: Message, now_ms: int) -> None:
        if isinstance(message, Picks):
            self._waiting.appendleft(message)
        else:
            self._waiting.append(message)
        self._begin(now_ms)

    @property
    def free(self) -> bool:
        return self._sent is None

    def take(self, now_ms: int) -> Iterator[Message]:
        """What has arrived by now."""
        while self._sent is not None and self._free_ms <= now_ms:
            sent, self._sent = self._sent, None
            self._begin(now_ms)
            yield sent

    def _begin(self, now_ms: int) -> None:
        if self._sent is None and self._waiting:
            self._sent = self._waiting.popleft()
            self._free_ms = max(self._free_ms, now_ms) + len(encode_message(self._sent)) * 10_000 / self._baud


class SlowPair(Pair):
    """Both sides, on a line of so many bits a second."""

    def __init__(self, directory: Path, baud: int) -> None:
        super().__init__(directory, capacity=256)
        self.session = LinkSession(self.disk, self._random.randbytes, 0, Terms(window_for(baud)))
        self.mcu.link_up(0, baud)
        self.lost = {0}
        """Events that get lost, counted from 1."""
        self._upwards, self._downwards = Way(baud), Way(baud)

    def tick(self) -> None:
        """1 ms passes."""
        self.now_ms += 1
        # the next commit takes all that came while the last one lasted
        self.commit_ms = 2 * SD_CARD_MS - self.now_ms % SD_CARD_MS
        if self._upwards.free and (said := self.mcu.next_message(self.now_ms)) is not None:
            self.sent.append(said)
            self._upwards.put(said, self.now_ms)
        for message in self._upwards.take(self.now_ms):
            if not isinstance(message, EventMessage) or self.count(EventMessage) not in self.lost:
                self.perform(self.session.feed(message, self.now_ms))
        self._commit()
        if self.now_ms % 500 == 0:
            self.perform(self.session.tick(self.now_ms))
        for message in self._downwards.take(self.now_ms):
            self.mcu.feed(message, self.now_ms)

    def send_down(self, message: DownMessage) -> None:
        if isinstance(message, Picks):
            message = msgspec.structs.replace(message, picks=THREE_PICKS)
        self._downwards.put(message, self.now_ms)

    def count(self, kind: type[UpMessage]) -> int:
        """How many messages of a kind the dispenser has sent."""
        return sum(isinstance(message, kind) for message in self.sent)


@pytest.mark.parametrize("baud", [9_600, 19_200, 115_200, 921_600])
def test_nothing_is_sent_twice(tmp_path: Path, baud: int) -> None:
    pair = SlowPair(tmp_path, baud)
    pair.pour(100)
    pair.open_up()
    for _ in range(5):
        pair.run(300)
        answered = len(pair.panel.shown) + 1
        pair.ask("a-loyal-customer-with-a-card-of-thirty-two")
        pair.run_until(lambda answered=answered: len(pair.panel.shown) == answered, 2_000)  # type: ignore[misc]
    pair.run_until(lambda: pair.delivered)
    assert pair.sequences == list(range(1, 101))
    assert pair.count(EventMessage) == 100
    assert (len(pair.asks), pair.count(Hello)) == (5, 1)


def test_a_lost_frame_costs_no_more_than_a_small_window(tmp_path: Path) -> None:
    pair = SlowPair(tmp_path, 9_600)
    pair.lost = {30}
    pair.pour(100)
    pair.run_until(lambda: pair.delivered)
    assert pair.sequences == list(range(1, 101))
    assert pair.count(EventMessage) == 100 + window_for(9_600)


def test_the_window_is_what_the_line_carries_while_a_commit_takes_its_time(tmp_path: Path) -> None:
    assert [window_for(baud) for baud in (9_600, 57_600, 115_200, 921_600)] == [10, 64, WINDOW, WINDOW]
    pair = SlowPair(tmp_path, 57_600)
    welcomes: list[int] = []
    send_down = pair.send_down

    def note(message: DownMessage) -> None:
        if isinstance(message, Welcome):
            welcomes.append(message.window)
        send_down(message)

    pair.send_down = note  # type: ignore[method-assign]
    pair.open_up()
    assert welcomes == [64]


async def test_the_simulator_at_9600_baud_on_a_real_port(tmp_path: Path) -> None:
    gate, port = KeepingGate(NAME), tmp_path / "ports" / "usb-picante-bar-1"
    settings = PortSettings(port, 9_600)
    unit = make_unit(tmp_path, lambda firmware: SerialLine(firmware, settings, Faults(FaultRates(), "seed")))
    for number in range(30):
        unit.pour(1, 100 + number)
    unit.line.plug()
    link = SerialLink(str(port), 9_600, gate, gate)
    task = asyncio.create_task(link.run())
    looked_s, stalled_s = time.monotonic(), 0.0

    def stored() -> bool:
        nonlocal looked_s, stalled_s
        stalled_s, looked_s = max(stalled_s, time.monotonic() - looked_s), time.monotonic()
        gate.store_all()
        return unit.header.held == 0

    await wait_until_async(stored, 30, "the ring is empty")
    counters = link.link.session.counters
    assert counters.events == 30
    # a machine that stood still for as long as the dispenser waits makes it send again, and rightly so
    assert stalled_s > 0.5 or (counters.duplicates, counters.out_of_order) == (0, 0)
    task.cancel()
    await unit.aclose()


@pytest.mark.parametrize(("baud", "window"), [(9_600, 10), (115_200, WINDOW), (921_600, WINDOW)])
async def test_a_port_is_given_the_window_of_its_rate(tmp_path: Path, baud: int, window: int) -> None:
    gate = KeepingGate("hand-1")
    with HandDevice(tmp_path / "port", "hand-1", KEY, sauces=("table-red",)) as device:
        task = asyncio.create_task(SerialLink(str(device.port), baud, gate, gate).run())
        welcome = await asyncio.to_thread(device.open)
        task.cancel()
        await asyncio.wait([task])
    assert welcome.window == window
