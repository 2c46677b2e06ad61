"""The answer that tells everything at a glance: what the page, `/api/v1/status` and the streams show."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from gateway.web.answers import Answer, HeatAt, SyncView, example
from gateway.web.dispenser_answers import DispenserView, ShownView
from gateway.web.repairs.answers import RepairView
from models.ranker import Scorer


class Counts(Answer):
    """The gateway in numbers; the last three since it started."""

    stored: Annotated[int, example(1042)]
    in_kafka: Annotated[int, example(1040)]
    pending: Annotated[int, example(2)]
    refused: Annotated[int, example(1)]
    duplicates: Annotated[int, example(0)]
    picks_shown: Annotated[int, example(310)]


class PickTimes(Answer):
    """How long the last picks took, from the question's last byte to the answer's first."""

    count: Annotated[int, example(310)]
    p50_us: Annotated[int | None, example(1800)]
    p99_us: Annotated[int | None, example(6400)]


class Told(Answer):
    """An event as a sentence."""

    position: Annotated[int, example(1042)]
    time: datetime
    clock: Annotated[str, example("known")]
    kind: Annotated[str, example("poured")]
    text: Annotated[str, example("hot-bar-1 poured Chipotle Honey, 5.2 mL")]
    heat: HeatAt | None = None


class GatewayView(Answer):
    """Which gateway this is."""

    id: Annotated[str, example("gw-1")]
    store: Annotated[str, example("mercado-12")]
    region: Annotated[str, example("eu")]
    version: Annotated[str, example("0.1.0")]
    started: datetime
    ranker: Annotated[str, example("9f2c4e1ab07d")]
    """The bundle that ranks, or `rule`."""
    scorer: Scorer
    clock_known: bool
    database_bytes: Annotated[int, example(31457280)]
    quota_bytes: Annotated[int, example(2147483648)]


class Status(Answer):
    """Everything that the page shows."""

    now: datetime
    gateway: GatewayView
    repairs: list[RepairView]
    """In English; `/api/v1/repairs` has them in other languages."""
    counts: Counts
    dispensers: list[DispenserView]
    times: PickTimes
    picks: list[ShownView]
    """The last picks shown, newest first."""
    events: list[Told]
    """The last events, newest first; impressions are among the picks."""
    sync: SyncView
    backlog: Annotated[list[int], example([0, 2])]
    """`pending` every 5 s, newest last."""
