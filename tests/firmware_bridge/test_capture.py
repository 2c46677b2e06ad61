"""Captures: what is kept of what travels, what never is, and that what was bad stays bad in the same way."""

from __future__ import annotations

import random
from pathlib import Path
from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.bodies import PouredBody
from firmware_bridge.capture import (
    LONGEST_BLOCK,
    Entry,
    Piece,
    Scrubber,
    bad_block,
    bad_body,
    parse_capture,
    read_capture,
)
from firmware_bridge.codec import BadMessage, body_map, decode_message, decode_packet, encode_message, encode_packet
from firmware_bridge.framing import BadFrame, BadFrameReason, FrameDecoder, cobs_encode, encode_frame
from firmware_bridge.messages import (
    Ack,
    Ask,
    Command,
    EventMessage,
    Hello,
    Message,
    NozzleInfo,
    Ping,
    Provision,
    Ready,
    Welcome,
)
from heat.errors import DataError

TOKEN = "loyalty-4711-jane"
SECRET = bytes(range(200, 232))
HELLO = Hello(
    dispenser="bar-1", firmware="2.0.0", versions=(1, 2), nozzles=(NozzleInfo(1, "table-red", 700),),
    generation=7, lowest=1, next=3, nonce=bytes(16), boot=1, uptime_ms=10,
)  # fmt: skip
POUR = EventMessage(
    generation=7, sequence=2, boot=1, uptime_ms=5, sent_uptime_ms=9, session=1, kind=1,
    body=body_map(PouredBody(nozzle=1, sauce="table-red", volume_ul=3_000, duration_ms=700)),
)  # fmt: skip
ASK = Ask(session=4, nonce=b"12345678", token=TOKEN, dial=40, mood="brave")
WITHHELD: list[Message] = [
    Ready(mac=SECRET),
    Welcome(version=2, time_ms=0, window=64, generation=7, durable=0, nonce=bytes(16), mac=SECRET),
    Provision(nonce=bytes(16), secret=SECRET),
    Command(id=bytes(8), verb="set-key", boot=1, expires_uptime_ms=9, arguments={1: SECRET}),
]


def pieces(data: bytes, scrubber: Scrubber | None = None) -> list[Piece]:
    scrubber = scrubber or Scrubber()
    list(scrubber.stream("tty", "up", b"\x00"))
    return list(scrubber.stream("tty", "up", data))


def outcome(data: bytes | None) -> list[str]:
    """What a gateway would make of these bytes of a line."""
    told = []
    for frame in FrameDecoder().feed(data or b""):
        message = frame if isinstance(frame, BadFrame) else decode_message(frame)
        told.append(message.reason if isinstance(message, BadFrame | BadMessage) else type(message).__name__)
    return told


# -- good messages -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("message", [HELLO, POUR, Ack(generation=7, sequence=2), Ping(nonce=bytes(8))])
def test_what_holds_no_secret_is_kept_to_the_byte(message: Message) -> None:
    [piece] = pieces(encode_message(message, 2))
    assert piece.data == encode_message(message, 2)
    assert Scrubber().packet(encode_packet(message, 2)).data == encode_packet(message, 2)


@pytest.mark.parametrize("message", WITHHELD, ids=lambda message: type(message).__name__)
def test_proofs_and_keys_are_told_of_and_never_kept(message: Message) -> None:
    for piece in (*pieces(encode_message(message, 2)), Scrubber().packet(encode_packet(message, 2))):
        assert piece == Piece(type(message).__name__.lower(), None)


def test_a_token_has_a_stand_in_of_its_own() -> None:
    scrubber = Scrubber()
    kept = []
    for token in (TOKEN, "loyalty-0815-john", TOKEN, None):
        ask = msgspec.structs.replace(ASK, token=token)
        [piece] = pieces(encode_message(ask), scrubber)
        assert piece.data is not None
        [frame] = FrameDecoder().feed(piece.data)
        assert not isinstance(frame, BadFrame)
        message = decode_message(frame)
        assert isinstance(message, Ask)
        kept.append(message.token)
        assert msgspec.structs.replace(message, token=token) == ask
        assert scrubber.packet(encode_packet(ask)).data == encode_packet(message)
    assert kept == ["token1".ljust(17, "x"), "token2".ljust(17, "x"), "token1".ljust(17, "x"), None]


