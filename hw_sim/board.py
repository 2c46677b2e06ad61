"""A dispenser's electronics in real time: power, lines, and the firmware behind each; and what is done to them.

It is its own firmware's panel, and the hands of its commands.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from firmware_bridge.messages import Command, NozzleInfo, Picks, Result, Sample
from hw_sim.answers import Answers
from hw_sim.commands import Commands, Flow, place
from hw_sim.dispenser import Dispenser
from hw_sim.eeprom import Eeprom
from hw_sim.firmware import Firmware
from hw_sim.journal import Recorder
from hw_sim.lines import Line, TwoLines
from hw_sim.mcu import Identity, LinkState, Mcu
from hw_sim.plant import Plant
from hw_sim.power import PowerCut
from hw_sim.ring import RingHeader
from hw_sim.screen import dark

REBOOT_S = 0.2
"""s from the order to start anew until it is carried out: the line gets its answer through first."""


class Board:
    """Power, lines and firmware of a dispenser."""

    def __init__(
        self,
        identity: Identity,
        plant: Plant,
        recorder: Recorder,
        eeprom: Eeprom,
        random_bytes: Callable[[int], bytes],
        make_line: Callable[[Firmware], Line],
    ) -> None:
        self.name = identity.dispenser
        self.eeprom = eeprom
        self.in_use = asyncio.Lock()
        """Held by the one customer who stands in front of it."""
        self.answers = Answers()
        self.twin = Dispenser(
            self.name,
            plant,
            recorder.record,
            recorder.ring.new_session,
            lambda: eeprom.contents.locked,
            lambda: eeprom.contents.confirm,
        )
        place(self.twin, eeprom.contents.planogram)
        self.commands = Commands(eeprom, self.twin, self)
        self.power = asyncio.Event()
        """Set while it has power."""
        self.power.set()
        self._identity = identity
        self._recorder = recorder
        self._random_bytes = random_bytes
        self._cable = True
        self._off_at_s = 0.0
        self._timers: list[asyncio.TimerHandle] = []
        self._changed = asyncio.Event()
        self._firmwares = [self._new_firmware()]
        self._report_begun()
        self.line: Line = make_line(self.firmware)

    def add_network(self, make_line: Callable[[Firmware], Line]) -> None:
        """Give it a network beside its cable."""
        self._firmwares.append(self._new_firmware())
        self.line = TwoLines(self.line, make_line(self._firmwares[1]))

    # -- the firmware's panel -----------------------------------------------------------------------------------------

    def nozzles(self) -> tuple[NozzleInfo, ...]:
        """See `mcu.Panel`."""
        return self.twin.nozzles()

    def show(self, picks: Picks) -> None:
        """See `mcu.Panel`."""
        self.twin.show(picks)
        self.answers.show(picks)

    def show_own_choice(self) -> None:
        """See `mcu.Panel`."""
        self.twin.show_own_choice()
        self.answers.give_up()

    def keep_key(self, key: bytes) -> None:
        """See `mcu.Panel`."""
        self.eeprom.update(key=key)

    def keep_confirm(self, nozzles: tuple[int, ...]) -> None:
        """See `mcu.Panel`."""
        self.eeprom.update(confirm=nozzles)

    def carry_out(self, command: Command, now_ms: int) -> Result | None:
        """See `mcu.Panel`."""
        flowed = self.commands.flow
        result = self.commands.take(command, now_ms, self.header.boot)
        flows = self.commands.flow
        if flows is not None and flows is not flowed:
            self.later((flows.shuts_ms - now_ms) / 1000, functools.partial(self._shut_valve, flows))
        return result

    # -- what its commands need (`commands.Hands`) --------------------------------------------------------------------

    def attended(self) -> bool:
        """See `commands.Hands`."""
        return self.in_use.locked() or self.firmware.mcu.asking or self.twin.attended(self.firmware.now_ms())

    def reboot(self) -> None:
        """See `commands.Hands`."""
        self.later(REBOOT_S, functools.partial(self._restart, self.header.boot))

    def greet_again(self) -> None:
        """See `commands.Hands`."""
        for firmware in self._firmwares:
            firmware.mcu.key = self.eeprom.contents.key
            firmware.mcu.greet_again()

    def _restart(self, boot: int) -> None:
        if self.powered and self.header.boot == boot:  # or the power has failed meanwhile: that was a start, too
            self.power_off()
            self.power_on()

    def _shut_valve(self, flow: Flow) -> None:
        if self.commands.flow is not flow:
            return  # the power has failed meanwhile
        try:
            result = self.commands.finish(max(self.firmware.now_ms(), flow.shuts_ms))
        except PowerCut:
            self.power_off()
            return
        if result is not None:
            self.firmware.mcu.report(result)
        self.line.wake()

    # -- what is done to it -------------------------------------------------------------------------------------------

    @property
    def powered(self) -> bool:
        """Whether it has power."""
        return self.power.is_set()

    def power_off(self) -> None:
        """Cut the power: RAM is lost, with the link; ring, EEPROM, bottles and leaks stay."""
        if not self.powered:
            return
        now_ms = self.firmware.now_ms()
        self.power.clear()
        self._off_at_s = time.monotonic()
        self.twin.lose_power(now_ms)
        self.commands.lose_power(now_ms)
        self.twin.plant.settle(now_ms)
        self.line.unplug()
        self.answers.give_up()
        self._changed.set()

    def power_on(self) -> None:
        """Give it power again: a boot."""
        if self.powered:
            return
        self._recorder.reboot()
        self.eeprom.reboot()
        self.twin.plant.reboot(round((time.monotonic() - self._off_at_s) * 1000))
        for firmware in self._firmwares:
            firmware.boot(self._new_mcu())
        self.power.set()
        try:
            self._report_begun()
        except PowerCut:
            self.power_off()
            return
        if self._cable:
            self.line.plug()

    def cut_power_in_next_write(self, after_bytes: int) -> None:
        """Cut the power when so many bytes of the next write, of an event or of a setting, are through."""
        self._recorder.ring.cut_next_write(after_bytes)
        self.eeprom.cut_next_write(after_bytes)

    def unplug(self) -> None:
        """Pull the cable (or the network's)."""
        self._cable = False
        self.line.unplug()

    def plug(self) -> None:
        """Put it back; without power nothing comes of it yet."""
        self._cable = True
        if self.powered:
            self.line.plug()

    def freeze(self) -> None:
        """Let the firmware hang: nothing is sent or read, and the cable is in."""
        for firmware in self._firmwares:
            firmware.frozen = True
            firmware.cancel_alarm()

    def thaw(self) -> None:
        """Let it go on where it hung."""
        for firmware in self._firmwares:
            firmware.frozen = False
        self.line.wake()

    def heal(self) -> None:
        """Cable in, power on, firmware running."""
        self.power_on()
        self.plug()
        self.thaw()

    def settle(self) -> None:
        """Reckon what leaks and drifts have done up to now."""
        if self.powered:
            self.twin.plant.settle(self.firmware.now_ms())

    def later(self, seconds: float | None, what: Callable[[], None]) -> None:
        """Do something in so many seconds (None: never), if the dispenser is still there."""
        if seconds is not None:
            loop = asyncio.get_running_loop()
            self._timers = [timer for timer in self._timers if timer.when() > loop.time()]
            self._timers.append(loop.call_later(seconds, what))

    def note_fault(self, fault: str, **more: Any) -> None:
        """Write into the journal what was done to it."""
        self._recorder.note_fault(fault, **more)

    def offer(self, sample: Sample) -> None:
        """Its firmware has sensor readings to tell of."""
        self.firmware.mcu.offer(sample)
        self.line.wake()

    # -- what is known of it ------------------------------------------------------------------------------------------

    @property
    def firmware(self) -> Firmware:
        """The firmware behind the line in use; where none is, that of the first."""
        used = (firmware for firmware in self._firmwares if firmware.mcu.state is LinkState.OPEN)
        return next(used, self._firmwares[0])

    @property
    def header(self) -> RingHeader:
        """The ring's header."""
        return self._recorder.ring.header

    @property
    def full(self) -> bool:
        """Whether the next event would push others out of the ring."""
        return self._recorder.ring.full

    def screen(self) -> str:
        """What is on its screen, drawn as text. Without power it is dark."""
        if not self.powered:
            return dark()
        self.twin.look(self.firmware.now_ms())
        return self.twin.render_screen()

    @property
    def online(self) -> bool:
        """Whether the dispenser believes that a gateway listens."""
        return self.firmware.mcu.state is LinkState.OPEN

    def event_id(self, sequence: int) -> str:
        """The identity of an event of the present generation."""
        return f"{self.name}:{self.header.generation:08x}:{sequence}"

    async def changed(self) -> None:
        """Wait until something came from the gateway (an ACK, say)."""
        self._changed.clear()
        await self._changed.wait()

    async def aclose(self) -> None:
        """Leave the line and close the ring, which stays on disk."""
        for timer in self._timers:
            timer.cancel()
        await self.line.aclose()
        self._recorder.ring.close()

    def _new_firmware(self) -> Firmware:
        return Firmware(self._new_mcu(), self._changed.set, self.power_off, self._use_the_other)

    def _use_the_other(self) -> None:
        """A line went: the one that was turned away meanwhile is tried at once."""
        for firmware in self._firmwares:
            if firmware.mcu.state is LinkState.BACKING_OFF:
                firmware.link_again()
        self.line.wake()

    def _new_mcu(self) -> Mcu:
        identity = replace(self._identity, key=self.eeprom.contents.key)
        ring, random_bytes = self._recorder.ring, self._random_bytes
        return Mcu(identity, ring, self, random_bytes, lambda: self._recorder.renew(new_generation(random_bytes)))

    def _report_begun(self) -> None:
        """Tell, once there is a link, what became of the commands that the last boot had begun."""
        for result in self.commands.recover():
            self.firmware.mcu.report(result)


def new_generation(random_bytes: Callable[[int], bytes]) -> int:
    """A ring generation: any number of 32 bits but 0."""
    return int.from_bytes(random_bytes(4)) or 1
