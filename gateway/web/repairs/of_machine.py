"""The machine: its disk, power, card, and the certificates on it. The doctor asks the same without a daemon."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from gateway.access.access import Access
from gateway.backup.restoring import Plan
from gateway.config import Config, own_pseudonym_path, pseudonym_path
from gateway.named_certificates import ISSUER, LEAF, Certificate
from gateway.web import reads
from gateway.web.language import Amount, Span, Text
from gateway.web.repairs.facts import Facts
from gateway.web.repairs.repair import Fix, Repair

DISK_LOW_BYTES = 200 * 1024 * 1024
"""Bytes; a disk with less left is told of."""
FILLS_WITHIN_S = 48 * 3600.0
"""s; a disk or a store that is full sooner is told of: a technician comes within two days."""
EXPIRES_WITHIN = timedelta(days=30)
"""Brands renew certificates by hand, and a technician comes once a month."""
LEAF_EXPIRES_WITHIN = timedelta(days=20)
"""The page's own is renewed by the gateway 30 days before its end: ten days later it has failed."""
WELL = Fix("seen", Text("All is well: delete what was before"), hold=True)
SYSTEM = Fix("system", Text("What takes the room"), link="/system")


def machine_repairs(facts: Facts, now: datetime | None) -> Iterator[Repair]:
    """The list. `now` is None while nobody knows the time."""
    yield from _of_disk(facts)
    yield from _of_power(facts)
    yield from _of_flash(facts)
    if facts.restored is not None:
        yield _restored(facts.restored)
    if now is not None:
        yield from certificate_repairs(facts.certificates, now)


def _of_disk(facts: Facts) -> Iterator[Repair]:
    if facts.free_bytes < DISK_LOW_BYTES:
        yield Repair(
            "disk_low",
            Text("The disk has {left} left", left=Amount(facts.free_bytes / 1024**2, "megabyte")),
            (Text("Delete what is not needed"), Text("If nothing is, put in a larger card")),
            fixes=(SYSTEM,),
        )
    elif facts.full_in_s is not None and facts.full_in_s < FILLS_WITHIN_S:
        yield fills(facts.full_in_s)


def access_repairs(access: Access) -> Iterator[Repair]:
    """Nobody may come in any more."""
    if access.stage == "lost":
        yield access_lost()


def access_lost() -> Repair:
    """The file of people has no owner any more."""
    add = Text("On the gateway: {command}", command="picante people add NAME --role owner")
    return Repair("access_broken", Text("Nobody is left who may sign in: access.db was lost"), (add,))


def setup_repairs(config: Config) -> Iterator[Repair]:
    """What setup left open."""
    if pseudonym_path(config) == own_pseudonym_path(config):
        steps = (
            Text("Put the brand's pseudonym key into {path}", path=str(config.path(config.keys.pseudonym))),
            Text("Restart the gateway"),
        )
        yield Repair("setup_incomplete", Text("Customers' pseudonyms are made with a key of this gateway's own"), steps)


def fills(in_s: float) -> Repair:
    """Room for events ends soon."""
    return Repair(
        "disk_fills",
        Text("At this rate there is no room left in {span}", span=Span(in_s)),
        (Text("See that events go to Kafka: then the gateway needs no more room"), Text("Delete what is not needed")),
        fixes=(SYSTEM,),
    )


def _of_power(facts: Facts) -> Iterator[Repair]:
    power = facts.hardware.power
    if power is None:
        return
    if power.under_voltage:
        steps = (
            Text("Use the power supply that came with the machine, and a short, thick cable"),
            Text("Unplug what takes its power from the machine's USB ports"),
        )
        yield Repair("under_voltage", Text("The machine gets too little power"), steps)
    if power.throttled and not power.under_voltage:
        celsius = facts.hardware.temperature_c
        what = Text("The machine is slowed down: it is too hot, or gets too little power")
        if celsius is not None:
            what = Text("The machine is slowed down, at {heat}", heat=Amount(celsius, "celsius"))
        yield Repair("throttled", what, (Text("Give it air: clear its vents, and move it away from what is warm"),))


def _of_flash(facts: Facts) -> Iterator[Repair]:
    flash = facts.hardware.flash
    if flash is not None and flash.worn:
        worn = flash.worn_percent
        what = Text("The card {name} is worn out, as it says itself", name=flash.name)
        if worn is not None:
            what = Text("The card {name} has used {percent} % of its life", name=flash.name, percent=worn)
        steps = (Text("Make a backup"), Text("Put in a new card, and restore the backup there"))
        yield Repair("flash_worn", what, steps, flash.name, fixes=(Fix("system", Text("Backup"), link="/system"),))


def _restored(plan: Plan) -> Repair:
    made = reads.moment(plan.header.made_ms)
    what = Text("This gateway was restored from a backup of {day}", day=made)
    steps = (
        Text("Look whether dispensers, people and settings are as they should be"),
        Text("What dispensers still hold comes again by itself"),
        Text("Take it back, or say that all is well: until then what was there before is kept"),
    )
    page = Fix("backups", Text("Take it back"), link="/system/backups")
    return Repair("restored", what, steps, since=reads.moment(plan.at_ms), fixes=(page, WELL))


def certificate_repairs(certificates: tuple[Certificate, ...], now: datetime) -> Iterator[Repair]:
    """Those that have expired, or soon will."""
    named: dict[str, Certificate] = {}
    for one in certificates:  # one authority of a file is enough; of a chain each part is needed
        first = max if one.key.endswith(".ca") else min
        named[one.key] = first(named.get(one.key, one), one, key=lambda each: each.not_after)
    leaf, issuer = named.get(LEAF), named.get(ISSUER)
    if leaf is not None and issuer is not None and leaf.not_after >= issuer.not_after:
        del named[LEAF]  # it ends with its issuer's, which tells of it
    for one in named.values():
        within = LEAF_EXPIRES_WITHIN if one.key == LEAF else EXPIRES_WITHIN
        steps = _renewing(one)
        if now > one.not_after:
            what = Text("The certificate {path} expired on {day}", path=str(one.path), day=one.not_after)
            yield Repair("certificate_expired", what, steps, one.key, one.not_after)
        elif now < one.not_before:
            what = Text("The certificate {path} is valid from {day} on", path=str(one.path), day=one.not_before)
            clock = Text("See that the gateway's clock is right")
            yield Repair("certificate_expired", what, (clock, *steps), one.key)
        elif one.not_after - now < within:
            what = Text("The certificate {path} expires on {day}", path=str(one.path), day=one.not_after)
            yield Repair("certificate_expires", what, steps, one.key, one.not_after - within)


def _renewing(one: Certificate) -> tuple[Text, ...]:
    if one.key == LEAF:
        return (
            Text("The gateway should have renewed it: see that its disk has room and its clock is right"),
            Text("Restart the gateway"),
        )
    renew = Text("Put a renewed one into {path}: {key} names it", path=str(one.path), key=one.key)
    if one.key == ISSUER:
        make = Text("Make a new one: {command}", command="picante gateway web-pki issue")
        return make, renew, Text("Restart the gateway")
    return renew, Text("It is used from the next connection on; nothing needs a restart")
