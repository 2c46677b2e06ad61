"""Telnet's bytes by hand: what is line, what is talk about it, cut anywhere."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.rfc2217 import MAX_COMMAND_BYTES, ComPort

IAC, SB, SE, WILL, WONT, DO, DONT = (bytes((b,)) for b in (255, 250, 240, 251, 252, 253, 254))
BINARY, ECHO, COM_PORT = b"\x00", b"\x01", b"\x2c"
BAUD_57600 = b"\x00\x00\xe1\x00"
SAID = (
    b"boot"
    + (IAC + DO + BINARY)
    + (IAC + WILL + ECHO)
    + b"\x00\x01"
    + (IAC + IAC)
    + (IAC + DO + COM_PORT)
    + b"mid"
    + (IAC + SB + COM_PORT + b"\x6b\xf0" + IAC + SE)  # its modem's lines
    + (IAC + b"\xf1")  # NOP
    + (IAC + SB + COM_PORT + b"\x65" + BAUD_57600 + IAC + SE)
    + b"end"
)
LINE = b"boot\x00\x01\xffmidend"
ASKED = (
    (IAC + DONT + ECHO)
    + (IAC + SB + COM_PORT + b"\x01" + BAUD_57600 + IAC + SE)
    + (IAC + SB + COM_PORT + b"\x02\x08" + IAC + SE)
    + (IAC + SB + COM_PORT + b"\x03\x01" + IAC + SE)
    + (IAC + SB + COM_PORT + b"\x04\x01" + IAC + SE)
    + (IAC + SB + COM_PORT + b"\x05\x01" + IAC + SE)
    + (IAC + SB + COM_PORT + b"\x05\x08" + IAC + SE)
    + (IAC + SB + COM_PORT + b"\x05\x0b" + IAC + SE)
)


def feed(com_port: ComPort, *pieces: bytes) -> tuple[bytes, bytes]:
    lines, replies = zip(*(com_port.feed(piece) for piece in pieces), strict=True)
    return b"".join(lines), b"".join(replies)


def test_offers_what_it_needs() -> None:
    expected = b"".join(IAC + WILL + option for option in (b"\x00", b"\x03", b"\x2c"))
    assert ComPort(9600).greeting() == expected + b"".join(IAC + DO + option for option in (b"\x00", b"\x03"))


@pytest.mark.parametrize("cut", range(len(SAID) + 1))
def test_a_servers_talk_cut_anywhere(cut: int) -> None:
    com_port = ComPort(57_600)
    assert feed(com_port, SAID[:cut], SAID[cut:]) == (LINE, ASKED)
    assert com_port.baud == 57_600
    assert com_port.settled
    assert not com_port.refused


def test_a_server_byte_by_byte() -> None:
    assert feed(ComPort(57_600), *(bytes((byte,)) for byte in SAID)) == (LINE, ASKED)


def test_a_rate_with_an_ff_in_it() -> None:
    baud = 0xFFFF
    com_port = ComPort(baud)
    asked = com_port.feed(IAC + DO + COM_PORT)[1]
    assert IAC + SB + COM_PORT + b"\x01\x00\x00\xff\xff\xff\xff" + IAC + SE in asked
    com_port.feed(IAC + SB + COM_PORT + b"\x65\x00\x00\xff\xff\xff\xff" + IAC + SE)
    assert com_port.baud == baud


def test_a_server_that_knows_no_com_ports() -> None:
    com_port = ComPort(9600)
    settled = []
    for verb, option in ((DO, BINARY), (DONT, COM_PORT)):
        com_port.feed(IAC + verb + option)
        settled.append(com_port.settled)
    assert settled == [False, True]
    assert com_port.refused


def test_nothing_is_answered_twice() -> None:
    com_port = ComPort(9600)
    assert com_port.feed(IAC + DO + ECHO)[1] == IAC + WONT + ECHO
    assert com_port.feed((IAC + DO + ECHO + IAC + DONT + ECHO + IAC + WONT + ECHO) * 3)[1] == b""
    assert com_port.feed(IAC + DO + COM_PORT)[1] != b""
    assert com_port.feed(IAC + DO + COM_PORT)[1] == b""


def test_a_command_without_an_end_is_given_up() -> None:
    com_port = ComPort(9600)
    for _ in range(100):
        com_port.feed(IAC + SB + bytes(100))
        assert len(com_port._unfinished) <= MAX_COMMAND_BYTES
    com_port.feed(IAC + SE)
    assert com_port.feed(b"on")[0] == b"on"


@given(st.binary(max_size=300), st.lists(st.integers(0, 600)))
def test_what_one_side_escapes_the_other_reads(sent: bytes, cuts: list[int]) -> None:
    escaped = ComPort(9600).encode(sent)
    edges = sorted({0, len(escaped), *(cut for cut in cuts if cut < len(escaped))})
    assert feed(ComPort(9600), b"", *(escaped[a:b] for a, b in pairwise(edges))) == (sent, b"")


@given(st.lists(st.binary(max_size=200) | st.sampled_from([IAC, IAC + SB, IAC + SE, IAC + DO + COM_PORT])))
def test_nonsense_is_borne(pieces: list[bytes]) -> None:
    com_port = ComPort(9600)
    for piece in pieces:
        line, _ = com_port.feed(piece)
        assert len(line) <= len(piece) + MAX_COMMAND_BYTES
        assert len(com_port._unfinished) <= MAX_COMMAND_BYTES
