"""Frames on a serial line: whole, in pieces, joined, damaged, too long; against another COBS, and line noise."""

from __future__ import annotations

import itertools
import random
import zlib

import pytest
from cobs import cobs
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_bridge.framing import (
    MAX_FRAME_BYTES,
    BadFrame,
    Frame,
    FrameDecoder,
    cobs_decode,
    cobs_encode,
    encode_frame,
)

FRAME = Frame(1, 5, bytes(range(1, 60)) + b"\x00\x00" + bytes(300))
"""Has zeros in a row, and a run that fills a COBS block."""
OTHER = Frame(1, 0x84, b"\xa2\x01\x01\x02\x03")

zeros_and_runs = st.lists(
    st.one_of(st.binary(max_size=40), st.integers(250, 260).map(lambda n: b"\x07" * n), st.just(b"\x00")), max_size=8
).map(b"".join)
bodies = st.one_of(st.binary(max_size=200), zeros_and_runs.filter(lambda body: len(body) <= MAX_FRAME_BYTES - 6))


def on_the_line(frame: Frame) -> bytes:
    return encode_frame(frame.version, frame.type, frame.body)


def other_encode(frame: Frame) -> bytes:
    """The same frame by another COBS library."""
    content = bytes([frame.version, frame.type]) + frame.body
    block: bytes = cobs.encode(content + zlib.crc32(content).to_bytes(4, "big"))
    return b"\x00" + block + b"\x00"


# -- COBS ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 253, 254, 255, 507, 508, 509, 1018])
@pytest.mark.parametrize("ends", [b"", b"\x00", b"\x00\x00"])
def test_cobs_at_the_edges_of_its_blocks(size: int, ends: bytes) -> None:
    for content in (b"\x09" * size + ends, ends + b"\x09" * size):
        assert cobs_encode(content) == cobs.encode(content)
        assert cobs_decode(cobs_encode(content)) == content


@given(zeros_and_runs)
def test_cobs_as_another_library_does_it(content: bytes) -> None:
    block = cobs_encode(content)
    assert block == cobs.encode(content)
    assert b"\x00" not in block
    assert cobs_decode(block) == cobs.decode(block) == content


@given(st.binary(min_size=1, max_size=60).map(lambda block: block.replace(b"\x00", b"\x01")))
def test_cobs_refuses_what_another_library_refuses(block: bytes) -> None:
    try:
        expected = cobs.decode(block)
    except cobs.DecodeError:
        expected = None
    assert cobs_decode(block) == expected


# -- whole frames ----------------------------------------------------------------------------------------------------


@given(st.integers(0, 255), st.integers(0, 255), bodies)
def test_frames_there_and_back(version: int, type_: int, body: bytes) -> None:
    frame = Frame(version, type_, body)
    assert on_the_line(frame) == other_encode(frame)
    assert FrameDecoder().feed(on_the_line(frame)) == [frame]


def test_the_longest_frame_fits_and_no_longer_one_is_made() -> None:
    longest = Frame(1, 1, b"\x01" * (MAX_FRAME_BYTES - 6))
    assert FrameDecoder().feed(on_the_line(longest)) == [longest]
    with pytest.raises(ValueError, match="does not fit"):
        encode_frame(1, 1, longest.body + b"\x01")


def test_split_at_every_byte() -> None:
    line = on_the_line(FRAME) + on_the_line(OTHER)
    for cut in range(len(line) + 1):
        decoder = FrameDecoder()
        assert decoder.feed(line[:cut]) + decoder.feed(line[cut:]) == [FRAME, OTHER], cut


def test_byte_by_byte() -> None:
    decoder = FrameDecoder()
    line = on_the_line(FRAME) + on_the_line(OTHER)
    assert list(itertools.chain(*(decoder.feed(bytes([byte])) for byte in line))) == [FRAME, OTHER]


def test_joined_by_one_zero_or_many() -> None:
    one = on_the_line(FRAME).strip(b"\x00")
    other = on_the_line(OTHER).strip(b"\x00")
    assert FrameDecoder().feed(one + b"\x00" + other + b"\x00") == [FRAME, OTHER]
    assert FrameDecoder().feed(b"\x00" * 9 + one + b"\x00" * 9 + other + b"\x00") == [FRAME, OTHER]