def test_nobody_reads_what_a_customer_must_not_get() -> None:
    ask = msgspec.structs.replace(ASK, token=None, avoid=("peanuts",), adult=True)
    [piece] = pieces(encode_message(ask, 2))
    assert piece.data == encode_message(msgspec.structs.replace(ASK, token=None), 2)


# -- bad ones ----------------------------------------------------------------------------------------------------------


def test_own_words_are_kept_without_contacts() -> None:
    for text, kept in (("hot, me@example.com", "hot, …"), ("12k SHU", "12k SHU")):
        event = EventMessage(
            generation=1, sequence=1, boot=1, uptime_ms=1, sent_uptime_ms=1, session=1, kind=3, body={4: text}
        )
        [piece] = pieces(encode_message(event, 2))
        packet = Scrubber().packet(encode_packet(event, 2)).data
        assert piece.data is not None
        assert packet is not None
        [frame] = FrameDecoder().feed(piece.data)
        assert not isinstance(frame, BadFrame)
        for message in (decode_message(frame), decode_packet(packet)):
            assert isinstance(message, EventMessage)
            assert message.body == {4: kept}


def in_common(kept: bytes, secret: bytes, run: int = 3) -> bool:
    """Whether so many bytes of a secret stand in a row in what was kept."""
    return any(secret[at : at + run] in kept for at in range(len(secret) - run + 1))


@pytest.mark.parametrize("message", [*WITHHELD, ASK], ids=lambda message: type(message).__name__)
@pytest.mark.parametrize("version", [1, 2])
def test_whichever_bit_was_turned_nothing_of_a_secret_is_kept(message: Message, version: int) -> None:
    """A line that echoes gives back what went down, damaged: a PROVISION is no PROVISION then, and holds its key."""
    for whole, kept_of in (
        (encode_message(message, version), pieces),
        (encode_packet(message, version), lambda data: [Scrubber().packet(data)]),
    ):
        for bit in range(8 * len(whole)):
            damaged = bytearray(whole)
            damaged[bit // 8] ^= 1 << bit % 8
            kept = b"".join(piece.data or b"" for piece in kept_of(bytes(damaged)))
            assert not in_common(kept, SECRET), bit
            # one bit of a good packet, which no CRC guards, can make it another good one with another token
            assert not in_common(kept, TOKEN.encode(), 6), bit


def test_a_damaged_ask_stays_as_bad_and_as_long() -> None:
    for seed in range(200):
        rng = random.Random(seed)
        frame = bytearray(encode_message(ASK, rng.choice((1, 2))))
        for _ in range(rng.randint(1, 3)):
            frame[rng.randrange(1, len(frame) - 1)] ^= 1 << rng.randrange(8)
        kept = b"".join(piece.data or b"" for piece in pieces(bytes(frame)))
        assert outcome(kept) == outcome(bytes(frame)), seed
        assert len(kept.replace(b"\x00", b"")) == len(frame.replace(b"\x00", b"")), seed


def test_a_stand_in_is_as_bad_and_as_long_at_every_length() -> None:
    sizes = {"cobs": (1, 1_029), "short": (1, 5), "crc": (7, 1_029), "oversize": (1_026, LONGEST_BLOCK)}
    for reason in get_args(BadFrameReason):
        for size in range(sizes[reason][0], sizes[reason][1] + 1):
            block = bad_block(reason, size)
            assert len(block) == size
            assert outcome(b"\x00" + block + b"\x00") == [reason], size
    starts = {"unknown_version": (9, 4), "unknown_type": (1, 99), "invalid_cbor": (2, 3), "invalid_body": (1, 3)}
    for reason, (version, type_) in starts.items():
        for size in (*range(1, 300), 1_018):
            body = bad_body(reason, size)  # type: ignore[arg-type]  # its keys are reasons
            assert len(body) == size
            assert outcome(encode_frame(version, type_, body)) == [reason], size


@given(st.lists(st.binary(min_size=1, max_size=60).map(lambda noise: noise.replace(b"\x00", b"\x01")), min_size=1))
def test_noise_stays_as_bad_as_it_was(blocks: list[bytes]) -> None:
    line = b"\x00".join([*blocks, b""])
    kept = b"".join(piece.data or b"" for piece in pieces(line))
    assert outcome(kept) == outcome(b"\x00" + line)
    assert [len(block) for block in kept.split(b"\x00") if block] == [len(block) for block in blocks]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"\xff" + TOKEN.encode() + b"\x00", "cobs"),
        (cobs_encode(b"\x01\x04" + TOKEN.encode() + b"\x00\x01") + b"\x00", "crc"),
        (cobs_encode(b"abcde") + b"\x00", "short"),
        (TOKEN.encode() * 200 + b"\x00", "oversize"),
        (encode_frame(1, 4, TOKEN.encode()), "invalid_cbor"),
        (encode_frame(1, 4, encode_packet(ASK)[2:].replace(b"\x04\x18\x28", b"\x04\x18\xc8")), "invalid_body"),
        (encode_frame(1, 99, b"\xa1\x01\x71" + TOKEN.encode()), "unknown_type"),
        (encode_frame(9, 4, b"\xa1\x01\x71" + TOKEN.encode()), "unknown_version"),
    ],
)
def test_of_whatever_is_bad_a_stand_in_is_kept(line: bytes, reason: str) -> None:
    kept = pieces(line)
    assert [piece.is_ for piece in kept] == [f"bad:{reason}"]
    assert outcome(kept[0].data) == [reason]
    assert kept[0].data is not None
    assert not in_common(kept[0].data, TOKEN.encode())
    assert len(kept[0].data.strip(b"\x00")) == min(len(line.strip(b"\x00")), LONGEST_BLOCK)


