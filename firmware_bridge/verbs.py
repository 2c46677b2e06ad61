"""What COMMANDs ask for, and what a dispenser measured doing it: the arguments and the RESULT's map, by verb."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from firmware_bridge.fields import U8, U32, Key, KeyId, Name, PickId, Uint, key
from firmware_bridge.messages import MAX_NOZZLES, PickInfo

MAX_FLOW_MS = 30_000
"""ms that a command may keep a valve open."""
MAX_DOSE_UL = 100_000
"""µl that a test pour may give."""
MAX_URL = 120
"""Characters of an address: what fits, as a QR code of 41 by 41, on a small screen."""

FlowMs = Annotated[int, Meta(ge=1, le=MAX_FLOW_MS)]


class Arguments(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The arguments of a verb."""

    verb: ClassVar[str]


class Identify(Arguments, frozen=True, kw_only=True, omit_defaults=True):
    """Blink, so that whoever stands before ten of them finds this one."""

    verb: ClassVar[str] = "identify"
    seconds: Annotated[int, Meta(ge=1, le=60)] = key(1)


class Tare(Arguments, frozen=True, kw_only=True, omit_defaults=True):
    """Take what a nozzle's level sensor reads now as an empty bottle. Measured: `Changed`, in ml."""

    verb: ClassVar[str] = "tare"
    nozzle: U8 = key(1)


class Calibrate(Arguments, frozen=True, kw_only=True, omit_defaults=True):
    """Count so many pulses of a nozzle's flow meter as a litre. Measured: `Changed`, in pulses a litre."""

    verb: ClassVar[str] = "calibrate"
    nozzle: U8 = key(1)
    pulses_per_litre: Annotated[int, Meta(ge=1, le=2**32 - 1)] = key(2)


class TestPour(Arguments, frozen=True, kw_only=True, omit_defaults=True):
    """Pour a dose into a measuring cylinder. No customer's event comes of it. Measured: `Flowed`."""

    __test__ = False  # pytest, this is no test
    verb: ClassVar[str] = "test_pour"
    nozzle: U8 = key(1)
    volume_ul: Annotated[int, Meta(ge=1, le=MAX_DOSE_UL)] = key(2)


class Prime(Arguments, frozen=True, kw_only=True, omit_defaults=True):
    """Open a valve until the line is full, or the time is over. Measured: `Flowed`."""

    verb: ClassVar[str] = "prime"
    nozzle: U8 = key(1)
    duration_ms: FlowMs = key(2)


class Clean(Arguments, frozen=True, kw_only=True, omit_defaults=True):
    """Rinse a nozzle for some time. Measured: `Flowed`."""

    verb: ClassVar[str] = "clean"
    nozzle: U8 = key(1)
    duration_ms: FlowMs = key(2)


class Lock(Arguments, frozen=True, kw_only=True, omit_defaults=True):
    """Pour for nobody until unlocked (`locked` false). It outlives a reboot."""

    verb: ClassVar[str] = "lock"
    locked: bool = key(1)


class Reboot(Arguments, frozen=True, kw_only=True, omit_defaults=True):
    """Start anew. Its RESULT comes after the start."""

    verb: ClassVar[str] = "reboot"


class Placed(msgspec.Struct, frozen=True, array_like=True):
    """A nozzle's sauce: `[nozzle, sauce]`."""

    nozzle: U8
    sauce: Name


class SetPlanogram(Arguments, frozen=True, kw_only=True, omit_defaults=True):
    """Which sauce is on which nozzle. Those not named keep theirs. The dispenser says HELLO afterwards."""

    verb: ClassVar[str] = "set_planogram"
    placed: Annotated[tuple[Placed, ...], Meta(min_length=1, max_length=MAX_NOZZLES)] = key(1)


class ShowPicks(Arguments, frozen=True, kw_only=True, omit_defaults=True):
    """Put picks on the screen that nobody asked for, until a customer comes or the time is over."""

    verb: ClassVar[str] = "show_picks"
    pick_id: PickId = key(1)
    picks: Annotated[tuple[PickInfo, ...], Meta(max_length=MAX_NOZZLES)] = key(2)
    seconds: Annotated[int, Meta(ge=1, le=3600)] = key(3)


class ShowAddress(Arguments, frozen=True, kw_only=True, omit_defaults=True):
    """Put an address on the screen, as a QR code where it can, until a customer comes or the time is over."""

    verb: ClassVar[str] = "show_address"
    url: Annotated[str, Meta(min_length=1, max_length=MAX_URL)] = key(1)
    seconds: Annotated[int, Meta(ge=1, le=3600)] = key(2)


class SetKey(Arguments, frozen=True, kw_only=True, omit_defaults=True):
    """Take another key: `masked` is it, masked by the present one (`proofs.mask_key`)."""

    verb: ClassVar[str] = "set_key"
    masked: Key = key(1)
    key_id: KeyId = key(2)
    """Of the new key: one that was unmasked wrongly is refused."""

    def __repr__(self) -> str:
        return f"SetKey(key_id={self.key_id.hex()})"


AnyArguments = (
    Identify
    | Tare
    | Calibrate
    | TestPour
    | Prime
    | Clean
    | Lock
    | Reboot
    | SetPlanogram
    | ShowPicks
    | ShowAddress
    | SetKey
)
ARGUMENTS_BY_VERB: dict[str, type[AnyArguments]] = {
    cls.verb: cls
    for cls in (
        *(Identify, Tare, Calibrate, TestPour, Prime, Clean),
        *(Lock, Reboot, SetPlanogram, ShowPicks, ShowAddress, SetKey),
    )
}


class Flowed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What went through a nozzle."""

    pulses: U32 = key(1)
    volume_ul: Uint = key(2)
    """By the calibration of that moment."""
    duration_ms: Uint = key(3)


class Changed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A setting, before and after."""

    before: int = key(1)
    now: int = key(2)


class Nothing(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Nothing was measured."""


Measured = Flowed | Changed | Nothing
MEASURED_BY_VERB: dict[str, type[Measured]] = {
    **dict.fromkeys(ARGUMENTS_BY_VERB, Nothing),
    "tare": Changed,
    "calibrate": Changed,
    "test_pour": Flowed,
    "prime": Flowed,
    "clean": Flowed,
}
