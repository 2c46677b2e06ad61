"""`picante dispensers calibrate`: a flow meter's factor by test pours into a measuring cylinder."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from gateway.calibration import MAX_ML, MIN_ML, POURS
from heat.errors import PicanteError
from picante.cli_commands import find, give, path_of, sentence, wait
from picante.daemon import DAEMON, ask
from picante.errors import exit_with_hint

DOSE_ML = 20.0
MAX_DOSE_ML = 100.0


@click.command()
@click.argument("dispenser")
@click.argument("nozzle", type=int)
@click.option(
    "--ml",
    default=DOSE_ML,
    show_default=True,
    type=click.FloatRange(MIN_ML, MAX_DOSE_ML),
    help="Size of a test pour, ml.",
)
@click.option("--undo", is_flag=True, help="Go back to the factor before the last calibration.")
@DAEMON
def calibrate(dispenser: str, nozzle: int, ml: float, *, undo: bool, config_path: Path) -> None:
    """Calibrate the flow meter of NOZZLE by three test pours into a measuring cylinder.

    After each pour, enter what the cylinder says. If the three differ by more than 5 %, or one by more than 30 % from
    what the meter counted, nothing is changed. A pour that fails can be poured again; those before it count.

    \b
    Exit status: 0 calibrated, 1 it was not, 2 configuration.
    Example:  picante dispensers calibrate hot-bar-1 2
    """
    name = _with_nozzle(find(config_path, dispenser), nozzle, away=undo)
    if undo:
        answer = ask(config_path, "POST", f"{path_of(name)}/calibrations/undo", {"nozzle": nozzle})
    else:
        pours = [_test_pour(config_path, name, nozzle, ml, number) for number in range(1, POURS + 1)]
        answer = ask(config_path, "POST", f"{path_of(name)}/calibrations", {"nozzle": nozzle, "pours": pours})
        click.echo(f"{answer['pulses_per_ml']:.2f} pulses per ml; the pours differ by {answer['spread']:.1%}")
    ended = wait(config_path, answer["command"])
    click.echo(sentence(ended))
    sys.exit(0 if ended["state"] == "done" else 1)


def _with_nozzle(view: dict[str, Any], nozzle: int, *, away: bool) -> str:
    """The dispenser's id, if it has this nozzle and is there (or may be `away`): nobody places a cylinder in vain."""
    known = [f"{each['nozzle']} ({each['sauce']})" for each in view["nozzles"]]
    if nozzle not in [each["nozzle"] for each in view["nozzles"]]:
        hint = f"It has {', '.join(known) or 'none that is known'}"
        exit_with_hint(PicanteError(f"{view['name']} has no nozzle {nozzle}", hint=hint), 1)
    if not away and not view["online"]:
        waiting = view["waiting"] or {"why": f"{view['name']} is away", "do": "See picante dispensers list"}
        exit_with_hint(PicanteError(waiting["why"], hint=waiting["do"]), 1)
    return str(view["name"])


def _test_pour(config_path: Path, dispenser: str, nozzle: int, ml: float, number: int) -> dict[str, Any]:
    """One test pour that was done, and what the technician reads."""
    what = f"{number} of {POURS}: put an empty cylinder under nozzle {nozzle}, then press Enter"
    body = {"verb": "test_pour", "arguments": {"nozzle": nozzle, "volume_ml": ml}}
    while True:
        click.prompt(what, "", prompt_suffix="", show_default=False)
        ended = wait(config_path, give(config_path, dispenser, body))
        if ended["state"] == "done":
            break
        click.echo(sentence(ended))
        if not click.confirm("Pour this one again?", default=True):
            sys.exit(1)
    return {
        "command": ended["id"],
        "volume_ml": click.prompt("  ml in the cylinder", type=click.FloatRange(MIN_ML, MAX_ML)),
    }
