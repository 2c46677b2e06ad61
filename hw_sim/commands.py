"""What a dispenser does on command, once each: the log in its EEPROM, and the verbs on its twin. Time is passed in.

An id is in the log before anything happens, and its result is written together with the settings that it changes. So
a copy of a command that is known is answered from the log; one that was begun and cut off by the power says
`interrupted`, and is never done again by itself.

    take -> expired, unsupported, refused          what it asks for can't be done: nothing is written
         -> started, refused                       this is not the moment
         -> started, done                          at once
         -> started, running ... finish -> done    a valve stands open meanwhile
    boot -> `recover`: started, interrupted        or, for a reboot, done
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from firmware_bridge.codec import BadMessage, body_map, decode_arguments, decode_packet, encode_body
from firmware_bridge.messages import Command, Outcome, Result
from firmware_bridge.proofs import key_id, mask_key
from firmware_bridge.verbs import (
    AnyArguments,
    Calibrate,
    Changed,
    Clean,
    Flowed,
    Identify,
    Lock,
    Measured,
    Prime,
    Reboot,
    SetKey,
    SetPlanogram,
    ShowAddress,
    ShowPicks,
    Tare,
    TestPour,
)
from heat.catalog import default_catalog
from hw_sim.dispenser import Dispenser
from hw_sim.eeprom import Calibration, CommandRecord, Eeprom

DETAIL_CHARS = 60
"""ASCII characters of a result's words: with the rest of it they fit into the log."""
SHORT_SHARE = 0.95
"""Share of a test pour below which the bottle counts as empty."""
_DISTURBING = (Tare, Calibrate, TestPour, Prime, Clean, Reboot, SetPlanogram, ShowPicks, ShowAddress)
"""Not while a customer stands there."""
_FLOWING = TestPour | Prime | Clean
_AT_ONCE = Identify | Tare | Calibrate | Lock | SetPlanogram | ShowPicks | ShowAddress | SetKey


class Hands(Protocol):
    """What a command needs of the dispenser around the twin."""

    def attended(self) -> bool:
        """Whether a customer stands there."""

    def reboot(self) -> None:
        """Start anew, soon."""

    def greet_again(self) -> None:
        """Key or planogram are others than HELLO told."""


@dataclass(frozen=True, slots=True)
class Flow:
    """A valve that a command opened."""

    command: bytes
    arguments: _FLOWING
    opened_ms: int
    shuts_ms: int


