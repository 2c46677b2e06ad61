"""Events, and the machine's files: what the kernel says, certificates, people, keys, what was put back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from firmware_bridge.bodies import PouredBody
from gateway.backup import restoring
from gateway.backup.archive import Header
from gateway.config import KeysSection, own_pseudonym_path
from gateway.setup_file import MARK
from tests.gateway.web.conftest import Inside
from tests.gateway.web.provoked.registry import gone, provokes

THROTTLED = "sys/devices/platform/soc/soc:firmware/get_throttled"


@provokes("dead_letters")
async def _refused(inside: Inside, _directory: Path) -> AsyncIterator[None]:
    hello = inside.hello()
    await inside.deliver(hello, PouredBody(nozzle=1, sauce="ketchup", volume_ul=5_000, duration_ms=900))
    yield
    [letter] = (await inside.json("/api/v1/dead-letters"))["letters"]
    path = f"/api/v1/dead-letters/{letter['position']}/dismiss"
    (await inside.client.post(path, json={"why": "a bottle of the cook's"})).raise_for_status()


@provokes("events_lost")
async def _lost(inside: Inside, _directory: Path) -> AsyncIterator[None]:
    # a ring that overflows is in tests/gateway/test_losses.py; that a day goes by takes its row
    sql = "INSERT OR REPLACE INTO losses (dispenser, events, last_ms) VALUES ('hot-bar-1', 7, ?)"

    async def say(ms: float) -> None:
        await asyncio.wrap_future(inside.state.store.write(lambda tx: tx.connection.execute(sql, (int(ms),))))

    await say(time.time() * 1000)
    yield
    await say((time.time() - 2 * 86_400) * 1000)


# -- the machine ----------------------------------------------------------------------------------------------------


def machine(code: str, file: str, wrong: str, right: str) -> None:
    """Provoke it by a file of the kernel's."""

    @provokes(code)
    async def _say(_inside: Inside, directory: Path) -> AsyncIterator[None]:
        path = directory / "machine" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(wrong)
        yield
        path.write_text(right)


machine("under_voltage", THROTTLED, "50001\n", "50000\n")
machine("throttled", THROTTLED, "4\n", "0\n")


@provokes("flash_worn")
async def _worn(inside: Inside, directory: Path) -> AsyncIterator[None]:
    number = inside.state.store.settings.data_dir.stat().st_dev
    block = directory / "machine/sys/devices/mmcblk0"
    (block / "device").mkdir(parents=True)
    (block / "stat").write_text("1 0 8 1 1 0 8 1 0 1 1\n")
    (block / "size").write_text("60000000\n")
    (block / "device/type").write_text("MMC\n")
    (block / "device/life_time").write_text("0x0a 0x01\n")
    link = directory / f"machine/sys/dev/block/{number >> 8}:{number & 0xFF}"
    link.parent.mkdir(parents=True)
    link.symlink_to(block)
    yield
    (block / "device/life_time").write_text("0x01 0x01\n")


def certified(until: datetime) -> bytes:
    """A certificate that is good until then."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(7).not_valid_before(datetime(2020, 1, 1, tzinfo=UTC)).not_valid_after(until)
    return made.sign(key, SHA256()).public_bytes(Encoding.PEM)


GOOD_UNTIL = datetime.now(UTC) + timedelta(days=400)


def certificate(code: str, days: int) -> None:
    """Provoke it by the date of a certificate that gateway.toml names."""

    @provokes(code)
    async def _dated(_inside: Inside, directory: Path) -> AsyncIterator[None]:
        (directory / "ca.pem").write_bytes(certified(datetime.now(UTC) + timedelta(days=days)))
        yield
        (directory / "ca.pem").write_bytes(certified(GOOD_UNTIL))


certificate("certificate_expires", 20)
certificate("certificate_expired", -1)


@provokes("access_broken")
async def _locked_out(inside: Inside, _directory: Path) -> AsyncIterator[None]:
    # a file of people that is lost is found by a start, which this test's owner could not ask: test_doctor.py loses one
    access = inside.state.access
    (access.directory / MARK).touch(0o600)  # it had an owner before
    role = "UPDATE people SET role = ? WHERE role = ?"
    await access.file.write(lambda connection: connection.execute(role, (1, 3)))
    yield
    await access.file.write(lambda connection: connection.execute(role, (3, 1)))


@provokes("restored", "seen")
async def _restored(inside: Inside, _directory: Path) -> AsyncIterator[None]:
    put_back(inside.state.store.settings.data_dir)  # a whole backup is put back in test_restore.py
    yield


def put_back(data_dir: Path) -> None:
    """Leave what a restore leaves."""
    header = Header("gw-1", "mercado-12", "south", "1", 1_700_000_000_000, 0, 0, (), {})
    plan = restoring.Plan("backup", header, "maria", 1_700_000_000_000)
    restoring.incoming(data_dir)
    (data_dir / restoring.DIRECTORY / restoring._DONE).write_bytes(msgspec.json.encode(plan))


@provokes("setup_incomplete")
async def _own_key(inside: Inside, directory: Path) -> AsyncIterator[None]:
    before = inside.state.config
    keys = KeysSection(dispensers=before.keys.dispensers, provisioning=before.keys.provisioning)
    inside.state.config = before.model_copy(update={"keys": keys})  # it names no pseudonym key
    brand, own = directory / "pseudonym.toml", own_pseudonym_path(before)
    own.write_bytes(brand.read_bytes())
    brand.rename(directory / "aside.toml")
    yield
    (directory / "aside.toml").rename(brand)

    await gone(inside, "setup_incomplete")
    inside.state.config = before


@provokes("provisioning_invalid")
async def _provisioning(inside: Inside, directory: Path) -> AsyncIterator[None]:
    provisioning, file = inside.state.provisioning, directory / "fleet.toml"
    assert provisioning is not None
    good = file.read_text()
    file.write_text("[dispensers.bar-3]\nnaem = 1\n")
    await provisioning.look()
    yield
    file.write_text(good)
    await provisioning.look()
