"""The demo from curtain to curtain: start the stage, play the acts on time, count all the while, reconcile."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from heat.errors import LinkLost, PicanteError
from picante.demo.acts import Act, drain, playable
from picante.demo.numbers import CloudNumbers, Numbers
from picante.demo.show import WHAT_IS_REAL, Show
from picante.demo.stage import MQTT, OWNER, SERIAL, Stage

DRAIN_S = 4.0
"""Seconds that the end may take to see all in Kafka after Ctrl-C."""
CLOUD_S = 15.0
"""Seconds more to see it in the cloud; a second Ctrl-C does not wait."""
PATIENCE_S = 30.0
"""Seconds that it may take where nobody waits at the keyboard."""
VERDICT_S = 60.0
STEP_S = 0.25


class Demo:
    """One performance."""

    def __init__(self, state: Path, kafka: str | None, port: int | None, *, quiet: bool) -> None:
        self._stage = Stage(state, kafka, port)
        self._show = Show(quiet=quiet)
        self._begun = time.monotonic()

    def run(self, seconds: float | None) -> dict[str, Any]:
        """Play for so many seconds (None: until Ctrl-C), and return the reckoning.

        Raises:
            PicanteError: the stage could not be set, or a process ended by itself.
            KeyboardInterrupt: before anything was played, or for the second time.
        """
        stage, show = self._stage, self._show
        show.tell(WHAT_IS_REAL.format(kafka="" if stage.kafka else ", Kafka broker (librdkafka's mock cluster)"))
        try:
            with show:
                self._open()
                try:
                    self._play(seconds)
                except KeyboardInterrupt:
                    show.tell("[dim]Ctrl-C: nobody comes any more; what is under way still arrives …[/]")
                picks = self._pick_ms()
                numbers = drain(stage, *((DRAIN_S, CLOUD_S) if seconds is None else (PATIENCE_S, PATIENCE_S)))
            show.verdict(numbers, picks, ended=True)
        finally:
            stage.end()
        return _reckoning(numbers, picks, stage)

    def _open(self) -> None:
        stage, show = self._stage, self._show
        stage.start()
        while not stage.page_is_up():
            stage.check()
            if self._elapsed() > 30:
                raise PicanteError("the gateway's page does not answer", hint=f"See {stage.state}/logs/gateway.log")
            time.sleep(STEP_S / 5)
        moved = "" if stage.page.endswith(":8080/") else "  (8080 is busy)"
        show.tell(f"[bold]{stage.page}[/]  open it: the page of this gateway, live{moved}")
        show.tell(f"  sign in as [bold]{OWNER}[/] with the password [bold]{stage.password}[/]")

    def _play(self, seconds: float | None) -> None:
        acts = playable(seconds, embedded=self._stage.kafka is None)
        told = False
        while seconds is None or self._elapsed() < seconds:
            self._stage.check()
            if acts and self._elapsed() >= acts[0].at_s:
                self._perform(acts.pop(0))
            self._show.update(self._numbers(), self._elapsed())
            if not acts and not told and self._elapsed() >= VERDICT_S:
                told = True
                self._tell_verdict()
            time.sleep(STEP_S)

    def _perform(self, act: Act) -> None:
        try:
            act.play(self._stage, self._show.tell)
        except LinkLost as error:
            self._show.tell(f"[red]{error}[/]")

    def _tell_verdict(self) -> None:
        self._show.verdict(self._numbers(), self._pick_ms(), ended=False)
        self._show.tell("It goes on until Ctrl-C. Try next, in another terminal:")
        for command in (
            *(self._of_the_cloud() if self._stage.cloud else ()),
            f"curl -s {self._stage.page}api/v1/sync",
            f"{command_name()} sim screen {SERIAL[0]} --state {self._stage.state}/sim",
            f"{command_name()} sim ctl power {SERIAL[0]} cycle --state {self._stage.state}/sim",
            f"{command_name()} models evaluate",
            f"{command_name()} demo --kafka HOST:PORT",
        ):
            self._show.tell(f"   [cyan]{command}[/]")

    def _of_the_cloud(self) -> Iterator[str]:
        config = f"--config {self._stage.state}/cloud.toml"
        yield f"{command_name()} cloud tail {config}"
        yield f"{command_name()} cloud fleet {config}"
        yield f'{command_name()} lake query "FROM events SELECT type, count(*) GROUP BY ALL" {config}'

    def _numbers(self) -> Numbers:
        return self._stage.numbers()

    def _pick_ms(self) -> dict[str, float]:
        times = (self._stage.gateway_json("api/v1/status") or {}).get("times") or {}
        return {name: round((times.get(f"{name}_us") or 0) / 1000, 2) for name in ("p50", "p99")}

    def _elapsed(self) -> float:
        return time.monotonic() - self._begun


def command_name() -> str:
    """How this program was called, so that what is printed can be pasted."""
    called = Path(sys.argv[0])
    if called.name != "picante":
        return "picante"
    return (
        str(called.relative_to(Path.cwd()))
        if called.is_absolute() and called.is_relative_to(Path.cwd())
        else str(called)
    )


def _reckoning(numbers: Numbers, picks: dict[str, float], stage: Stage) -> dict[str, Any]:
    return {
        "page": {"url": stage.page, "name": OWNER, "password": stage.password},
        "dispensers": len(SERIAL + MQTT),
        "events_generated": numbers.generated,
        "events_stored": numbers.stored,
        "events_in_topic": numbers.in_topic,
        "duplicates_in_topic": numbers.duplicates,
        "lost": numbers.lost,
        "under_way": numbers.under_way,
        "picks_shown": numbers.picks_shown,
        "picks_accepted": numbers.picks_accepted,
        "pick_ms": picks,
        "position": "kafka" if stage.kafka else "sqlite",
        "cloud": None if (cloud := numbers.cloud) is None else _cloud(cloud),
        "faults": numbers.faults(ended=True),
    }


def _cloud(numbers: CloudNumbers) -> dict[str, Any]:
    return {
        "events": numbers.events,
        "duplicates": numbers.duplicates,
        "profiles": numbers.profiles,
        "digests_equal": numbers.digests_equal,
        "lake_rows": numbers.lake_rows,
    }
