"""What a dispenser may be told through the API: a model for each verb, in people's units, and its arguments."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from firmware_bridge.messages import NozzleInfo, PickInfo
from firmware_bridge.verbs import (
    MAX_DOSE_UL,
    MAX_FLOW_MS,
    MAX_URL,
    AnyArguments,
    Calibrate,
    Clean,
    Identify,
    Lock,
    Placed,
    Prime,
    Reboot,
    SetPlanogram,
    ShowAddress,
    ShowPicks,
    Tare,
    TestPour,
)
from gateway.commands import LONGEST_S
from gateway.web.problems import Fault, Problem
from heat.catalog import Catalog

Nozzle = Annotated[int, Field(ge=0, le=255, examples=[2])]
BY_NOZZLE: dict[str, Any] = {"propertyNames": {"pattern": "^(1?[0-9]{1,2}|2[0-4][0-9]|25[0-5])$"}}
"""Of an object that has something for each nozzle: JSON has no numbers for keys."""
FlowS = Annotated[float, Field(gt=0, le=MAX_FLOW_MS / 1000)]
ID = r"^[0-9a-f]{32}$"
EXPIRES_S = 60.0
"""s for which a command is good unless it says otherwise: whoever gives it stands there."""


EMPTY_ML = 50
"""ml that a bottle may seem to hold and be empty: a level sensor that was never tared is off by less."""


class Model(BaseModel):
    """Base of these; what it does not know is a mistake of whoever asks."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class No(Model):
    """No arguments."""


class IdentifyArguments(Model):
    """How long it blinks."""

    seconds: Annotated[int, Field(ge=1, le=60)] = 10


class NozzleArgument(Model):
    """Which nozzle."""

    nozzle: Nozzle


class TareArguments(NozzleArgument):
    """Which nozzle, and whether that much is empty."""

    sure: bool = False
    """Tare although the bottle seems to be far from empty."""


class CalibrateArguments(NozzleArgument):
    """A flow meter's factor."""

    pulses_per_ml: Annotated[float, Field(ge=0.001, le=4_000_000, examples=[98.4])]


class TestPourArguments(NozzleArgument):
    """How much is poured into a cylinder."""

    __test__ = False  # pytest, this is no test
    volume_ml: Annotated[float, Field(ge=0.001, le=MAX_DOSE_UL / 1000)] = 20.0


class FlowArguments(NozzleArgument):
    """How long a valve is open."""

    seconds: FlowS = 5.0

    @property
    def ms(self) -> int:
        """The same in ms."""
        return max(round(self.seconds * 1000), 1)


class LockArguments(Model):
    """Whether it pours for nobody."""

    locked: bool = True


class PlanogramArguments(Model):
    """Sauces by nozzle; the others keep theirs."""

    placed: Annotated[
        dict[Annotated[int, Field(ge=0, le=255)], str],
        Field(min_length=1, max_length=12, examples=[{"2": "chipotle-honey"}], json_schema_extra=BY_NOZZLE),
    ]


class ShowArguments(Model):
    """Sauces, of those on its nozzles, that are put on the screen."""

    sauces: Annotated[list[str], Field(min_length=1, max_length=6, examples=[["table-red", "chipotle-honey"]])]
    why: Annotated[str, Field(max_length=48)] = "from the staff"
    seconds: Annotated[int, Field(ge=1, le=3600)] = 60


class AddressArguments(Model):
    """An address that is put on the screen."""

    url: Annotated[str, Field(min_length=1, max_length=MAX_URL)] | None = None
    """Without it, the one of this gateway's page."""
    seconds: Annotated[int, Field(ge=1, le=3600)] = 120


@dataclass(frozen=True, slots=True)
class About:
    """What the arguments depend on besides what was asked for."""

    command_id: bytes
    nozzles: tuple[NozzleInfo, ...]
    """The dispenser's, as it last told."""
    catalog: Catalog
    levels_ml: Mapping[int, int]
    """About how much is in each nozzle's bottle."""
    page: str | None
    """The address of this gateway's page; None where only this machine has it."""


class Told(Model):
    """What all commands have."""

    expires_in_s: Annotated[float, Field(ge=1, le=LONGEST_S)] = EXPIRES_S
    """s after which it is not begun any more."""
    id: Annotated[str, Field(pattern=ID)] | None = None
    """Your own id: the same command with the same id, sent again, is the same command."""

    asked_by: Annotated[str, Field(min_length=1, max_length=32)] = "api"
    """Who asks, for the list."""

    def travelling(self, about: About) -> AnyArguments:
        """Its arguments as they travel, the same for the same id.

        Raises:
            Problem: it names a sauce that is not in the catalogue, or on no nozzle; or it tares a full bottle.
        """
        raise NotImplementedError


class ToldIdentify(Told):
    """Blink."""

    verb: Literal["identify"]
    arguments: IdentifyArguments = IdentifyArguments()

    def travelling(self, _about: About) -> AnyArguments:
        """See `Told`."""
        return Identify(seconds=self.arguments.seconds)


