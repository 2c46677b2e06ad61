"""`picante models keygen|sign|verify|bundle|inspect`: what becomes of a bundle between training and its release.

Added to the group of `picante.cli_models`. Every one exits with 2, one line and what to do, where something is wrong.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from cloud_sync.private import check_private
from heat.errors import ConfigError, PicanteError
from heat.identity import check_name
from picante.errors import exit_with_hint

if TYPE_CHECKING:
    from models.bundle import Bundle

# what needs NumPy is imported by the commands that use it: `picante --help` should not wait for it

EXIT_STATUS = 2
_SEQUENCES = click.IntRange(1, 2**53 - 1)
_directory = click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path))
_keys = click.option(
    "--keys", type=click.Path(path_type=Path), help="The signers whom gateways trust (bundle-keys.toml)."
)


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--name", default="brand", show_default=True, help="Whose key it is, in the line for bundle-keys.toml.")
def keygen(file: Path, name: str) -> None:
    """Make a private key to sign bundles with, and print the line that has gateways trust it.

    The file is for its owner's eyes alone (mode 0600): whoever has it can give gateways a ranker. Keep it off the Pis.

    \b
    Example:
      picante models keygen brand-2026.key --name brand-2026
    """
    from models.signing import make_key

    with _told():
        check_name(name, "signer")
        public = make_key(file)
    click.echo(f'{file} is made. Gateways trust it by this line in bundle-keys.toml:\n\n[signers]\n{name} = "{public}"')


@click.command()
@_directory
@click.option("--key", type=click.Path(path_type=Path), required=True, help="The private key; nobody else may read it.")
@click.option(
    "--sequence", type=_SEQUENCES, required=True, help="Above that of every bundle released with this key before."
)
@click.option("--experiment", metavar="NAME", help="It answers a share of the customers; the others keep theirs.")
@click.option("--percent", type=click.FloatRange(0, 100), help="The share of the customers in the experiment.")
def sign(directory: Path, key: Path, sequence: int, experiment: str | None, percent: float | None) -> None:
    """Number a bundle and sign it. Its id changes with the number; a signature that was there is replaced.

    An experiment ends with the next bundle that is released: with the same one for everybody, or with another.

    \b
    Example:
      picante models sign ./bundle --key brand-2026.key --sequence 12
      picante models sign ./bundle --key brand-2026.key --sequence 13 --experiment warmer-1 --percent 20
    """
    from models.bundle import sign as sign_bundle
    from models.experiment import Experiment

    if (experiment is None) != (percent is None):
        raise click.UsageError("--experiment and --percent go together")
    if percent is not None and math.isnan(percent):
        raise click.BadParameter("nan is not in the range 0<=x<=100.", param_hint="--percent")
    with _told():
        check_private(key, "--key")
        part = None
        if experiment is not None and percent is not None:
            part = Experiment(check_name(experiment, "experiment"), percent)
        bundle, public = sign_bundle(directory, key, sequence, part)
    click.echo(f"bundle {bundle.short_id}, sequence {sequence}, is signed with the key {public}")
    if part is not None:
        click.echo(f"It answers {part.percent:g} % of the customers, in the experiment {part.name}")


@click.command()
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@_keys
@click.option("--above", type=click.IntRange(0), help="The highest sequence that gateways have used so far.")
def verify(path: Path, keys: Path | None, above: int | None) -> None:
    """Check a bundle, a directory or one file, as gateways check one that is released to them.

    Signature, hashes, features, golden scores in NumPy and in onnxruntime, and the time that it takes for a slate on
    this machine; with --above, the sequence too. Without --keys, everything but who signed it.

    \b
    Example:
      picante models verify bundle.zip --keys bundle-keys.toml --above 11
    """
    from models.bundle import check_sequence, load
    from models.probe import check_budget
    from models.ranker import OnnxRanker
    from models.signing import read_signers

    with _told():
        bundle = load(path, None if keys is None else read_signers(keys), signed=keys is not None)
        if above is not None:
            check_sequence(bundle, above)
        check_budget(bundle, OnnxRanker(bundle))
    signed = f"signed by {bundle.signer}" if bundle.signer else "nobody checked who made it: give --keys"
    click.echo(f"bundle {bundle.short_id}, sequence {bundle.manifest.sequence}, is whole; {signed}")


@click.command()
@_directory
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def bundle(directory: Path, file: Path) -> None:
    """Pack a bundle's directory into one file, the same bytes each time, its signature with it.

    \b
    Example:
      picante models bundle ./bundle bundle.zip
    """
    from models.bundle import load, pack

    with _told():
        packed = pack(read := load(directory))
        try:
            file.write_bytes(packed)
        except OSError as error:
            raise ConfigError(f"{file}: {error.strerror}", hint="Name a file that can be written") from error
    signed = "signed" if read.signature is not None else "not signed"
    click.echo(f"bundle {read.short_id}, {signed}, is in {file}: {len(packed):,} bytes")


@click.command()
@click.argument("path", type=click.Path(path_type=Path), required=False)
@_keys
def inspect(path: Path | None, keys: Path | None) -> None:
    """Check a bundle, a directory or one file, and print its manifest, signer, files, weights and metrics.

    \b
    Example:
      picante models inspect ./bundle --keys bundle-keys.toml
    """
    from models.bundle import load, pretrained
    from models.features import MEANING
    from models.signing import read_signers

    with _told():
        found = load(path or pretrained(), None if keys is None else read_signers(keys))
        signer = _signer(found)
    manifest = found.manifest
    click.echo(f"bundle     {found.short_id}  ({found.id})")
    click.echo(f"path       {found.path}")
    click.echo(f"made by    {manifest.created_by}, for catalogue {manifest.catalog_version}")
    click.echo(f"kind       {manifest.kind}")
    click.echo(f"sequence   {manifest.sequence or 'none: never released'}")
    click.echo(f"signer     {signer}")
    if (part := manifest.experiment) is not None:
        click.echo(f"experiment {part.name}: it answers {part.percent:g} % of the customers")
    click.echo(f"features   {len(manifest.features)}, schema {manifest.features_schema}")
    click.echo(f"posterior  {len(found.deviations)} deviations of the weights")
    click.echo(f"golden     {len(found.golden)} slates")
    for name, sha256 in sorted(manifest.files.items()):
        click.echo(f"file       {name:14} {len(found.files[name]):>8,} bytes, SHA-256 {sha256}")
    click.echo("\ntrained on")
    for name, value in msgspec.to_builtins(manifest.training).items():
        click.echo(f"  {name:20}{value:>12}")
    click.echo("\nweights")
    for name, weight, sd in zip(manifest.features, manifest.weights, found.deviations.std(axis=0), strict=True):
        click.echo(f"  {name:20}{weight:10.5f} ± {sd:.3f}  {MEANING[name]}")
    click.echo("\nmetrics")
    for name, metric in manifest.metrics.items():
        click.echo(f"  {name:32}{metric:8.4f}")


def _signer(found: Bundle) -> str:
    from models.signing import SIGNATURE_NAME, read_signature

    if found.signature is None:
        return "none"
    key = read_signature(found.path / SIGNATURE_NAME, found.signature).key
    return f"{found.signer or 'not checked, give --keys'}, with the key {key}"


@contextlib.contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except PicanteError as error:
        exit_with_hint(error, EXIT_STATUS)


COMMANDS = (keygen, sign, verify, bundle, inspect)
