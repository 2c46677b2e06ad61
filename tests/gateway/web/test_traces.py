"""The last frames of a line in words: bounded, without secrets, and only while somebody looks."""

from __future__ import annotations

import pytest

from firmware_bridge.bodies import PouredBody
from firmware_bridge.codec import body_map, encode_message, encode_packet
from firmware_bridge.messages import Ack, Ask, EventMessage, Message, Provision, Sample, Series
from gateway.tracing import MAX_LISTENERS, Tracer
from gateway.web.traces import FRAMES, LEASE_S, LINES, FrameSaid, Traces

EVENT = EventMessage(
    generation=7,
    sequence=42,
    boot=1,
    uptime_ms=1_000,
    sent_uptime_ms=1_200,
    session=3,
    kind=PouredBody.number,
    body=body_map(PouredBody(nozzle=2, sauce="chipotle-honey", volume_ul=5_200, duration_ms=900)),
)


@pytest.fixture
def tracer() -> Tracer:
    return Tracer("gw-1")


def told(traces: Traces, link: str = "tty") -> list[FrameSaid]:
    frames = traces.look_at(link)
    assert frames is not None
    return frames


def passes(tracer: Tracer, message: Message, link: str = "tty") -> None:
    tracer.serial(link, "up", b"\x00" + encode_message(message, 2))


def test_an_event_is_told_field_by_field(tracer: Tracer) -> None:
    traces = Traces(tracer)
    assert told(traces) == []
    passes(tracer, EVENT)
    [frame] = told(traces)
    assert (frame.way, frame.name, frame.sequence, frame.bad) == ("up", "EVENT", 42, False)
    fields = dict(frame.fields)
    assert (fields["kind"], fields["sauce"], fields["volume_ul"]) == ("poured", "chipotle-honey", "5200")


def test_what_must_not_be_seen_is_not(tracer: Tracer) -> None:
    traces = Traces(tracer)
    told(traces)
    passes(tracer, Ask(session=1, nonce=bytes(8), token="loyalty-4711-jane"))
    passes(tracer, Provision(nonce=bytes(16), secret=b"s" * 32))
    provision, ask = told(traces)
    assert "jane" not in str(ask)
    assert (provision.name, provision.fields, provision.size) == ("PROVISION", [], None)


def test_a_bad_frame_is_told_and_a_sample_in_short(tracer: Tracer) -> None:
    traces = Traces(tracer)
    told(traces)
    tracer.serial("tty", "up", b"\x00\x05abcd\x00")
    tracer.packet("mqtt:bar-1", "up", encode_packet(Ack(generation=1, sequence=2)))
    passes(tracer, Sample(uptime_ms=1, period_ms=100, series=(Series(2, 1, (700, 699)), Series(2, 2, (1, 2)))))
    sample, bad = told(traces)
    assert (bad.bad, bad.fields) == (True, [])
    assert dict(sample.fields)["series"] == "2 of 2 values"


def test_the_newest_frames_stay(tracer: Tracer) -> None:
    traces = Traces(tracer)
    told(traces)
    for sequence in range(1, FRAMES + 6):
        passes(tracer, Ack(generation=7, sequence=sequence))
    assert [frame.sequence for frame in told(traces)] == list(range(FRAMES + 5, 5, -1))


def test_nobody_listens_once_the_page_is_gone(tracer: Tracer) -> None:
    now_s = [0.0]
    traces = Traces(tracer, lambda: now_s[0])
    told(traces, "tty")
    now_s[0] = LEASE_S / 2
    told(traces, "tty")
    now_s[0] = LEASE_S
    told(traces, "other")
    passes(tracer, EVENT)
    assert len(told(traces, "tty")) == 1, "who looked again has half a minute from then on"
    now_s[0] += LEASE_S
    assert told(traces, "third") == []
    passes(tracer, EVENT, "tty")
    assert told(traces, "tty") == []


def test_a_few_lines_are_shown_at_a_time_and_a_download_has_room(tracer: Tracer) -> None:
    traces = Traces(tracer)
    for number in range(LINES):
        told(traces, f"tty{number}")
    assert traces.look_at("one more") is None
    assert told(traces, "tty0") == []
    assert LINES < MAX_LISTENERS
    assert not tracer.full
