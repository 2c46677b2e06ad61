"""Addresses where no Kafka of ours answers: servers that are silent, that lie, or that are reached by a wrong name."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import re
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable, Iterator, Sequence

import pytest

from cloud_sync.refusal import refusal
from cloud_sync.settings import Security, addresses
from cloud_sync.uplink import Uplink
from heat.errors import SinkRefused, SinkUnavailable
from tests.certificates import Authority
from tests.cloud_sync.sqlite_outbox import SqliteOutbox
from tests.cloud_sync.uplinks import PATIENCE_S, settings
from tests.secure_kafka import PASSWORD, USER, SecureKafka

pytestmark = pytest.mark.usefixtures("no_task_stays")

VERSIONS, HANDSHAKE, AUTHENTICATE = 18, 17, 36
"""Kafka's numbers of the requests that a liar answers."""
Answer = Callable[[str], str]
"""SCRAM message -> SCRAM message."""


async def failure(outbox: SqliteOutbox, bootstrap: str, security: Security, **changes: object) -> SinkUnavailable:
    """What one run of an uplink ends by."""
    uplink = Uplink(outbox, settings(bootstrap, "gw-1", security=lambda: security, **changes))
    with pytest.raises(SinkUnavailable) as caught:
        await asyncio.wait_for(uplink.run(), PATIENCE_S)
    return caught.value


@pytest.fixture
def silent() -> Iterator[list[str]]:
    """Addresses at which a connection is taken, and nothing is ever said."""
    with contextlib.ExitStack() as stack:
        ports = [stack.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1] for _ in range(4)]
        yield [f"127.0.0.1:{port}" for port in ports]


async def test_a_refusal_is_told_though_other_brokers_are_silent(
    secure_kafka: SecureKafka, outbox: SqliteOutbox, silent: list[str]
) -> None:
    security = Security(
        ssl.create_default_context(cafile=str(secure_kafka.authority.certificate)), username=USER, password="outdated"
    )
    # what is silent uses up the time for the connection
    bootstrap, broker = ",".join([*silent, secure_kafka.at("LOGIN")]), secure_kafka.at("LOGIN")
    error = await failure(outbox, bootstrap, security, request_timeout_ms=3_000, connect_timeout_s=2.0)
    assert str(error).startswith(f"{broker} refuses user {USER}: wrong name or password")
    assert isinstance(error, SinkRefused)
    nobody = await failure(outbox, ",".join(silent), security, request_timeout_ms=500, connect_timeout_s=0.5)
    assert not isinstance(nobody, SinkRefused)


async def test_a_broker_whose_advertised_name_is_not_its_certificates(
    secure_kafka: SecureKafka, outbox: SqliteOutbox
) -> None:
    tls = ssl.create_default_context(cafile=str(secure_kafka.authority.certificate))
    error = await failure(outbox, secure_kafka.at("MOVED"), Security(tls, username=USER, password=PASSWORD))
    port = secure_kafka.at("MOVED").rpartition(":")[2]
    assert str(error).startswith(f"the certificate of localhost:{port} is for another name. ")
    assert isinstance(error, SinkRefused)


async def test_a_certificate_that_is_not_valid_yet(
    outbox: SqliteOutbox, tmp_path_factory: pytest.TempPathFactory
) -> None:
    authority = Authority(tmp_path_factory.mktemp("early"), "authority")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(authority.sign("early", early=True).both)
    async with answering(lambda _: "", tls=tls) as broker:
        error = await failure(outbox, broker, Security(ssl.create_default_context(cafile=str(authority.certificate))))
    assert str(error) == f"the certificate of {broker} is not valid yet. Set this machine's clock"
    assert isinstance(error, SinkRefused)