def test_of_a_bad_packet_its_version_and_type_are_kept() -> None:
    bad = b"\x01\x04" + b"\xa1\x03\x71" + TOKEN.encode()
    piece = Scrubber().packet(bad)
    assert piece == Piece("bad:invalid_body", b"\x01\x04\x53" + bytes(19))
    assert isinstance(decode_packet(b"\x01\x04\x53" + bytes(19)), BadMessage)


def test_an_oversize_packet_stays_one() -> None:
    piece = Scrubber().packet((b"\x01\x04\xa1\x03\x79\x10\x00" + TOKEN.encode() * 241)[:1_021])
    assert piece.is_ == "bad:oversize"
    assert piece.data is not None
    assert (len(piece.data), b"jane" in piece.data) == (1_021, False)


def test_what_was_under_way_when_it_began_is_left_out_and_pieces_are_whole_however_they_come() -> None:
    frames = encode_message(POUR) + encode_message(HELLO)
    whole = [encode_message(POUR), encode_message(HELLO)]
    for cut in range(len(frames)):
        scrubber = Scrubber()
        kept = [
            *scrubber.stream("tty", "up", b"\x17rest\x00" + frames[:cut]),
            *scrubber.stream("tty", "up", frames[cut:]),
        ]
        assert [piece.data for piece in kept] == whole


# -- files -------------------------------------------------------------------------------------------------------------

HEAD = b'{"capture":1,"gateway":"gw-1","at":"2026-05-01T09:30:00Z"}\n'
LINE = b'{"ms":1.5,"link":"tty","way":"up","is":"ask","hex":"0001"}\n'


def test_a_capture_is_read_as_far_as_it_is_whole() -> None:
    entry = Entry(ms=1.5, link="tty", way="up", is_="ask", hex="0001")
    assert parse_capture([HEAD, LINE, b'{"ms":60000.0,"end":"seconds","missed":0}\n']) == [entry]
    assert parse_capture([HEAD, LINE, LINE[:-20]]) == [entry]
    assert entry.data == b"\x00\x01"
    assert msgspec.json.encode(entry) + b"\n" == LINE


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is no capture"),
        (b"hello\n", "line 1 is no line of a capture"),
        (b'{"capture":2}\n', "is no capture of format 1"),
        (
            HEAD + b'{"ms":-1,"link":"tty","way":"up","is":"ask"}\n',
            "line 2 is no line of a capture: ",
        ),
    ],
)
def test_what_is_no_capture_is_told(tmp_path: Path, content: bytes, told: str) -> None:
    (tmp_path / "a.jsonl").write_bytes(content)
    with pytest.raises(DataError) as raised:
        read_capture(tmp_path / "a.jsonl")
    assert str(tmp_path / "a.jsonl") in str(raised.value)
    assert told in str(raised.value)
    with pytest.raises(DataError, match="No such file"):
        read_capture(tmp_path / "b.jsonl")
