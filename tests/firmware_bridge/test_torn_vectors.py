"""Every frame of the vectors cut at every byte, joined, and with every single bit flipped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from firmware_bridge.codec import decode_message, decode_packet, encode_message
from firmware_bridge.framing import BadFrame, Frame, FrameDecoder, encode_frame
from firmware_bridge.messages import Ping
from tests.shared_data import captures

WIRE = Path(__file__).parents[1] / "vectors/wire"
VECTORS: list[dict[str, Any]] = [
    vector for name in ("messages", "lenient", "bad") for vector in json.loads((WIRE / f"{name}.json").read_text())
]
FRAMES = [bytes.fromhex(vector["frame"]) for vector in VECTORS]
NEXT = encode_message(Ping(nonce=bytes(range(8, 16))))
[NEXT_FRAME] = FrameDecoder().feed(NEXT)


def read(*pieces: bytes) -> list[Frame | BadFrame]:
    """What a decoder makes of a line that comes in these pieces; each frame is read on as a message, too."""
    decoder = FrameDecoder()
    frames = [frame for piece in pieces for frame in decoder.feed(piece)]
    for frame in frames:
        if isinstance(frame, Frame):
            decode_message(frame)
    return frames


every_line = pytest.mark.parametrize("line", FRAMES, ids=[vector["name"] for vector in VECTORS])
WHOLE = {
    vector["name"]: only
    for vector, line in zip(VECTORS, FRAMES, strict=True)
    if isinstance(only := read(line)[0], Frame)
}
every_frame = pytest.mark.parametrize("name", WHOLE)


@every_line
def test_cut_at_any_byte_it_is_the_same(line: bytes) -> None:
    whole = read(line + NEXT)
    assert whole[-1] == NEXT_FRAME
    for at in range(len(line) + len(NEXT) + 1):
        assert read((line + NEXT)[:at], (line + NEXT)[at:]) == whole, at


@pytest.mark.parametrize("step", [1, 2, 3, 7, 64, 1024, 10**6])
def test_all_joined_they_are_the_same(step: int) -> None:
    line = b"".join(FRAMES)
    expected = [frame for one in FRAMES for frame in read(one)]
    assert read(*(line[at : at + step] for at in range(0, len(line), step))) == expected


def test_one_zero_between_two_frames_is_enough() -> None:
    expected = [frame for one in FRAMES for frame in read(one)]
    assert read(b"\x00".join(line.strip(b"\x00") for line in FRAMES), b"\x00") == expected


@every_frame
def test_any_bit_flipped_makes_no_other_frame_and_the_next_is_read(name: str) -> None:
    """A flip in a delimiter may leave the frame as it was; nothing else is ever accepted."""
    line = encode_frame(WHOLE[name].version, WHOLE[name].type, WHOLE[name].body)
    for at in range(8 * len(line)):
        *others, after = [frame for frame in read(flipped(line, at) + NEXT) if isinstance(frame, Frame)]
        assert after == NEXT_FRAME, at
        assert others == [] or (others == [WHOLE[name]] and at // 8 in (0, len(line) - 1)), at


@every_frame
def test_any_bit_of_a_packet_flipped_is_a_message_or_a_reason(name: str) -> None:
    """MQTT has no CRC of ours: what a broken device publishes comes as it is."""
    frame = WHOLE[name]
    packet = bytes([frame.version, frame.type]) + frame.body
    for at in range(8 * len(packet)):
        decode_packet(flipped(packet, at))
    for at in range(len(packet)):
        decode_packet(packet[:at])


@pytest.mark.parametrize("step", [1, 16, 255, 10**6])
def test_no_line_that_speaks_otherwise_has_a_frame(step: int) -> None:
    """GPS receivers and the like, as recorded: whole and in pieces."""
    for path in captures():
        recorded = path.read_bytes()
        frames = read(*(recorded[at : at + step] for at in range(0, len(recorded), step)), b"\x00", NEXT)
        assert [frame for frame in frames if isinstance(frame, Frame)] == [NEXT_FRAME], path.name


def flipped(line: bytes, at: int) -> bytes:
    """The line with one of its bits turned."""
    damaged = bytearray(line)
    damaged[at // 8] ^= 1 << at % 8
    return bytes(damaged)