class Commands:
    """The commands of one dispenser. `hands` is the dispenser around the twin."""

    def __init__(self, eeprom: Eeprom, twin: Dispenser, hands: Hands) -> None:
        self.flow: Flow | None = None
        """What flows now; `finish` is due at its `shuts_ms`."""
        self._eeprom = eeprom
        self._twin = twin
        self._hands = hands

    def take(self, command: Command, now_ms: int, boot: int) -> Result | None:
        """Carry a command out, or say again what became of it; None for a copy that is meant for another boot.

        Raises:
            PowerCut: in a write, as the EEPROM was told.
        """
        if (record := self._eeprom.command(command.id)) is not None:
            return self._say_again(record)
        if command.boot != boot:
            return None
        if now_ms >= command.expires_uptime_ms:
            return _result(command.id, "expired", "it came too late, and was not begun")
        arguments = decode_arguments(command.verb, command.arguments)
        if isinstance(arguments, BadMessage):
            unknown = arguments.reason == "unknown_type"
            return _result(command.id, "unsupported" if unknown else "refused", arguments.detail)
        if (why := self._objection(arguments, command.id)) is not None:
            return _result(command.id, "refused", why)
        if isinstance(arguments, _DISTURBING) and (why := self._bad_moment()) is not None:
            # written down, or the next copy would find a better moment after this answer
            self._eeprom.start_command(command.id, command.verb)
            return self._log(_result(command.id, "refused", why))
        self._eeprom.start_command(command.id, command.verb)
        if isinstance(arguments, _FLOWING):
            return self._open_valve(command.id, arguments, now_ms)
        if isinstance(arguments, Reboot):
            self._hands.reboot()
            return _result(command.id, "running", "it starts anew")
        return self._carry_out(command.id, arguments, now_ms)

    def finish(self, now_ms: int) -> Result | None:
        """Shut the valve that a command opened; None if there is none (any more)."""
        flow, self.flow = self.flow, None
        if flow is None:
            return None
        arguments, twin = flow.arguments, self._twin
        twin.in_service = True
        duration_ms = flow.shuts_ms - flow.opened_ms
        wanted_ul = self._wanted_ul(arguments)
        before = twin.plant.meters[arguments.nozzle].pulses
        dose = twin.plant.dose(arguments.nozzle, wanted_ul, now_ms)
        pulses = twin.plant.meters[arguments.nozzle].pulses - before
        volume_ul = dose.volume_ul if dose is not None else 0
        measured = Flowed(pulses=pulses, volume_ul=volume_ul, duration_ms=duration_ms)
        if dose is None:
            result = _result(flow.command, "failed", "nothing came: bottle empty, or nozzle blocked?", measured)
        elif isinstance(arguments, TestPour) and volume_ul < SHORT_SHARE * wanted_ul:
            result = _result(flow.command, "failed", "the bottle ran empty", measured)
        else:
            result = _result(flow.command, "done", "", measured)
        return self._log(result)

    def lose_power(self, now_ms: int) -> None:
        """A valve that stood open spills uncounted; what was in RAM is gone."""
        flow, self.flow = self.flow, None
        self._twin.in_service = True
        if flow is not None:
            self._twin.plant.spill(flow.arguments.nozzle, now_ms - flow.opened_ms, now_ms)

    def recover(self) -> list[Result]:
        """After a boot: what became of the commands that were begun before it, to be told once there is a link."""
        begun = [record for record in self._eeprom.contents.commands if not record.done]
        return [self._settle(record) for record in begun]

    # -- the log ----------------------------------------------------------------------------------------------------

    def _say_again(self, record: CommandRecord) -> Result:
        if record.done:
            result = decode_packet(bytes((2, Result.number)) + record.result)
            assert isinstance(result, Result)  # `_log` wrote it, and the bank has a CRC
            return result
        if self.flow is not None and self.flow.command == record.id:
            return _result(record.id, "running")
        if record.verb == Reboot.verb:
            return _result(record.id, "running", "it starts anew")
        return self._settle(record)

    def _settle(self, record: CommandRecord) -> Result:
        """A command that no boot after its own will go on with."""
        if record.verb == Reboot.verb:
            return self._log(_result(record.id, "done"))
        return self._log(_result(record.id, "interrupted", "the power failed meanwhile; what flowed was not counted"))

    def _log(self, result: Result, **changes: Any) -> Result:
        self._eeprom.finish_command(result.command, encode_body(result), **changes)
        return result

    # -- the verbs --------------------------------------------------------------------------------------------------

    def _objection(self, arguments: AnyArguments, command: bytes) -> str | None:
        """Why these arguments won't do, now or later."""
        match arguments:
            case Tare(nozzle=nozzle) | Calibrate(nozzle=nozzle):
                return self._no_nozzle(nozzle)
            case TestPour(nozzle=nozzle) | Prime(nozzle=nozzle) | Clean(nozzle=nozzle):
                return self._no_nozzle(nozzle)
            case SetPlanogram(placed=placed):
                unknown = (self._no_nozzle(each.nozzle) or _no_sauce(each.sauce) for each in placed)
                return next((why for why in unknown if why is not None), None)
            case SetKey():
                return None if self._unmasked(arguments, command) is not None else "the key can't be unmasked"
            case Identify() | Lock() | Reboot() | ShowPicks() | ShowAddress():
                return None

    def _bad_moment(self) -> str | None:
        if self._hands.attended():
            return "a customer stands there"
        return "another command is still running" if self.flow is not None else None

    def _carry_out(self, command: bytes, arguments: _AT_ONCE, now_ms: int) -> Result:
        contents, twin = self._eeprom.contents, self._twin
        match arguments:
            case Identify(seconds=seconds):
                twin.blink(now_ms + seconds * 1000)
            case ShowPicks():
                twin.show_unasked(arguments.picks, arguments.pick_id, now_ms + arguments.seconds * 1000)
            case ShowAddress(url=url, seconds=seconds):
                twin.show_address(url, now_ms + seconds * 1000)
            case Lock(locked=locked):
                return self._log(_result(command, "done"), locked=locked)
            case Tare(nozzle=nozzle):
                before, now = contents.tare_ml.get(nozzle, 0), round(twin.plant.gauge_ml(nozzle))
                tared = _result(command, "done", "", Changed(before=before, now=now))
                return self._log(tared, tare_ml=contents.tare_ml | {nozzle: now})
            case Calibrate(nozzle=nozzle, pulses_per_litre=per_litre):
                before_ml = self._eeprom.pulses_per_ml(nozzle)
                calibrated = Calibration(per_litre / 1000, before=before_ml)
                changed = Changed(before=round(before_ml * 1000), now=per_litre)
                result = _result(command, "done", "", changed)
                return self._log(result, calibration=contents.calibration | {nozzle: calibrated})
            case SetPlanogram(placed=placed):
                planogram = contents.planogram | {each.nozzle: each.sauce for each in placed}
                # how hot the new ones are for this store, only the next WELCOME says
                moved = {each.nozzle for each in placed if twin.tanks[each.nozzle].sauce.id != each.sauce}
                confirm = tuple(sorted(moved.union(contents.confirm)))
                result = self._log(_result(command, "done"), planogram=planogram, confirm=confirm)
                place(twin, planogram)
                self._hands.greet_again()
                return result
            case SetKey():
                # at once: the gateway honours both keys until this one has opened a link
                result = self._log(_result(command, "done"), key=self._unmasked(arguments, command), pending_key=None)
                self._hands.greet_again()
                return result
        return self._log(_result(command, "done"))

    def _open_valve(self, command: bytes, arguments: _FLOWING, now_ms: int) -> Result:
        if isinstance(arguments, TestPour):
            open_ms = self._twin.pour_ms(arguments.nozzle, arguments.volume_ul)
        else:
            open_ms = arguments.duration_ms
        self.flow = Flow(command, arguments, now_ms, now_ms + open_ms)
        self._twin.in_service = False
        return _result(command, "running")

    def _wanted_ul(self, arguments: _FLOWING) -> int:
        if isinstance(arguments, TestPour):
            return arguments.volume_ul
        return round(self._twin.plant.flow_ul_s(arguments.nozzle) * arguments.duration_ms / 1000)

    def _unmasked(self, arguments: SetKey, command: bytes) -> bytes | None:
        present = self._eeprom.contents.key
        key = mask_key(present, arguments.masked, command) if present is not None else None
        return key if key is not None and key_id(key) == arguments.key_id else None

    def _no_nozzle(self, nozzle: int) -> str | None:
        return None if nozzle in self._twin.tanks else f"there is no nozzle {nozzle}"


def place(twin: Dispenser, planogram: dict[int, str]) -> None:
    """Put the sauces of a planogram on their nozzles."""
    catalog = default_catalog()
    for nozzle, sauce in planogram.items():
        if nozzle in twin.tanks and sauce in catalog:
            twin.tanks[nozzle].sauce = catalog[sauce]


def _no_sauce(sauce: str) -> str | None:
    return None if sauce in default_catalog() else f"no sauce {sauce}"


def _result(command: bytes, outcome: Outcome, detail: str = "", measured: Measured | None = None) -> Result:
    words = detail.encode("ascii", "replace").decode()[:DETAIL_CHARS]
    return Result(
        command=command, outcome=outcome, detail=words, measured=None if measured is None else body_map(measured)
    )
