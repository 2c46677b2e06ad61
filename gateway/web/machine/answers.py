"""What the API answers of the gateway's machine."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from gateway.web.answers import Answer, example


class ClockView(Answer):
    """What time it is, and whether that is believed."""

    time: datetime
    known: bool
    trust: Literal["system", "ntp"]
    steps: Annotated[int, example(0)]
    """Settings that were noticed since the start."""
    doubted_off_s: Annotated[float | None, example(None)] = None
    """How far a setting that nobody has vouched for is from what was expected."""
    waits_s: Annotated[float | None, example(None)] = None
    """s for which events still wait for the time; null while it is known."""


class DiskView(Answer):
    """Who takes how much, and for how long there is room."""

    database_bytes: Annotated[int, example(31_457_280)]
    quota_bytes: Annotated[int, example(536_870_912)]
    samples_bytes: Annotated[int, example(4_194_304)]
    kept_bytes: Annotated[int, example(0)]
    """Of damaged databases, and of what was there before a restore."""
    free_bytes: Annotated[int, example(24_000_000_000)]
    total_bytes: Annotated[int, example(31_000_000_000)]
    full: Literal["disk", "quota"] | None = None
    events_an_hour: Annotated[float | None, example(420.5)] = None
    autonomy_h: Annotated[float | None, example(1900.0)] = None
    """Hours for which events have room if Kafka took nothing more; null where too little comes to tell."""


class FlashView(Answer):
    """What the data lies on."""

    name: Annotated[str, example("mmcblk0")]
    kind: Literal["eMMC", "SD card", "disk"]
    size_bytes: Annotated[int | None, example(31_914_983_424)] = None
    written_bytes: Annotated[int, example(2_147_483_648)]
    """Since the machine started."""
    worn_percent: Annotated[int | None, example(30)] = None
    """As an eMMC says itself, in tenths rounded up; SD cards don't say."""
    spare: Literal["normal", "warning", "urgent"] | None = None
    years: Annotated[float | None, example(20.3)] = None
    """For which a cheap card bears what is written since the start: an estimate, no promise."""
    worn: bool


class PowerView(Answer):
    """What the supply and the heat do to the processor."""

    under_voltage: bool
    throttled: bool
    under_voltage_before: bool | None = None
    throttled_before: bool | None = None


class MachineView(Answer):
    """The machine; null is what it doesn't say."""

    model: Annotated[str | None, example("Raspberry Pi 4 Model B Rev 1.4")] = None
    power: PowerView | None = None
    temperature_c: Annotated[float | None, example(48.3)] = None
    flash: FlashView | None = None
    memory_bytes: Annotated[int | None, example(1_963_372_544)] = None
    memory_free_bytes: Annotated[int | None, example(1_433_600_000)] = None
    daemon_bytes: Annotated[int | None, example(150_000_000)] = None
    """Memory of the gateway's own process."""
    load: Annotated[float | None, example(0.42)] = None
    cores: Annotated[int, example(4)]
    up_s: Annotated[float | None, example(86_400.0)] = None


class CertificateView(Answer):
    """The public part of a certificate that the gateway uses."""

    key: Annotated[str, example("kafka.certificate")]
    """The key of gateway.toml that names it."""
    subject: Annotated[str, example("CN=gw-1")]
    issuer: Annotated[str, example("CN=mercado root")]
    not_before: datetime
    not_after: datetime
    days_left: Annotated[int, example(290)]


class DaemonPart(Answer):
    """One part of the daemon."""

    name: Annotated[str, example("uplink")]
    state: Literal["running", "waiting", "stopped"]
    since: datetime
    restarts: Annotated[int, example(0)]
    error: str | None = None


class VersionsView(Answer):
    """What runs here."""

    picante: Annotated[str, example("1.0.0")]
    python: Annotated[str, example("3.11.2")]
    sqlite: Annotated[str, example("3.40.1")]
    openssl: Annotated[str, example("OpenSSL 3.0.19 27 Jan 2026")]
    kernel: Annotated[str, example("6.6.31+rpt-rpi-v8")]


class SettingView(Answer):
    """One key of the configuration, as it counts now. Secrets are in files of their own; here are their names."""

    key: Annotated[str, example("gateway.quota_mb")]
    value: Annotated[str, example("512")]
    given: bool
    """Whether somebody set it; otherwise it is the default."""


class RestoredView(Answer):
    """A backup that was put back, while what was there before is kept."""

    why: Literal["backup", "take back"]
    by: Annotated[str, example("Olga")]
    at: datetime
    made: datetime
    """When the backup was taken."""
    stored: Annotated[int, example(1042)]
    """The position of its last row."""


class SystemView(Answer):
    """The gateway itself."""

    gateway: Annotated[str, example("gw-1")]
    started: datetime
    clock: ClockView
    disk: DiskView
    machine: MachineView
    certificates: list[CertificateView]
    versions: VersionsView
    parts: list[DaemonPart]
    restored: RestoredView | None = None


class Settings(Answer):
    """The configuration as it counts now."""

    settings: list[SettingView]


class LogLine(Answer):
    """One line of the daemon's log, scrubbed."""

    number: Annotated[int, example(12)]
    time: datetime
    level: Literal["debug", "info", "warning", "error", "critical"]
    logger: Annotated[str, example("gateway.web")]
    text: Annotated[str, example("the page is at http://localhost:8080/")]
    more: Annotated[dict[str, str], example({"dispenser": "hot-bar-1"})]
    """What the line told beside that: dispenser, part, exception."""


class LogLines(Answer):
    """Lines of the log since the daemon started, newest first."""

    lines: list[LogLine]
    left_out: Annotated[int, example(0)]
    """Lines that fit, too, beyond the limit."""


class Restarting(Answer):
    """The daemon begins anew: it answers again in some seconds."""

    restarting: Literal[True] = True


class BackupView(Answer):
    """A backup file that was sent here."""

    gateway: Annotated[str, example("gw-1")]
    store: Annotated[str, example("mercado-12")]
    software: Annotated[str, example("1.0.0")]
    made: datetime
    stored: Annotated[int, example(1042)]
    confirmed: Annotated[int, example(1040)]
    size_bytes: Annotated[int, example(31_457_280)]
    sealed: bool
    files: Annotated[list[str], example(["gateway.db", "access.db", "keyring.toml"])]


class RestoreView(Answer):
    """How far a restore is: sent, checked, ordered; and the last one that was done."""

    sent: BackupView | None = None
    checked: bool
    ordered: bool
    restored: RestoredView | None = None
    at_stake: Annotated[int | None, example(3)] = None
    """Events of now that Kafka has not: they are set aside with the database of now. Null where it can't be read."""


class BundleFile(Answer):
    """One file of a support bundle."""

    name: Annotated[str, example("logs.jsonl")]
    what: Annotated[str, example("The last lines of the daemon's log")]
    size_bytes: Annotated[int, example(120_000)]


class BundlePreview(Answer):
    """What a support bundle would hold now."""

    files: list[BundleFile]