@given(st.lists(bodies, max_size=6), st.lists(st.integers(1, 90), max_size=60))
def test_any_pieces_of_any_frames(contents: list[bytes], cuts: list[int]) -> None:
    frames = [Frame(1, index, body) for index, body in enumerate(contents)]
    line = b"".join(on_the_line(frame) for frame in frames)
    decoder, result, at = FrameDecoder(), [], 0
    for cut in cuts:
        result += decoder.feed(line[at : at + cut])
        at += cut
    result += decoder.feed(line[at:])
    assert result == frames


# -- damaged frames --------------------------------------------------------------------------------------------------


def test_every_bit_flipped_gives_no_frame_but_the_next() -> None:
    line, after = on_the_line(FRAME), on_the_line(OTHER)
    for at, bit in itertools.product(range(len(line)), range(8)):
        damaged = bytearray(line)
        damaged[at] ^= 1 << bit
        frames = FrameDecoder().feed(bytes(damaged) + after)
        good = [frame for frame in frames if isinstance(frame, Frame)]
        # a bit in a delimiter leaves the frame itself whole
        whole = [FRAME, OTHER] if at == 0 else [OTHER]
        assert good in (whole, whole[-1:]), (at, bit)
        assert good[-1] == OTHER, (at, bit)


def test_every_byte_lost_gives_no_wrong_frame() -> None:
    line, after = on_the_line(FRAME), on_the_line(OTHER)
    for at in range(1, len(line) - 1):
        frames = FrameDecoder().feed(line[:at] + line[at + 1 :] + after)
        assert [frame for frame in frames if isinstance(frame, Frame)] == [OTHER], at


def test_a_frame_that_was_cut_short_costs_nothing_else() -> None:
    line, after = on_the_line(FRAME), on_the_line(OTHER)
    for cut in range(1, len(line) - 1):
        frames = FrameDecoder().feed(line[:cut] + after)
        assert frames[-1] == OTHER, cut
        assert all(isinstance(frame, BadFrame) for frame in frames[:-1]), cut


def test_what_never_ends_is_dropped_once_and_held_nowhere() -> None:
    decoder = FrameDecoder()
    bad = [frame for _ in range(1000) for frame in decoder.feed(b"\x11" * 1000)]
    assert bad == [BadFrame("oversize", b"\x11" * 16)]
    assert len(decoder._pending) == 0
    assert decoder.feed(b"\x11\x00" + on_the_line(OTHER)) == [OTHER]


def test_an_oversize_block_in_one_piece() -> None:
    [bad, good] = FrameDecoder().feed(b"\x00" + b"\x11" * 100_000 + on_the_line(OTHER))
    assert (bad, good) == (BadFrame("oversize", b"\x11" * 16), OTHER)


@settings(max_examples=300)
@given(st.lists(st.one_of(st.binary(max_size=300), st.sampled_from([FRAME, OTHER])), max_size=8), st.integers(1, 50))
def test_frames_amid_noise(stream: list[bytes | Frame], step: int) -> None:
    """A frame comes through whatever stands before it; noise never becomes a frame."""
    frames = [part for part in stream if isinstance(part, Frame)]
    line = b"".join(on_the_line(part) if isinstance(part, Frame) else part for part in stream)
    decoder = FrameDecoder()
    result = [frame for at in range(0, len(line), step) for frame in decoder.feed(line[at : at + step])]
    assert [frame for frame in result if isinstance(frame, Frame)] == frames
    assert all(len(frame.excerpt) <= 16 for frame in result if isinstance(frame, BadFrame))


def noises() -> list[bytes]:
    """Random bytes of three kinds; `test_torn_vectors` has real captures."""
    rng = random.Random(4)
    sparse = bytes(rng.choice(b"\x00\x01\x02\xff") for _ in range(20_000))
    text = bytes(rng.choice(b"$GPGGA,0123456789.NE*\r\n\x00") for _ in range(20_000))
    return [rng.randbytes(50_000), sparse, text]


@pytest.mark.parametrize("step", [1, 7, 4096])
def test_line_noise_is_never_a_frame(step: int) -> None:
    for noise in noises():
        decoder = FrameDecoder()
        frames = [frame for at in range(0, len(noise), step) for frame in decoder.feed(noise[at : at + step])]
        assert [frame for frame in frames if isinstance(frame, Frame)] == []
        assert decoder.feed(on_the_line(OTHER))[-1] == OTHER
