"""What a replay brings is folded into profiles of the same digests, and of a generation that replaces the old one."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from cloud.lake.replay import replay
from cloud_sync.envelope import encode
from cloud_sync.outbox import StoredEvent
from cloud_sync.topics import DAY_MS
from tests.cloud.lake.writing import lake_of, running, wait_for_rows, writer_of
from tests.cloud.pipelines import Stage
from tests.cloud_sync.examples import pours, stored
from tests.reference import profiles
from tests.servers import KafkaServer, ServerElsewhere
from tests.waiting import wait_until


def at(row: StoredEvent, time_ms: int) -> StoredEvent:
    return replace(row, time_ms=time_ms, day=time_ms // DAY_MS)


def reference(events: Sequence[StoredEvent]) -> dict[str, str]:
    """The digests of a naive reader."""
    read = [
        {"subject": row.subject, "origin": row.origin, "day": row.day, "type": row.type, "data": json.loads(row.data)}
        for row in events
    ]
    return {subject: profile["digest"] for subject, profile in profiles(read).items()}


async def test_a_replay_into_a_new_generation_has_equal_digests(
    kafka: KafkaServer | ServerElsewhere, tmp_path: Path
) -> None:
    stage, lake = await Stage.make(kafka.bootstrap, tmp_path / "first"), tmp_path / "lake"
    source, cluster, now_ms = stage.settings.events, stage.settings.cluster, int(time.time() * 1000)
    events = [at(row, now_ms) for row in pours(200) if isinstance(row, StoredEvent)]
    too_old = at(stored(sequence=900), now_ms - 200 * DAY_MS)
    records = [encode(row) for row in [*events, *events[:40], too_old]]
    stage.send([*((record.key, record.value) for record in records), (b"poison", b"{")])
    with stage.running(), running(writer_of(kafka.bootstrap, source, lake)):
        wait_for_rows(lake, 242)
        stage.wait_for(digests := reference(events))
    target = f"picante-test-{secrets.token_hex(6)}"
    assert replay(lake_of(source, lake), cluster, source, target).records == 242
    anew = replace(stage.settings, events=target, generation=2, directory=tmp_path / "second", group=target)
    with Stage(anew).running():
        wait_until(lambda: {p.version.generation for p in stage.profiles().values() if p} == {2}, 20, "generation 2")
        stage.wait_for(digests)
