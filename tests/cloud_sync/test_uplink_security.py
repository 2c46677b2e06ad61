"""The uplink and a Kafka that asks who is there: each way in, each refusal on either side, and what mends it."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from cloud.kafka_admin import Admin
from cloud.librdkafka import Cluster
from cloud.rights import Right, rights_of
from cloud_sync.pulse import Pulse
from cloud_sync.settings import Security
from cloud_sync.topics import DEAD_LETTERS, EVENTS, GATEWAYS, OUTBOX, SAMPLES, outbox_group
from cloud_sync.uplink import Uplink
from heat.errors import ConfigError, SinkRefused
from heat.events import read_data
from tests.certificates import Authority, Pair
from tests.cloud_sync.examples import EVERY_TYPE, pours, refused, stored
from tests.cloud_sync.kafka_reading import ids, read_events, read_samples
from tests.cloud_sync.sqlite_outbox import SqliteOutbox
from tests.cloud_sync.test_pulse import Hand
from tests.cloud_sync.uplinks import PATIENCE_S, confirmed, connected, running, settings
from tests.secure_kafka import CLIENT, LIMITED, PASSWORD, USER, SecureKafka, acls
from tests.waiting import wait_until, wait_until_async

pytestmark = pytest.mark.usefixtures("no_task_stays")


@pytest.fixture(autouse=True)
def _rights(secure_kafka: SecureKafka, gateway: str) -> None:
    secure_kafka.let(gateway)


def trusting(authority: Authority, own: Pair | None = None) -> ssl.SSLContext:
    """TLS that trusts an authority, with a certificate of our own if there is one."""
    tls = ssl.create_default_context(cafile=str(authority.certificate))
    if own is not None:
        tls.load_cert_chain(own.certificate, own.key)
    return tls


def by_scram_512(kafka: SecureKafka) -> Security:
    return Security(trusting(kafka.authority), username=USER, password=PASSWORD)


WAYS: dict[str, tuple[str, Callable[[SecureKafka], Security]]] = {
    "scram-sha-512": ("LOGIN", by_scram_512),
    "scram-sha-256": ("LOGIN", lambda k: Security(trusting(k.authority), "SCRAM-SHA-256", USER, PASSWORD)),
    "plain": ("LOGIN", lambda k: Security(trusting(k.authority), "PLAIN", USER, PASSWORD)),
    "mutual tls": ("MUTUAL", lambda k: Security(trusting(k.authority, k.client))),
}


@pytest.mark.parametrize("way", WAYS)
async def test_events_arrive_as_they_do_in_clear(
    secure_kafka: SecureKafka, outbox: SqliteOutbox, gateway: str, way: str
) -> None:
    listener, security = WAYS[way]
    events = [stored(data, n, origin=gateway) for n, data in enumerate(EVERY_TYPE, 1)]
    many = pours(600, first=len(events) + 2, origin=gateway)
    outbox.append([*events, refused(len(events) + 1, b"junk", origin=gateway), *many])
    known = security(secure_kafka)
    uplink = Uplink(outbox, settings(secure_kafka.at(listener), gateway, security=lambda: known))
    async with running(uplink):
        await confirmed(outbox, len(events) + 1 + len(many))
    got = [event for part in (await read_events(secure_kafka.bootstrap, gateway)).values() for event in part]
    got += await read_samples(secure_kafka.bootstrap, gateway)
    assert ids(got) == sorted(str(row.id) for row in [*events, *many])
    assert {event.id.sequence: event.data for event in got if event.id.sequence <= len(events)} == {
        row.id.sequence: read_data(row.type, row.data) for row in events
    }
    status = uplink.status
    assert (status.failures, status.refusals, status.last_error) == (0, 0, None)
    assert (status.dead_letters, status.redelivered) == (1, 0)


def by_password(name: str, password: str, mechanism: str = "SCRAM-SHA-512") -> Callable[[SecureKafka], Security]:
    return lambda kafka: Security(trusting(kafka.authority), mechanism, name, password)  # type: ignore[arg-type]


REFUSALS: dict[str, tuple[str, Callable[[SecureKafka, Path], Security], str]] = {
    "a wrong password": (
        "LOGIN",
        lambda k, _: by_password(USER, "correct horse buttery")(k),
        rf"LOGIN refuses user {USER}: wrong name or password\. .*kafka\.password_file",
    ),
    "a wrong password in plain": (
        "LOGIN",
        lambda k, _: by_password(USER, "correct horse buttery", "PLAIN")(k),
        rf"LOGIN refuses user {USER}: wrong name or password",
    ),
    "an unknown user": ("LOGIN", lambda k, _: by_password("nobody", PASSWORD)(k), r"LOGIN refuses user nobody"),
    "a login where there is none": (
        "MUTUAL",
        lambda k, _: Security(trusting(k.authority, k.client), username=USER, password=PASSWORD),
        r"MUTUAL takes no login by SCRAM-SHA-512\. .*kafka\.sasl_mechanism",
    ),
    "no certificate": (
        "MUTUAL",
        lambda k, _: Security(trusting(k.authority)),
        r"MUTUAL does not take the gateway's certificate, or wants one .*kafka\.certificate",
    ),
    "a certificate of a stranger": (
        "MUTUAL",
        lambda k, path: Security(trusting(k.authority, Authority(path, "stranger").sign(CLIENT))),
        r"MUTUAL does not take the gateway's certificate",
    ),
    "an expired certificate": (
        "MUTUAL",
        lambda k, _: Security(trusting(k.authority, k.authority.sign("late", expired=True))),
        r"MUTUAL does not take the gateway's certificate",
    ),
    "a broker of another authority": (
        "LOGIN",
        lambda _, path: Security(trusting(Authority(path, "other")), username=USER, password=PASSWORD),
        r"the certificate of LOGIN is not trusted .*kafka\.ca",
    ),
    "a broker with an expired certificate": (
        "EXPIRED",
        lambda k, _: by_scram_512(k),
        r"the certificate of EXPIRED has expired\. .*clock",
    ),
    "a broker of another name": (
        "ELSEWHERE",
        lambda k, _: by_scram_512(k),
        r"the certificate of ELSEWHERE is for another name\. .*bootstrap",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
async def test_each_refusal_says_who_refuses_whom_and_what_to_do(
    secure_kafka: SecureKafka, outbox: SqliteOutbox, gateway: str, tmp_path: Path, case: str
) -> None:
    listener, security, expected = REFUSALS[case]
    outbox.append(pours(3, origin=gateway))
    broker = secure_kafka.at(listener)
    known = security(secure_kafka, tmp_path)
    uplink = Uplink(outbox, settings(broker, gateway, security=lambda: known))
    with pytest.raises(SinkRefused, match=expected.replace(listener, broker)) as caught:
        await uplink.run()
    assert uplink.status.state == "refused"
    assert (uplink.status.refusals, uplink.status.sent) == (1, 0)
    assert "correct horse" not in f"{caught.value}{caught.value!r}{known!r}{uplink.status}"
    assert ids(await read_events(secure_kafka.bootstrap, gateway)) == []


async def test_many_tries_are_one_line_and_the_mended_password_counts_at_once(
    secure_kafka: SecureKafka, outbox: SqliteOutbox, gateway: str, caplog: pytest.LogCaptureFixture
) -> None:
    outbox.append(pours(3, origin=gateway))
    known = [Security(trusting(secure_kafka.authority), username=USER, password="outdated")]

    def security() -> Security:
        if not known:
            raise ConfigError("/run/password: No such file", hint="kafka.password_file names this file")
        return known[0]

    uplink = Uplink(outbox, settings(secure_kafka.at("LOGIN"), gateway, security=security))
    with caplog.at_level(logging.INFO):
        async with running(uplink):
            await wait_until_async(lambda: uplink.status.refusals >= 20, PATIENCE_S, "twenty refusals")
            known.clear()  # the file is being replaced
            before = uplink.status.refusals
            await wait_until_async(lambda: uplink.status.refusals > before + 2, PATIENCE_S, "it has no password")
            assert "No such file" in str(uplink.status.last_error)
            known.append(by_scram_512(secure_kafka))
            await confirmed(outbox, 3)
            await connected(uplink)
    assert len(ids(await read_events(secure_kafka.bootstrap, gateway))) == 3
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 2, lines
    assert lines[0].startswith(f"Uplink: {secure_kafka.at('LOGIN')} refuses user {USER}")
    assert "outdated" not in caplog.text


async def test_a_login_needs_the_rights_that_the_file_gives_and_no_more(
    secure_kafka: SecureKafka, outbox: SqliteOutbox, gateway: str
) -> None:
    async with running(uplink := Uplink(outbox, settings(secure_kafka.bootstrap, f"{gateway}-first"))):
        await connected(uplink)  # the topics are there from now on
    outbox.db.execute("DELETE FROM instances")
    outbox.append(pours(3, origin=gateway))
    security = by_password(LIMITED, PASSWORD)(secure_kafka)
    uplink = Uplink(outbox, settings(secure_kafka.at("LOGIN"), gateway, security=lambda: security))
    rights = uplink_rights(gateway)
    admin = Admin(Cluster(secure_kafka.bootstrap))
    for withheld in range(len(rights)):
        grant(admin, rights[:withheld] + rights[withheld + 1 :])
        with pytest.raises(SinkRefused, match="can't be created|may not do that") as caught:
            await asyncio.wait_for(uplink.run(), PATIENCE_S)
        assert rights[withheld].name in str(caught.value), "the error names what the right is for"
    grant(admin, rights)
    async with running(uplink):
        await confirmed(outbox, 3)
    assert len(ids(await read_events(secure_kafka.bootstrap, gateway))) == 3


async def test_a_right_that_is_missing_is_one_line_however_often_it_is_tried(
    secure_kafka: SecureKafka, outbox: SqliteOutbox, gateway: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(uplink := Uplink(outbox, settings(secure_kafka.bootstrap, f"{gateway}-first"))):
        await connected(uplink)  # the topics are there from now on
    outbox.db.execute("DELETE FROM instances")
    outbox.append(pours(3, origin=gateway))
    rights = uplink_rights(gateway)
    admin = Admin(Cluster(secure_kafka.bootstrap))
    sees_it = Right("topic", EVENTS.name, False, "Describe")
    grant(admin, [sees_it, *(right for right in rights if right.name != EVENTS.name)])
    security = by_password(LIMITED, PASSWORD)(secure_kafka)
    uplink = Uplink(outbox, settings(secure_kafka.at("LOGIN"), gateway, security=lambda: security))
    caplog.clear()
    with caplog.at_level(logging.INFO):
        async with running(uplink):
            await wait_until_async(lambda: uplink.status.refusals >= 1, PATIENCE_S, "it was refused")
            since_s = uplink.status.since_s
            seen: set[str] = set()

            def again() -> bool:
                seen.add(uplink.status.state)
                return uplink.status.refusals >= 8

            await wait_until_async(again, PATIENCE_S, "eight refusals")
            assert seen == {"refused"}
            assert uplink.status.since_s == since_s
            grant(admin, rights)
            await confirmed(outbox, 3)
            await connected(uplink)
    first, last = [record.getMessage() for record in caplog.records]
    assert EVENTS.name in first
    assert first.startswith("Uplink: ")
    assert last.startswith("Kafka at ")


@pytest.mark.parametrize("sees_it", [False, True])
async def test_without_a_right_to_tell_of_itself_its_events_go_up_as_ever(
    secure_kafka: SecureKafka, outbox: SqliteOutbox, gateway: str, *, sees_it: bool
) -> None:
    async with running(uplink := Uplink(outbox, settings(secure_kafka.bootstrap, f"{gateway}-first"))):
        await connected(uplink)  # the topics are there from now on
    outbox.db.execute("DELETE FROM instances")
    outbox.append(pours(3, origin=gateway))
    grant(Admin(Cluster(secure_kafka.bootstrap)), [
        *uplink_rights(gateway), *([Right("topic", GATEWAYS.name, False, "Describe")] if sees_it else []),
    ])  # fmt: skip
    security = by_password(LIMITED, PASSWORD)(secure_kafka)
    pulse = Pulse(hand := Hand(gateway))
    uplink = Uplink(outbox, settings(secure_kafka.at("LOGIN"), gateway, security=lambda: security), pulse=pulse)
    async with running(uplink):
        await wait_until_async(lambda: pulse.last_error is not None, PATIENCE_S, "the heartbeat is refused")
        await confirmed(outbox, 3)
        await connected(uplink)
    assert "may not do that" in str(pulse.last_error)
    assert (pulse.count, hand.told) == (0, 1)
    assert len(ids(await read_events(secure_kafka.bootstrap, gateway))) == 3


def uplink_rights(gateway: str) -> list[Right]:
    """What deploy/kafka/acls gives a gateway's login, without what is for other roads than the one up."""
    names = {topic.name for topic in (EVENTS, SAMPLES, DEAD_LETTERS, OUTBOX)} | {gateway, outbox_group(gateway)}
    return sorted(right for right in rights_of(acls(), ["gateway"], gateway) if right.name in names)


def grant(admin: Admin, rights: Iterable[Right]) -> None:
    """Give these, and no others, to the limited login."""
    whose, wanted = f"User:{LIMITED}", set(rights)
    has = admin.rights(whose)
    admin.revoke(whose, has - wanted)
    admin.grant(whose, wanted - has)
    wait_until(lambda: admin.rights(whose) == wanted, 10, "the broker has heard of the rights")
