"""What `picante gateway check-config` finds: each file that gateway.toml names is read, and the bundle is tried."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping

from cloud_sync.credentials import TlsSection
from gateway import keyring
from gateway.assembly import bundle_path, given_keys, open_door
from gateway.config import Config, load_pseudonym_key, pseudonym_path
from gateway.doctor import readings
from gateway.provisioning import Fleet, load_fleet
from gateway.scorer import probe
from gateway.security import check_dates
from heat.errors import ScorerError
from models.bundle import load as load_bundle
from models.signing import read_signers


async def check(config: Config, unnamed: Collection[str] = ()) -> list[str]:
    """What a configuration leads to, a line each, having read what the doctor reads, and tried the bundle.

    `unnamed` are the keys of [gateway] that its setup asks for.

    Raises:
        ConfigError: a file can't be used.
        ModelError: the bundle can't be used (the daemon would run, and rank by rule).
    """
    for name, read in readings(config).items():
        if not (unnamed and name == "keys.pseudonym"):  # the setup may make it
            read()
    given = given_keys(config)
    pseudonyms = _pseudonyms(config, made_later=bool(unnamed))
    door = open_door(config)
    fleet = load_fleet(config.path(provisioned), door.catalog) if (provisioned := config.keys.provisioning) else None
    adopted = _count_adopted(config, {**given, **(fleet.keys if fleet else {})})
    signers = read_signers(config.path(config.keys.bundles)) if config.keys.bundles is not None else None
    bundle = load_bundle(bundle_path(config), signers)
    check_dates(config)
    scored_by = "onnxruntime"
    try:
        await probe(bundle.path)
    except ScorerError as error:
        scored_by = f"NumPy: {error}"
    return [
        f"gateway    {_named(config, unnamed)}",
        f"data       {config.path(config.gateway.data_dir)}, at most {config.gateway.quota_mb} MiB",
        f"keys       {adopted}, {pseudonyms}",
        f"fleet      {_fleet(fleet)}",
        f"sauces     {len(door.catalog)} of catalogue {door.catalog.version}, words {door.words.version}",
        f"ranker     bundle {bundle.short_id}, scored by {scored_by}",
        f"released   bundles of {', '.join(sorted(signers.values())) if signers else 'nobody'}",
        f"serial     {', '.join(config.serial.ports) if config.serial else 'none'}",
        f"mqtt       {_mqtt(config)}",
        f"kafka      {_kafka(config)}",
        f"page       {'http' if config.http.issuer is None else 'https'}://{config.http.host}:{config.http.port}/",
    ]


def _named(config: Config, unnamed: Collection[str]) -> str:
    if unnamed:
        return f"waits for its setup, which asks for {', '.join(sorted(unnamed))} (picante gateway setup-code)"
    return f"{config.gateway.id} in store {config.gateway.store}, region {config.gateway.region}"


def _pseudonyms(config: Config, *, made_later: bool) -> str:
    path = pseudonym_path(config)
    if made_later and "pseudonym" not in config.keys.model_fields_set and not path.exists():
        return "pseudonym key of its own, made by the setup"
    return f"pseudonym key version {load_pseudonym_key(path)[1]}"


def _count_adopted(config: Config, given: Mapping[str, bytes]) -> str:
    directory = config.path(config.gateway.data_dir)
    if directory.exists() and not os.access(directory, os.X_OK):
        return f"{len(given)} dispensers in files (those adopted here are the daemon's alone to read)"
    return f"{len(keyring.load(directory, given).adopted)} dispensers"


def _fleet(fleet: Fleet | None) -> str:
    if fleet is None:
        return "none: dispensers are adopted by hand"
    return f"{len(fleet.dispensers)} dispensers by id, {len(fleet.hardware)} by hardware"


def _mqtt(config: Config) -> str:
    mqtt = config.mqtt
    if mqtt is None:
        return "none"
    parts = [f"{mqtt.host}:{mqtt.port}", *_proofs(config, mqtt)]
    return ", ".join(parts if mqtt.username is None else [*parts, f"user {mqtt.username}"])


def _kafka(config: Config) -> str:
    kafka = config.kafka
    if kafka is None:
        return "none: events stay here"
    parts = [kafka.bootstrap, *_proofs(config, kafka)]
    if kafka.username is not None:
        parts.append(f"user {kafka.username} by {kafka.sasl_mechanism}")
    return ", ".join([*parts, f"position in {kafka.position}"])


def _proofs(config: Config, section: TlsSection) -> list[str]:
    encrypted = "TLS" if section.tls else "not encrypted"
    return (
        [encrypted] if section.certificate is None else [encrypted, f"certificate {config.path(section.certificate)}"]
    )
