"""The running gateway and its machine -> what the API and the page System tell. Blocks for milliseconds."""

from __future__ import annotations

import platform
import shutil
import sqlite3
import ssl
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from gateway import hardware
from gateway.autonomy import autonomy
from gateway.backup import restoring
from gateway.clock import Clock
from gateway.config import Config
from gateway.named_certificates import certificates
from gateway.quarantine import DIRECTORY as QUARANTINE
from gateway.sample_file import FILE as SAMPLES
from gateway.state import GatewayState
from gateway.web.machine.answers import (
    CertificateView,
    ClockView,
    DaemonPart,
    DiskView,
    FlashView,
    MachineView,
    PowerView,
    RestoredView,
    SettingView,
    SystemView,
    VersionsView,
)
from gateway.web.status import VERSION

_NOT_SHOWN = {"directory"}


def system_view(state: GatewayState) -> SystemView:
    """Everything of the gateway itself, as of now. Raises sqlite3.Error."""
    config = state.config
    data_dir = state.store.settings.data_dir
    return SystemView(
        gateway=config.gateway.id,
        started=datetime.fromtimestamp(state.started, UTC),
        clock=clock_view(state.clock, config),
        disk=_disk(state, data_dir),
        machine=machine_view(data_dir, Path(config.system.root)),
        certificates=certificate_views(config),
        versions=versions_view(),
        parts=[
            DaemonPart(
                name=part.name,
                state=part.state,
                since=datetime.fromtimestamp(part.since, UTC),
                restarts=part.restarts,
                error=part.error,
            )
            for part in list(state.supervisor.parts.values())
        ],
        restored=restored_view(data_dir),
    )


def clock_view(clock: Clock, config: Config) -> ClockView:
    """The clock."""
    now, waits_ms, doubt = clock.now(), clock.waits_ms(), clock.doubt
    return ClockView(
        time=datetime.fromtimestamp(now.wall_ms / 1000, UTC),
        known=now.known,
        trust=config.clock.trust,
        steps=clock.steps,
        doubted_off_s=None if doubt is None else doubt.off_ms / 1000,
        waits_s=None if waits_ms is None else waits_ms / 1000,
    )


def _disk(state: GatewayState, data_dir: Path) -> DiskView:
    disk = shutil.disk_usage(data_dir)
    with closing(state.store.reader()) as reader:
        room = autonomy(reader, state.clock.now().wall_ms, state.store.settings.quota_bytes, disk.free)
    full = state.store.full
    return DiskView(
        database_bytes=room.used_bytes,
        quota_bytes=room.quota_bytes,
        samples_bytes=_size(data_dir / SAMPLES),
        kept_bytes=_size(data_dir / QUARANTINE) + _size(data_dir / restoring.DIRECTORY),
        free_bytes=disk.free,
        total_bytes=disk.total,
        full=None if full is None else full.of,
        events_an_hour=room.rows_an_hour,
        autonomy_h=room.hours,
    )


def _size(path: Path) -> int:
    try:
        if path.is_dir():
            return sum(one.stat().st_size for one in path.rglob("*") if one.is_file())
        return path.stat().st_size
    except OSError:
        return 0


def machine_view(data_dir: Path, root: Path) -> MachineView:
    """The machine."""
    told = hardware.look(data_dir, root)
    power, flash = told.power, told.flash
    return MachineView(
        model=told.model,
        power=None
        if power is None
        else PowerView(
            under_voltage=power.under_voltage,
            throttled=power.throttled,
            under_voltage_before=power.under_voltage_before,
            throttled_before=power.throttled_before,
        ),
        temperature_c=told.temperature_c,
        flash=None
        if flash is None
        else FlashView(
            name=flash.name,
            kind=flash.kind,
            size_bytes=flash.size_bytes,
            written_bytes=flash.written_bytes,
            worn_percent=flash.worn_percent,
            spare=flash.pre_eol,
            years=None if told.up_s is None else flash.years(told.up_s),
            worn=flash.worn,
        ),
        memory_bytes=told.memory_bytes,
        memory_free_bytes=told.memory_free_bytes,
        daemon_bytes=_resident(),
        load=told.load,
        cores=told.cores,
        up_s=told.up_s,
    )


def _resident() -> int | None:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:")), None)


def certificate_views(config: Config) -> list[CertificateView]:
    """Public parts; those that end first come first."""
    now_s = time.time()
    found = [
        CertificateView(
            key=one.key,
            subject=one.subject,
            issuer=one.issuer,
            not_before=one.not_before,
            not_after=one.not_after,
            days_left=int((one.not_after.timestamp() - now_s) // 86_400),
        )
        for one in certificates(config)
    ]
    return sorted(found, key=lambda one: one.not_after)


def versions_view() -> VersionsView:
    """What runs here."""
    return VersionsView(
        picante=VERSION,
        python=platform.python_version(),
        sqlite=sqlite3.sqlite_version,
        openssl=ssl.OPENSSL_VERSION,
        kernel=platform.release(),
    )


def restored_view(data_dir: Path) -> RestoredView | None:
    """The restore that nobody has settled yet."""
    told = restoring.done(data_dir)
    if told is None:
        return None
    return RestoredView(
        why=told.why,
        by=told.by,
        at=datetime.fromtimestamp(told.at_ms / 1000, UTC),
        made=datetime.fromtimestamp(told.header.made_ms / 1000, UTC),
        stored=told.header.stored,
    )


def setting_views(config: Config) -> list[SettingView]:
    """All keys of the configuration, in its order. No key holds a secret; some name files that do."""
    found = []
    for name in type(config).model_fields:
        section = getattr(config, name)
        if name in _NOT_SHOWN or section is None:
            continue
        for key in type(section).model_fields:
            value = getattr(section, key)
            found.append(SettingView(key=f"{name}.{key}", value=_shown(value), given=key in section.model_fields_set))
    return found


def _shown(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case tuple() | list():
            return ", ".join(str(one) for one in value)
        case _:
            return str(value)
