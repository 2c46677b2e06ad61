"""`deploy/kafka/acls` -> which login may do what, and what a cluster grants beyond or short of it. Pure.

One line gives a part operations on a resource:

    PART  topic|group|transactional-id|cluster  NAME  OPERATION[,OPERATION...]

A NAME that ends in `*` is a prefix; `{login}` in it is the login's own name: each gateway has rights of its own. The
operations are Kafka's, in its spelling. `#` begins a comment.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from heat.errors import ConfigError, DataError
from heat.identity import check_name

Resource = Literal["topic", "group", "transactional-id", "cluster"]
OPERATIONS = (
    *("Read", "Write", "Create", "Delete", "Alter", "Describe"),
    *("DescribeConfigs", "AlterConfigs", "IdempotentWrite", "All"),
)
CLUSTER = "kafka-cluster"
"""What Kafka calls the cluster itself, as a resource."""
LOGIN = "{login}"
RESERVED = "picante-"
"""How the transactional ids of the cloud's parts begin: a login that is called so would get one of them."""


@dataclass(frozen=True, slots=True, order=True)
class Right:
    """One operation on a resource, or on all whose names begin so."""

    resource: Resource
    name: str
    prefix: bool
    operation: str

    def __str__(self) -> str:
        return f"{self.operation} {self.resource} {self.name}{'*' if self.prefix else ''}"


Table = dict[str, tuple[Right, ...]]
"""Rights by part, in the file's order; names may hold `{login}`."""


def parse(text: str, file: str) -> Table:
    """The rights of each part. Raises ConfigError with file and line."""
    table: dict[str, list[Right]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        try:
            part, rights = _line(words)
        except ValueError as error:
            hint = "A line reads: PART topic|group|transactional-id|cluster NAME OPERATION[,OPERATION]"
            raise ConfigError(f"{file}:{number}: {error}", hint=hint) from None
        table.setdefault(part, []).extend(rights)
    return {part: tuple(dict.fromkeys(rights)) for part, rights in table.items()}


def _line(words: list[str]) -> tuple[str, list[Right]]:
    if len(words) != 4:
        raise ValueError(f"four words are wanted, not {len(words)}")
    part, resource, name, operations = words
    if resource not in get_args(Resource):
        raise ValueError(f"{resource!r} is no resource")
    if unknown := [one for one in operations.split(",") if one not in OPERATIONS]:
        raise ValueError(f"{unknown[0]!r} is no operation; there are {', '.join(OPERATIONS)}")
    prefix = name.endswith("*")
    name = name.removesuffix("*")
    if resource == "cluster" and (name != CLUSTER or prefix):
        raise ValueError(f"the cluster's name is {CLUSTER}")
    if not name:
        raise ValueError("no part needs everything: a name, or the beginning of one, is wanted")
    kind: Resource = resource  # type: ignore[assignment]  # it was looked up
    return part, [Right(kind, name, prefix, one) for one in operations.split(",")]


def rights_of(table: Table, parts: Iterable[str], login: str) -> set[Right]:
    """What a login may do that runs these parts.

    Raises ConfigError of a part that the table lacks, and of a login that would get more than its own.
    """
    rights: set[Right] = set()
    for part in parts:
        if part not in table:
            raise ConfigError(f"no part {part!r} has rights", hint=f"There are: {', '.join(table)}")
        if any(LOGIN in one.name for one in table[part]):
            _check_login(login, part)
        rights |= {
            Right(one.resource, one.name.replace(LOGIN, login), one.prefix, one.operation) for one in table[part]
        }
    return rights


def principal_of(pattern: str, login: str) -> str:
    """What Kafka calls a login, `{login}` filled in. Raises ConfigError where that is nobody, or everybody."""
    principal = pattern.replace(LOGIN, login)
    kind, _, name = principal.partition(":")
    if not kind or login.strip() in ("", "*") or name.strip() in ("", "*"):
        hint = "Name one login: to Kafka, User:* is everybody"
        raise ConfigError(f"no rights are given to {principal!r}", hint=hint)
    return principal


def _check_login(login: str, part: str) -> None:
    try:
        check_name(login, f"a {part}'s login")
    except DataError as error:
        raise ConfigError(error.args[0], hint=error.hint) from None
    if login.startswith(RESERVED):
        hint = "Give it another id"
        raise ConfigError(f"{login!r} can't be a {part}'s login: {RESERVED}... are the cloud's own names", hint=hint)
