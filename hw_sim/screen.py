"""What a dispenser's screen shows, as a value, and drawn as text 42 columns wide."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from firmware_bridge.messages import PickInfo
from heat.scale import MAX_MO, milli_octaves, shu

COLUMNS = 42
_INNER = COLUMNS - 4
_BAR = 18
"""Cells of the heat scale."""
_COLDEST_MO = milli_octaves(60)
"""mo; where the scale begins. It ends at pure capsaicin."""
_DARK_ROWS = 5
_EIGHTHS = " ▏▎▍▌▋▊▉"
_FOOT = f"╰{'─' * (COLUMNS - 2)}╯"
OWN_CHOICE = ("No picks right now:", "choose your own sauce.")


@dataclass(frozen=True, slots=True)
class Shown:
    """What the screen shows: picks, an address, or (with neither) the invitation to choose oneself."""

    picks: tuple[PickInfo, ...] = ()
    pick_id: str | None = None
    address: str | None = None
    """Where a technician's phone finds the gateway's page."""


def render(shown: Shown, *, title: str, status: str, own_choice: Sequence[str] = ()) -> str:
    """The screen as lines of text. `own_choice` are the sauces to list when there are no picks."""
    lines = _head(title, status)
    for slot, pick in enumerate(shown.picks, start=1):
        lines += _pick_rows(slot, pick)
    if shown.address is not None:
        lines += [_row(""), *(_row(text.center(_INNER)) for text in textwrap.wrap(shown.address, _INNER)), _row("")]
    elif not shown.picks:
        lines += [_row(""), *(_row(text.center(_INNER)) for text in OWN_CHOICE), _row("")]
        lines += [_row(f" {text}") for text in own_choice]
    return "\n".join([*lines, _FOOT])


def render_question(sauce: str, nozzle: int, *, title: str, status: str) -> str:
    """The screen while it asks whether a very hot sauce is meant, as lines of text."""
    told = (f"{sauce} is very hot.", f"Press nozzle {nozzle} again to pour it.")
    rows = [_row(""), *(_row(_clip(text, _INNER).center(_INNER)) for text in told), _row("")]
    return "\n".join([*_head(title, status), *rows, _FOOT])


def dark() -> str:
    """A screen without power, as lines of text."""
    return "\n".join([f"╭{'─' * (COLUMNS - 2)}╮", *[_row("")] * _DARK_ROWS, _FOOT])


def heat_bar(heat_mo: int, cells: int = _BAR) -> str:
    """A heat as a bar of `cells` characters, in eighths of a cell."""
    share = (heat_mo - _COLDEST_MO) / (MAX_MO - _COLDEST_MO)
    eighths = round(min(max(share, 0.0), 1.0) * cells * 8)
    full, part = divmod(eighths, 8)
    bar = "█" * full + (_EIGHTHS[part] if part else "")
    return bar.ljust(cells, "·")


def _head(title: str, status: str) -> list[str]:
    return [f"╭{'─' * (COLUMNS - 2)}╮", _row(_spread(title, status)), f"├{'─' * (COLUMNS - 2)}┤"]


def _pick_rows(slot: int, pick: PickInfo) -> list[str]:
    units = f"{_three_digits(shu(pick.milli_octaves)):,} SHU"
    rows = [
        _row(_spread(f"{slot} {pick.name}", f"nozzle {pick.nozzle}")),
        _row(f"  {heat_bar(pick.milli_octaves)} {units}"),
    ]
    if pick.why:
        rows.append(_row(f"  {pick.why}"))
    return [*rows, _row("")]


def _three_digits(number: int) -> int:
    """Rounded to three digits: nobody tastes a fourth."""
    return round(number, min(3 - len(str(number)), 0))


def _spread(left: str, right: str) -> str:
    room = _INNER - len(right) - 1
    return f"{_clip(left, room):<{room}} {right}"


def _row(text: str) -> str:
    return f"│ {_clip(text, _INNER):<{_INNER}} │"


def _clip(text: str, columns: int) -> str:
    return text if len(text) <= columns else text[: columns - 1] + "…"
