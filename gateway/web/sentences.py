"""A stored event as one sentence that somebody in the shop understands, to be said in their language."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, assert_never

from gateway.web.answers import HeatAt
from gateway.web.glance import Told
from gateway.web.language import Amount, Listed, Text
from gateway.web.reads import Row, moment
from heat.catalog import Sauce
from heat.events import (
    AnyData,
    ConsentChanged,
    Impression,
    Poured,
    PourVoided,
    Rated,
    Refilled,
    Sampled,
    SequenceGap,
    SessionClaimed,
    Stated,
    read_data,
)

REASONS: dict[str, Text] = {
    "unknown_type": Text("an event of a kind that nobody knows"),
    "malformed": Text("it can't be read"),
    "impossible_heat": Text("a heat that nothing has"),
    "impossible_volume": Text("a volume that nothing pours"),
    "unknown_sauce": Text("a sauce that is not in the catalogue"),
    "unknown_word": Text("words that say nothing of heat"),
    "too_large": Text("it is too large"),
    "contradictory": Text("it contradicts itself"),
    "impossible_sums": Text("sums that no events make"),
    "wrong_key": Text("it lay under a wrong key"),
    "too_old": Text("it is too old"),
    "damaged": Text("the disk has damaged it"),
    "internal_error": Text("a fault of the gateway's own"),
}
"""Why events are refused."""
FLAGS: dict[str, Text] = {
    "large_pour": Text("very much at once"),
    "short_pour": Text("faster than a valve"),
    "confirmed": Text("confirmed by the customer"),
}
"""What is odd about an event, or was made sure of."""
TYPES: dict[str, Text] = {
    "poured": Text("pours"),
    "pour-voided": Text("pours taken back"),
    "rated": Text("ratings"),
    "stated": Text("wishes"),
    "refilled": Text("refills"),
    "impression": Text("picks shown"),
    "session-claimed": Text("loyalty cards"),
    "consent-changed": Text("consents"),
    "gap": Text("gaps"),
    "sampled": Text("sensor hours"),
}
"""Kinds of events, by the middle of their type."""
VOIDED: dict[str, Text] = {
    "test": Text("somebody tried the dispenser"),
    "leak": Text("it leaked"),
    "cleaning": Text("it was cleaned"),
    "stuck": Text("its button hung"),
    "other": Text("no customer's"),
}
"""Why pours are taken back."""
SAID_CHARS = 40


class Saying(NamedTuple):
    """What a row says."""

    kind: str
    """As in `TYPES`; `refused`, or `unknown`."""
    text: Text
    flags: tuple[Text, ...] = ()
    heat: HeatAt | None = None


def saying(row: Row, catalog: Mapping[str, Sauce]) -> Saying:
    """A row as a person reads it."""
    if row.type is None:
        why = REASONS.get(row.reason or "") or _plain(row.reason or "")
        return Saying("refused", Text("{source} sent something that was refused: {why}", source=row.source, why=why))
    if (data := read_data(row.type, row.data)) is None:  # written by a later version, or damaged
        return Saying("unknown", Text("{source}: {type}", source=row.source, type=row.type))
    heat = None
    if isinstance(data, Poured | Rated | Stated):
        heat = HeatAt(milli_octaves=data.heat.milli_octaves, shu=data.heat.shu)
    flags = tuple(FLAGS.get(flag) or _plain(flag) for flag in data.flags)
    return Saying(row.type.split(".")[1], _sentence(row.source, data, catalog), flags, heat)


def tell(row: Row, catalog: Mapping[str, Sauce]) -> Told:
    """A row as the API tells it, in English."""
    said = saying(row, catalog)
    text = str(said.text)
    if said.flags:
        text += f" ({', '.join(map(str, said.flags))})"
    return Told(
        position=row.position, time=moment(row.time_ms), clock=row.clock, kind=said.kind, text=text, heat=said.heat
    )


def _sentence(source: str, data: AnyData, catalog: Mapping[str, Sauce]) -> Text:  # noqa: C901, PLR0912 -- an arm a type
    match data:
        case Poured():
            return Text(
                "{source} poured {sauce}, {volume}",
                source=source,
                sauce=name_of(data.sauce, catalog),
                volume=Amount(data.volume_ul / 1000, "milliliter", 1),
            )
        case PourVoided():
            return Text(
                "A pour at {source} was taken back, {volume} of {sauce}: {why}",
                source=data.voided.partition(":")[0],
                volume=Amount(data.volume_ul / 1000, "milliliter", 1),
                sauce=name_of(data.sauce, catalog),
                why=VOIDED[data.reason],
            )
        case Rated():
            return _rating(source, name_of(data.sauce, catalog), data)
        case Stated():
            return _wish(source, data)
        case Refilled():
            return Text(
                "{source} got {sauce} on nozzle {nozzle}, {volume}",
                source=source,
                sauce=name_of(data.sauce, catalog),
                nozzle=data.nozzle,
                volume=Amount(data.volume_ul / 1000, "milliliter"),
            )
        case Impression():
            names = tuple(name_of(pick.sauce, catalog) for pick in data.picks)
            if not names:
                return Text("{source} showed nothing", source=data.dispenser)
            return Text("{source} showed {sauces}", source=data.dispenser, sauces=Listed(names))
        case SessionClaimed():
            return Text("A loyalty card was shown at {source}", source=_dispenser(data.session))
        case ConsentChanged():
            if data.consent == "none":
                return Text("A customer wants not to be known")
            return Text("A customer wants to be known again")
        case SequenceGap():
            return Text(
                "{source} lacks {n} event: neither in its memory nor here",
                "{source} lacks {n} events: neither in its memory nor here",
                source=data.dispenser,
                n=data.last - data.first + 1,
            )
        case Sampled():
            return Text("{source}'s sensors were summed up", source=data.dispenser)
        case _ as never:
            assert_never(never)


def _rating(source: str, sauce: str, rated: Rated) -> Text:
    match rated.verdict:
        case "too_hot":
            return Text("{sauce} was too hot, at {source}", sauce=sauce, source=source)
        case "just_right":
            return Text("{sauce} was just right, at {source}", sauce=sauce, source=source)
        case "more":
            return Text("{sauce} could have been hotter, at {source}", sauce=sauce, source=source)
        case _ as never:
            assert_never(never)


def _wish(source: str, stated: Stated) -> Text:
    said = stated.said if len(stated.said) <= SAID_CHARS else stated.said[:SAID_CHARS] + "…"
    match stated.heat.source:
        case "dial":
            return Text("Somebody at {source} set the dial to {dial}", source=source, dial=said.removeprefix("dial "))
        case "word":
            return Text("Somebody at {source} likes it “{said}”", source=source, said=said)
        case _:
            return Text("Somebody at {source} asked for {shu} SHU", source=source, shu=stated.heat.shu)


def name_of(sauce: str, catalog: Mapping[str, Sauce]) -> str:
    """A sauce as people call it."""
    known = catalog.get(sauce)
    return known.name if known else sauce


def _plain(code: str) -> Text:
    return Text("{code}", code=code.replace("_", " "))


def _dispenser(session: str) -> str:
    """The dispenser in `s-dispenser-generation-number`."""
    return session.removeprefix("s-").rsplit("-", 2)[0]
