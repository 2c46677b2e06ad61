"""`picante cloud release`: catalogue, words, configuration and bundles for gateways."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import click

from cloud_sync.published import Kind
from cloud_sync.releases import KINDS
from gateway.config import Config
from gateway.pushed import overlay
from gateway.scorer import probe
from heat.catalog import parse_catalog
from heat.errors import DataError, ModelError, ScorerError
from heat.scale import parse_words
from models.bundle import load, pack
from picante.cloud_options import CLOUD_CONFIG, table, told

_STATES = {"used": "use it", "on_trial": "try it", "waiting": "will try it", "refused": "refuse it"}
KIND = click.argument("kind", type=click.Choice(KINDS))
TARGET = click.option("--target", default="all", show_default=True, help="all, region/NAME or gateway/NAME.")


@click.group()
def release() -> None:
    """What gateways are to use: for all of them, for those of a region, or for one. The nearest release counts.

    \b
    Exit status: 0 done, 1 Kafka is not there or refuses, or the content can't be used, 2 configuration.
    """


@release.command("publish")
@KIND
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@TARGET
@CLOUD_CONFIG
def publish_(kind: Kind, path: Path, target: str, config_path: Path) -> None:
    """Release a file, or the directory of a bundle, having checked it as the gateways will.

    Gateways that are there use it within seconds, others when they come. What they made of it:
    picante cloud release list.

    \b
    Example:  picante cloud release publish catalogue sauces.json --target region/south --config cloud.toml
    """
    from cloud.config import load_cloud_config
    from cloud.librdkafka import cluster_of
    from cloud.releases import put

    with told():
        content = _CONTENT[kind](path)
        config = load_cloud_config(config_path)
        made = put(cluster_of(config), kind, target, content, f"/cloud/{config.cloud.name}")
    click.echo(f"{kind} {made.number} for {target} is released: {len(content):,} bytes, SHA-256 {made.sha256[:12]}")


@release.command("list")
@CLOUD_CONFIG
def list_(config_path: Path) -> None:
    """Show what is released, and what gateways made of it, by their last heartbeats.

    \b
    Example:  picante cloud release list --config cloud.toml
    """
    from cloud.config import load_cloud_config
    from cloud.librdkafka import cluster_of
    from cloud.releases import made_of, released, reported

    with told():
        cluster = cluster_of(load_cloud_config(config_path))
        found, reports = released(cluster), reported(cluster)
    if not found:
        click.echo("Nothing is released: gateways use what their gateway.toml names")
        return
    rows = [("KIND", "TARGET", "NUMBER", "BYTES", "SHA-256", "RELEASED", "GATEWAYS")]
    for one in found:
        when = f"{datetime.fromtimestamp(one.time_ms / 1000, UTC):%Y-%m-%d %H:%M}"
        if (made := one.release) is None:
            rows.append((*one.key.partition("/")[::2], "", "", "unreadable", when, one.fault))
        else:
            counts = made_of(made, reports)
            gateways = ", ".join(f"{count} {_STATES[state]}" for state, count in sorted(counts.items()))
            size, digest = f"{len(made.content):,}", made.sha256[:12]
            rows.append((made.kind, made.target, str(made.number), size, digest, when, gateways))
    for line in table(rows):
        click.echo(line)
    for report in reports:
        if (applied := report.applied).state == "refused":
            what = f"{applied.kind} {applied.number} for {applied.target}"
            click.echo(f"{report.gateway} does not use {what}: {applied.detail}")


@release.command()
@KIND
@TARGET
@CLOUD_CONFIG
def withdraw(kind: Kind, target: str, config_path: Path) -> None:
    """Take a release back: gateways use the next nearest one, or what their gateway.toml names.

    \b
    Example:  picante cloud release withdraw configuration --target gateway/gw-1 --config cloud.toml
    """
    from cloud.config import load_cloud_config
    from cloud.librdkafka import cluster_of
    from cloud.releases import withdraw as take_back

    with told():
        take_back(cluster_of(load_cloud_config(config_path)), kind, target)
    click.echo(f"{kind} for {target} is withdrawn")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}", hint="Name a file; only a bundle is a directory") from error


def _catalogue(path: Path) -> bytes:
    content = _read(path)
    parse_catalog(content)
    return content


def _words(path: Path) -> bytes:
    content = _read(path)
    parse_words(content)
    return content


def _configuration(path: Path) -> bytes:
    content = _read(path)
    anybody = {"gateway": {"id": "any", "store": "any", "region": "any"}}
    overlay(Config.model_validate(anybody), content)
    return content


def _bundle(path: Path) -> bytes:
    bundle = load(path)
    if bundle.signature is None:
        hint = "Gateways refuse it: sign it with `picante models sign`"
        raise ModelError(f"{path}: is not signed", hint=hint, reason="unsigned")
    try:
        asyncio.run(probe(path))
    except ScorerError as error:
        click.echo(f"Not tried here, gateways will: {error}", err=True)
    return pack(bundle)


_CONTENT: dict[Kind, Callable[[Path], bytes]] = {
    "catalogue": _catalogue,
    "words": _words,
    "configuration": _configuration,
    "bundle": _bundle,
}