def with_a_false_proof(message: str) -> str:
    """A SCRAM server that does not know the password."""
    if (nonce := re.search("^n,,.*,r=(.*)$", message)) is None:
        return f"v={base64.b64encode(bytes(64)).decode()}"
    return f"r={nonce[1]}more,s={base64.b64encode(b'salt').decode()},i=4096"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (with_a_false_proof, f"does not know the password of {USER}. Another server answers"),
        (lambda _: "r=mine,s=c2FsdA==,i=4096", f"does not know the password of {USER}. Another server answers"),
        (lambda _: "e=other-error", f"does not go on with the login of {USER}. Mend kafka.username"),
    ],
)
async def test_a_server_that_cannot_prove_itself(outbox: SqliteOutbox, answer: Answer, expected: str) -> None:
    async with answering(answer) as broker:
        error = await failure(outbox, broker, Security(username=USER, password=PASSWORD))
    assert str(error).startswith(f"{broker} {expected}")
    assert isinstance(error, SinkRefused)


async def test_an_answer_that_is_none_is_a_kafka_that_is_not_there(outbox: SqliteOutbox) -> None:
    async with answering(lambda _: "", versions=()) as broker:
        error = await failure(outbox, broker, Security())
    assert str(error).startswith(f"{broker} can't be used: TypeError(")
    assert str(error).endswith("Look whether it is a Kafka that answers there")
    assert not isinstance(error, SinkRefused)


@pytest.mark.parametrize(
    ("bootstrap", "expected"),
    [
        ("a:1", [("a", 1)]),
        ("kafka_1.example:9092,[2001:db8::1]:65535", [("kafka_1.example", 9092), ("2001:db8::1", 65535)]),
        ("a", "'a' does not end in a port from 1 to 65535: write HOST:PORT"),
        ("a:0", "'a:0' does not end in a port"),
        ("127.0.0.1:99999", "'127.0.0.1:99999' does not end in a port"),
        ("a:1,", "'' does not end in a port"),
        ("[::1]", r"'\[::1\]' does not end in a port"),
        ("::1:9092", "'::1' in '::1:9092' is no host: .* an IPv6 address in brackets"),
        ("[x]:1", r"'\[x\]' in"),
        ("kafka..example:9093", r"'kafka\.\.example' in .* is no host"),
        ("SSL://a:9093", "'SSL://a' in .* is no host"),
        ("a:1, b:1", "' b' in .* no space"),
    ],
)
def test_addresses(bootstrap: str, expected: list[tuple[str, int]] | str) -> None:
    if isinstance(expected, list):
        assert addresses(bootstrap) == expected
        return
    with pytest.raises(ValueError, match=expected):
        addresses(bootstrap)


def test_only_a_login_can_be_unknown_to_a_server() -> None:
    login = Security(username=USER, password=PASSWORD)
    assert refusal(ValueError("wrong signature"), "k:1", login) is not None
    assert refusal(ValueError("wrong signature"), "k:1", Security()) is None
    assert refusal(KeyError("r"), "k:1", Security()) is None
    assert refusal(UnicodeError("label empty or too long"), "k:1", login) is None, "a name of no host"


@contextlib.asynccontextmanager
async def answering(
    answer: Answer, *, tls: ssl.SSLContext | None = None, versions: Sequence[int] = (VERSIONS, AUTHENTICATE)
) -> AsyncIterator[str]:
    """A server that speaks of Kafka's protocol what it takes to log in; its HOST:PORT."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            while True:
                (size,) = struct.unpack(">i", await reader.readexactly(4))
                request = await reader.readexactly(size)
                key, _version, correlation, client = struct.unpack(">hhih", request[:10])
                said = reply(key, request[10 + client :])
                writer.write(struct.pack(">ii", 4 + len(said), correlation) + said)
        writer.close()

    def reply(key: int, body: bytes) -> bytes:
        if key == VERSIONS:
            if not versions:
                return struct.pack(">hi", 0, -1)  # a list that is none
            ranges = b"".join(struct.pack(">hhh", known, 0, 0) for known in versions)
            return struct.pack(">hi", 0, len(versions) + 1) + ranges + struct.pack(">hhh", HANDSHAKE, 0, 1)
        if key == HANDSHAKE:
            return struct.pack(">hih", 0, 1, len(b"SCRAM-SHA-512")) + b"SCRAM-SHA-512"
        said = answer(body[4:].decode()).encode()
        return struct.pack(">hhi", 0, -1, len(said)) + said

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    try:
        yield "{}:{}".format(*server.sockets[0].getsockname())
    finally:
        server.close()
        await server.wait_closed()
