"""`picante cloud fleet`: how the gateways are, the worst first."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from cloud_sync.topics import GATEWAYS
from picante.cloud_options import CLOUD_CONFIG, NEEDS_A_PERSON, table, told

if TYPE_CHECKING:
    from cloud.config import CloudConfig
    from cloud.fleet import Complaint, Heard, Judged
    from cloud.fleet_watch import Compared
    from cloud.librdkafka import Cluster

EVERY_S = 2.0
_CLEAR = "\x1b[H\x1b[2J"
_HEAD = ("GATEWAY", "STORE", "HEARD", "BACKLOG", "CLOCK", "DB", "DISPENSERS", "SOFTWARE", "BUNDLE", "WHAT IS WRONG")
_HOW = {"differs": "other sums", "exceeds": "counted twice", "lacks": "events lack"}
_UNITS = ((86_400, "days"), (3_600, "h"), (60, "min"), (1, "s"))


@click.command()
@CLOUD_CONFIG
@click.option("--json", "as_json", is_flag=True, help="Print JSON: all that the gateways tell, and what is wrong.")
@click.option("--watch", is_flag=True, help="Go on looking, until Ctrl-C.")
@click.option("--digests", is_flag=True, help="Print the customers of whom edge and cloud differ.")
@click.option("--forget", metavar="GATEWAY", help="Forget a gateway that is no more; heard again, it is back.")
def fleet(config_path: Path, *, as_json: bool, watch: bool, digests: bool, forget: str | None) -> None:
    """Say how each gateway is, the worst first, and who has fallen silent.

    Gateways are heard every 30 s. Silent is who was not heard for 90 s, by the broker's clock; then come those that
    are stopped, have a backlog, don't know the time, or have little room, those with other repairs to do, and those
    with another version than the rest.

    \b
    Exit status: 0 all is well, 1 Kafka is not there or refuses, 2 configuration,
    4 somebody has to look after a gateway (another version alone is no reason); with --digests: edge and cloud differ
    on a customer, or not all could be compared.
    Example:  picante cloud fleet --watch
    """
    with told():
        from cloud.clock import BrokerTime
        from cloud.config import load_cloud_config
        from cloud.fleet import judge
        from cloud.librdkafka import cluster_of

        config = load_cloud_config(config_path)
        cluster = cluster_of(config)
        if forget is not None:
            _forget(cluster, forget)
            return
        if digests:
            sys.exit(_differences(config, as_json=as_json))
        judged: list[Judged] = []
        broker = BrokerTime(cluster)
        try:
            for known in _look(cluster):
                now_ms = broker.now_ms()
                judged = judge(known.values(), now_ms)
                lines = [_as_json(judged)] if as_json else _as_table(judged, now_ms)
                click.echo((_CLEAR if watch and sys.stdout.isatty() else "") + "\n".join(lines))
                if not watch:
                    break
                time.sleep(EVERY_S)
        except KeyboardInterrupt:
            click.echo()
        sys.exit(0 if all(one.well for one in judged) else NEEDS_A_PERSON)


def _look(cluster: Cluster) -> Iterator[dict[str, Heard]]:
    """All gateways that are known now, by name, again and again."""
    from cloud.fleet import hear
    from cloud.kafka import BEGINNING, Consumer, Place

    known: dict[str, Heard] = {}
    with closing(Consumer(cluster)) as consumer:
        places = [Place(GATEWAYS.name, number) for number in range(consumer.partitions(GATEWAYS.name))]
        consumer.assign(dict.fromkeys(places, BEGINNING))
        while True:
            while batch := consumer.poll():
                hear(known, batch)
            if consumer.ended.keys() >= set(places):
                yield known


def _differences(config: CloudConfig, *, as_json: bool) -> int:
    """Print of whom edge and cloud differ; the exit status that it means."""
    from cloud.fleet_watch import FleetWatch

    found = FleetWatch(config).compared()
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(found), indent=2))
    else:
        click.echo("\n".join(_compared(found)))
    return 0 if found.equal and not found.differences and not found.not_compared else NEEDS_A_PERSON


def _compared(found: Compared) -> Iterator[str]:
    if found.differences:
        rows = [("CUSTOMER", "GATEWAY", "", "EDGE", "CLOUD", "SINCE")]
        for one in found.differences:
            numbers = str(one.told.n), str(one.cloud_n)
            rows.append((one.key.subject, one.key.gateway, _HOW[one.outcome], *numbers, _moment(one.since_ms)))
        yield from table(rows)
    yield f"Edge and cloud agree on {found.equal:,} customers, and differ on {len(found.differences):,}"
    if found.newer:
        yield f"Of {found.newer:,} the cloud has later events: they are compared when their gateway tells of them again"
    if found.not_compared:
        yield f"Not compared: {found.not_compared:,}; their states are on another machine, or behind"
    if not found.equal:
        yield "Nobody was found equal: is this where the pipeline works, and do gateways reach Kafka?"


def _forget(cluster: Cluster, gateway: str) -> None:
    from cloud.kafka import Producer
    from cloud_sync.record import Record

    if gateway not in next(_look(cluster)):
        raise click.BadParameter(f"{gateway!r} was never heard, or is forgotten", param_hint="--forget")
    with Producer(cluster) as producer:
        producer.send(Record(GATEWAYS.name, gateway.encode(), None, ()))
        producer.flush()
    click.echo(f"{gateway} is forgotten")


def _as_table(judged: list[Judged], now_ms: float) -> list[str]:
    if not judged:
        return ["No gateway was ever heard: they tell of themselves once they reach Kafka"]
    rows = [_HEAD, *(_row(one, now_ms) for one in judged)]
    ill = sum(not one.well for one in judged)
    return [
        *table(rows),
        f"{len(judged)} gateways, {ill} need somebody" if ill else f"{len(judged)} gateways, all well",
    ]


def _row(judged: Judged, now_ms: float) -> tuple[str, ...]:
    told, at_ms = judged.heard.heartbeat, judged.heard.at_ms
    return (
        told.gateway,
        told.store,
        f"{_age(now_ms - at_ms)} ago",
        f"{told.backlog:,}",
        told.clock,
        f"{told.disk_percent} %",
        f"{told.online}/{told.dispensers}",
        told.software,
        told.ranker[:12],
        "; ".join(_complaint(one) for one in judged.complaints) or "-",
    )


def _complaint(complaint: Complaint) -> str:
    return complaint.what + (f" since {_moment(complaint.since_ms)}" if complaint.since_ms is not None else "")


def _age(ms: float) -> str:
    seconds = max(int(ms / 1000), 0)
    size, unit = next((step for step in _UNITS if seconds >= 2 * step[0]), _UNITS[-1])
    return f"{seconds // size} {unit}"


def _moment(ms: int) -> str:
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d %H:%M:%S}Z"


def _as_json(judged: list[Judged]) -> str:
    return json.dumps([_members(one) for one in judged], indent=2)


def _members(judged: Judged) -> dict[str, Any]:
    told: dict[str, Any] = msgspec.to_builtins(judged.heard.heartbeat)
    wrong = [
        {"trouble": one.trouble.name.lower(), "what": one.what, "since_ms": one.since_ms} for one in judged.complaints
    ]
    return told | {"heard_ms": judged.heard.at_ms, "well": judged.well, "wrong": wrong}
