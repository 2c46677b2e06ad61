"""`picante cloud acls`: each part's rights in Kafka, as deploy/kafka/acls has them."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from heat.errors import ConfigError
from picante.cloud_options import CLOUD_CONFIG, WAITS_FOR_YES, YES, told

if TYPE_CHECKING:
    from cloud.kafka_admin import Admin
    from cloud.rights import Right

PARTS = click.argument("parts", metavar="PART...", nargs=-1, required=True)
LOGINS = click.option(
    "--login",
    "logins",
    metavar="NAME",
    multiple=True,
    required=True,
    help="Who runs these parts; may be repeated. A gateway's login is its id.",
)
PRINCIPAL = click.option(
    "--principal",
    default="User:{login}",
    show_default=True,
    help="What Kafka calls a login; by certificate: 'User:CN={login}'.",
)
FILE = click.option(
    "--file",
    default=Path("deploy/kafka/acls"),
    show_default=True,
    type=click.Path(path_type=Path),
    help="The rights of each part.",
)


@click.group()
def acls() -> None:
    """Rights in Kafka: each part may use its own topics, and nothing else.

    One login may run several parts: name them together, since what a login has beyond them is taken away.

    \b
    Exit status: 0 all is as it should be, 1 Kafka is not there or refuses, 2 configuration,
    3 there is something to do (apply --yes does it).
    """


@acls.command()
@PARTS
@LOGINS
@PRINCIPAL
@FILE
@CLOUD_CONFIG
def plan(parts: tuple[str, ...], logins: tuple[str, ...], principal: str, file: Path, config_path: Path) -> None:
    """Say which rights logins lack to run PARTs, and which they have beyond them. Nothing is changed.

    \b
    Examples:  picante cloud acls plan gateway --login gw-1 --login gw-2
               picante cloud acls plan pipeline lake hot_store --login cloud
    """
    with told():
        sys.exit(_tell(_Rights(parts, logins, file, principal, config_path).differences()))


@acls.command()
@PARTS
@LOGINS
@PRINCIPAL
@FILE
@CLOUD_CONFIG
@YES
def apply(
    parts: tuple[str, ...], logins: tuple[str, ...], principal: str, file: Path, config_path: Path, *, yes: bool
) -> None:
    """Give logins the rights of PARTs, and take what they have beyond them. Without --yes, it is `plan`.

    \b
    Example:  picante cloud acls apply gateway --login gw-1 --yes
    """
    with told():
        rights = _Rights(parts, logins, file, principal, config_path)
        found = rights.differences()
        if not yes:
            sys.exit(_tell(found))
        rights.mend(found)
        _tell(found)


class _Rights:
    """What some parts may do, on one cluster."""

    def __init__(
        self, parts: Iterable[str], logins: Iterable[str], file: Path, principal: str, config_path: Path
    ) -> None:
        from cloud.config import load_cloud_config
        from cloud.kafka_admin import Admin
        from cloud.librdkafka import cluster_of
        from cloud.rights import parse, principal_of, rights_of

        try:
            table = parse(file.read_text(encoding="utf-8"), str(file))
        except (OSError, UnicodeDecodeError) as error:
            hint = "It lies in deploy/kafka/ of Picante's source: name it with --file"
            raise ConfigError(f"{file} can't be read: {error}", hint=hint) from error
        # what can't be is said before anybody is asked
        self._wanted = {principal_of(principal, login): rights_of(table, parts, login) for login in logins}
        self._admin: Admin = Admin(cluster_of(load_cloud_config(config_path)))

    def differences(self) -> dict[str, tuple[list[Right], list[Right]]]:
        """What each principal lacks, and what it has beyond."""
        found = {}
        for principal, wanted in self._wanted.items():
            has = self._admin.rights(principal)
            found[principal] = (sorted(wanted - has), sorted(has - wanted))
        return found

    def mend(self, found: dict[str, tuple[list[Right], list[Right]]]) -> None:
        for principal, (lacks, beyond) in found.items():
            self._admin.grant(principal, lacks)
            self._admin.revoke(principal, beyond)


def _tell(found: dict[str, tuple[list[Right], list[Right]]]) -> int:
    """Print what differs; the exit status that it means."""
    for principal, (lacks, beyond) in found.items():
        click.echo(principal if lacks or beyond else f"{principal}: the rights of these parts, and no others")
        for mark, rights in (("+", lacks), ("-", beyond)):
            for right in rights:
                click.echo(f"  {mark} {right}")
    return WAITS_FOR_YES if any(lacks or beyond for lacks, beyond in found.values()) else 0
