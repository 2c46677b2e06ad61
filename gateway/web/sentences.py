"""A stored event as one sentence that somebody in the shop understands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_never

from gateway.web.answers import HeatAt
from gateway.web.glance import Told
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

_VERDICTS = {"too_hot": "was too hot", "just_right": "was just right", "more": "could have been hotter"}
_VOIDED = {
    "test": "somebody tried the dispenser",
    "leak": "it leaked",
    "cleaning": "it was cleaned",
    "stuck": "its button hung",
    "other": "no customer's",
}
SAID_CHARS = 40


def tell(row: Row, catalog: Mapping[str, Sauce]) -> Told:
    """A row as the page tells it."""
    heat = None
    if row.type is None:
        kind, text = "refused", f"{row.source} sent something that was refused: {_plain(row.reason or '')}"
    elif (data := read_data(row.type, row.data)) is None:  # written by a later version, or damaged
        kind, text = "unknown", f"{row.source}: {row.type}"
    else:
        kind = row.type.split(".")[1]
        text = _sentence(row.source, data, catalog)
        if data.flags:
            text += f" ({', '.join(_plain(flag) for flag in data.flags)})"
        if isinstance(data, Poured | Rated | Stated):
            heat = HeatAt(milli_octaves=data.heat.milli_octaves, shu=data.heat.shu)
    return Told(position=row.position, time=moment(row.time_ms), clock=row.clock, kind=kind, text=text, heat=heat)


def _sentence(source: str, data: AnyData, catalog: Mapping[str, Sauce]) -> str:  # noqa: C901 -- an arm a type
    match data:
        case Poured():
            return f"{source} poured {_name(data.sauce, catalog)}, {data.volume_ul / 1000:.1f} ml"
        case PourVoided():
            taken = f"{data.volume_ul / 1000:.1f} ml of {_name(data.sauce, catalog)}"
            return f"A pour at {data.voided.partition(':')[0]} was taken back, {taken}: {_VOIDED[data.reason]}"
        case Rated():
            return f"{_name(data.sauce, catalog)} {_VERDICTS[data.verdict]}, at {source}"
        case Stated():
            return f"Somebody at {source} {_wish(data)}"
        case Refilled():
            ml = data.volume_ul // 1000
            return f"{source} got {_name(data.sauce, catalog)} on nozzle {data.nozzle}, {ml} ml"
        case Impression():
            names = ", ".join(_name(pick.sauce, catalog) for pick in data.picks)
            return f"{data.dispenser} showed {names or 'nothing'}"
        case SessionClaimed():
            return f"A loyalty card was shown at {_dispenser(data.session)}"
        case ConsentChanged():
            return (
                "A customer wants not to be known" if data.consent == "none" else "A customer wants to be known again"
            )
        case SequenceGap():
            return f"{data.dispenser} lacks {data.last - data.first + 1:,} events: neither in its memory nor here"
        case Sampled():
            return f"{data.dispenser}'s sensors were summed up"
        case _ as never:
            assert_never(never)


def _wish(stated: Stated) -> str:
    said = stated.said if len(stated.said) <= SAID_CHARS else stated.said[:SAID_CHARS] + "…"
    match stated.heat.source:
        case "dial":
            return f"set the dial to {said.removeprefix('dial ')}"
        case "word":
            return f"likes it “{said}”"
        case _:
            return f"asked for {stated.heat.shu:,} SHU"


def _name(sauce: str, catalog: Mapping[str, Sauce]) -> str:
    known = catalog.get(sauce)
    return known.name if known else sauce


def _plain(code: str) -> str:
    return code.replace("_", " ")


def _dispenser(session: str) -> str:
    """The dispenser in `s-dispenser-generation-number`."""
    return session.removeprefix("s-").rsplit("-", 2)[0]