class ToldTare(Told):
    """What the level sensor reads now is an empty bottle."""

    verb: Literal["tare"]
    arguments: TareArguments

    def travelling(self, about: About) -> AnyArguments:
        """See `Told`."""
        nozzle, sure = self.arguments.nozzle, self.arguments.sure
        if not sure and (level_ml := about.levels_ml.get(nozzle, 0)) > EMPTY_ML:
            hint = 'Put an empty bottle on first; or say "sure": true, if the level sensor is that far off'
            raise Problem(409, "not-empty", f"about {level_ml} ml are in the bottle of nozzle {nozzle}", hint=hint)
        return Tare(nozzle=self.arguments.nozzle)


class ToldCalibrate(Told):
    """Set a flow meter's factor; /calibrations finds it from test pours."""

    verb: Literal["calibrate"]
    arguments: CalibrateArguments

    def travelling(self, _about: About) -> AnyArguments:
        """See `Told`."""
        given = self.arguments
        return Calibrate(nozzle=given.nozzle, pulses_per_litre=round(given.pulses_per_ml * 1000))


class ToldTestPour(Told):
    """Pour into a measuring cylinder."""

    verb: Literal["test_pour"]
    arguments: TestPourArguments

    def travelling(self, _about: About) -> AnyArguments:
        """See `Told`."""
        return TestPour(nozzle=self.arguments.nozzle, volume_ul=round(self.arguments.volume_ml * 1000))


class ToldPrime(Told):
    """Open a valve until the line is full."""

    verb: Literal["prime"]
    arguments: FlowArguments

    def travelling(self, _about: About) -> AnyArguments:
        """See `Told`."""
        return Prime(nozzle=self.arguments.nozzle, duration_ms=self.arguments.ms)


class ToldClean(Told):
    """Rinse a nozzle."""

    verb: Literal["clean"]
    arguments: FlowArguments

    def travelling(self, _about: About) -> AnyArguments:
        """See `Told`."""
        return Clean(nozzle=self.arguments.nozzle, duration_ms=self.arguments.ms)


class ToldLock(Told):
    """Pour for nobody, or (locked false) for everybody again."""

    verb: Literal["lock"]
    arguments: LockArguments = LockArguments()

    def travelling(self, _about: About) -> AnyArguments:
        """See `Told`."""
        return Lock(locked=self.arguments.locked)


class ToldReboot(Told):
    """Start anew."""

    verb: Literal["reboot"]
    arguments: No = No()

    def travelling(self, _about: About) -> AnyArguments:
        """See `Told`."""
        return Reboot()


class ToldSetPlanogram(Told):
    """Put sauces on nozzles."""

    verb: Literal["set_planogram"]
    arguments: PlanogramArguments

    def travelling(self, about: About) -> AnyArguments:
        """See `Told`."""
        placed = sorted(self.arguments.placed.items())
        for nozzle, sauce in placed:
            if sauce not in about.catalog:
                raise _no_sauce(sauce, f"body.arguments.placed.{nozzle}", "is not in the catalogue", about.catalog)
        return SetPlanogram(placed=tuple(Placed(nozzle, sauce) for nozzle, sauce in placed))


class ToldShowPicks(Told):
    """Put sauces on the screen."""

    verb: Literal["show_picks"]
    arguments: ShowArguments

    def travelling(self, about: About) -> AnyArguments:
        """See `Told`."""
        picks = tuple(
            _pick(index, sauce, self.arguments.why, about) for index, sauce in enumerate(self.arguments.sauces)
        )
        pick_id = f"told-{about.command_id.hex()[:16]}"
        return ShowPicks(pick_id=pick_id, picks=picks, seconds=self.arguments.seconds)


class ToldShowAddress(Told):
    """Put the address of this gateway's page on the screen, for a technician's phone."""

    verb: Literal["show_address"]
    arguments: AddressArguments = AddressArguments()

    def travelling(self, about: About) -> AnyArguments:
        """See `Told`."""
        url = self.arguments.url or about.page
        if url is None:
            hint = "Set http.issuer in gateway.toml (picante gateway web-pki), or give a url"
            raise Problem(409, "no-address", "the page is on the gateway's own machine alone", hint=hint)
        return ShowAddress(url=url[:MAX_URL], seconds=self.arguments.seconds)


AnyTold = Annotated[
    ToldIdentify
    | ToldTare
    | ToldCalibrate
    | ToldTestPour
    | ToldPrime
    | ToldClean
    | ToldLock
    | ToldReboot
    | ToldSetPlanogram
    | ToldShowPicks
    | ToldShowAddress,
    Field(discriminator="verb"),
]


def _pick(index: int, sauce: str, why: str, about: About) -> PickInfo:
    known = about.catalog.get(sauce)
    nozzle = next((each.nozzle for each in about.nozzles if each.sauce == sauce), None)
    if known is None or nozzle is None:
        there = [each.sauce for each in about.nozzles]
        raise _no_sauce(sauce, f"body.arguments.sauces.{index}", "is on none of its nozzles", there)
    return PickInfo.fitted(nozzle, sauce, known.name, known.heat.milli_octaves, why)


def _no_sauce(sauce: str, where: str, what: str, known: Iterable[str]) -> Problem:
    near = difflib.get_close_matches(sauce, known, n=1)
    hint = f"Did you mean {near[0]}?" if near else "GET /api/v1/dispensers lists what is on its nozzles"
    return Problem(422, "no-such-sauce", f"a sauce {what}", hint=hint, faults=(Fault(where=where, what=what),))
