"""Serial bytes <-> frames.

On the line a frame is `00 COBS(...) 00`; the leading zero ends whatever noise came before it. Inside the COBS block:

    offset  size
    0       1     protocol version
    1       1     message type
    2       n     body (CBOR, see `messages`)
    2+n     4     CRC-32 (IEEE 802.3, as zlib) of all bytes before it, big-endian

at most 1,024 bytes in all. A frame that fails is a `BadFrame` value, never an exception; the stream goes on with the
next zero byte. COBS: S. Cheshire and M. Baker, "Consistent Overhead Byte Stuffing", IEEE/ACM ToN 7(2), 1999.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Literal

MAX_FRAME_BYTES = 1024
"""Bytes; a decoded frame with its CRC: what the smallest dispenser MCU can buffer twice."""
_MAX_BLOCK_BYTES = MAX_FRAME_BYTES + MAX_FRAME_BYTES // 254 + 1
_MIN_FRAME_BYTES = 6
_EXCERPT_BYTES = 16

BadFrameReason = Literal["cobs", "short", "crc", "oversize"]


@dataclass(frozen=True, slots=True)
class Frame:
    """One good frame. `body` is not decoded yet."""

    version: int
    type: int
    body: bytes


@dataclass(frozen=True, slots=True)
class BadFrame:
    """A stretch of bytes between two zeros that is no frame, with its first bytes for the trace."""

    reason: BadFrameReason
    excerpt: bytes


def cobs_encode(data: bytes) -> bytes:
    """`data` without zero bytes, by consistent overhead byte stuffing; no delimiters."""
    out = bytearray()
    runs = data.split(b"\x00")
    for i, run in enumerate(runs):
        start = 0
        while len(run) - start >= 254:
            out.append(255)
            out += run[start : start + 254]
            start += 254
        # a full block at the very end stands for itself; anywhere else a block with its zero follows
        if start == 0 or start < len(run) or i < len(runs) - 1:
            out.append(len(run) - start + 1)
            out += run[start:]
    return bytes(out)


def cobs_decode(block: bytes) -> bytes | None:
    """The bytes that `cobs_encode` made `block` from, or None if it is none of its blocks."""
    out = bytearray()
    i, end = 0, len(block)
    while i < end:
        code = block[i]
        after = i + code
        if code == 0 or after > end:
            return None
        out += block[i + 1 : after]
        if code != 255 and after < end:
            out.append(0)
        i = after
    return bytes(out)


def encode_frame(version: int, type_: int, body: bytes) -> bytes:
    """The bytes on the line for one frame, delimiters included.

    Raises:
        ValueError: the frame would exceed 1,024 bytes.
    """
    content = bytes((version, type_)) + body
    if len(content) + 4 > MAX_FRAME_BYTES:
        raise ValueError(f"a body of {len(body)} bytes does not fit into a frame of {MAX_FRAME_BYTES}")
    content += zlib.crc32(content).to_bytes(4, "big")
    return b"\x00" + cobs_encode(content) + b"\x00"


class FrameDecoder:
    """Bytes in, frames out. Holds at most one unfinished block; what grows beyond it is dropped as `oversize`."""

    __slots__ = ("_oversize", "_pending")

    def __init__(self) -> None:
        self._pending = bytearray()
        self._oversize = False

    def feed(self, data: bytes) -> list[Frame | BadFrame]:
        """All frames that `data` completes, in order."""
        result: list[Frame | BadFrame] = []
        *complete, rest = data.split(b"\x00")
        for piece in complete:
            self._push(piece, result)
            if self._pending:
                result.append(_decode_block(bytes(self._pending)))
                self._pending.clear()
            self._oversize = False
        self._push(rest, result)
        return result

    def _push(self, piece: bytes, result: list[Frame | BadFrame]) -> None:
        if self._oversize:
            return
        if len(self._pending) + len(piece) > _MAX_BLOCK_BYTES:
            begun = bytes(self._pending[:_EXCERPT_BYTES]) + piece[:_EXCERPT_BYTES]
            result.append(BadFrame("oversize", begun[:_EXCERPT_BYTES]))
            self._pending.clear()
            self._oversize = True
        else:
            self._pending += piece


def _decode_block(block: bytes) -> Frame | BadFrame:
    content = cobs_decode(block)
    excerpt = block[:_EXCERPT_BYTES]
    if content is None:
        return BadFrame("cobs", excerpt)
    if len(content) < _MIN_FRAME_BYTES:
        return BadFrame("short", excerpt)
    if len(content) > MAX_FRAME_BYTES:
        return BadFrame("oversize", excerpt)
    if zlib.crc32(content[:-4]) != int.from_bytes(content[-4:], "big"):
        return BadFrame("crc", excerpt)
    return Frame(content[0], content[1], content[2:-4])
