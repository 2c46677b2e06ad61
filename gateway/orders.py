"""A command as the gateway keeps it, an order: its row, and the rules of its time. Pure, but for SQL.

An order is `queued` until it was written down that its dispenser may have it (`sent`); from then on only the dispenser
knows what became of it. `running` is its word, `unknown` that the time is over and it has not said. All other states
are ends.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, get_args

import msgspec

from firmware_bridge.codec import BadMessage, decode_arguments, decode_measured
from firmware_bridge.messages import Command, Result
from firmware_bridge.verbs import AnyArguments
from gateway.clock import Now
from gateway.transaction import Transaction

COPY_MS = 60_000
"""ms for which one copy of a command is good: what is on its way for longer is not carried out."""
LOG_SIZE = 16
"""Commands that a dispenser remembers."""
KEPT_ROWS = 500
KEPT_MS = 90 * 86_400_000
"""Orders that have ended, and ms, for which they are kept."""

Waiting = Literal["queued", "sent", "running"]
End = Literal["unknown", "done", "refused", "failed", "expired", "interrupted", "unsupported", "dropped"]
"""`unknown` may still be asked after: `ended_ms` tells."""
State = Waiting | End
WAITING: tuple[Waiting, ...] = get_args(Waiting)
ENDS: tuple[End, ...] = get_args(End)
CORRECTED = ("expired", "unknown")
"""Ends that a later word of the dispenser sets right: they were inferred, or came before it."""
UNDO = "undo"
"""Who asks for a calibration that takes another back."""
KEPT_CALIBRATIONS = 4
"""Of each nozzle, for as long as its dispenser is adopted, however much else is told to a fleet: what `undo` needs."""
FORGOTTEN = "the dispenser was forgotten here"


@dataclass(frozen=True, slots=True)
class Order:
    """One row of `commands`."""

    id: str
    """32 hex digits."""
    dispenser: str
    verb: str
    arguments: bytes
    """The map that travels, as MessagePack. A key in it is masked."""
    asked_by: str
    created_ms: int
    lifetime_ms: int
    expires_ms: int | None
    """Unix time; None where the time was not known when it was given."""
    expires_boot: int
    expires_boot_ms: int
    """By the gateway's kernel uptime, in its boot `expires_boot`."""
    state: State = "queued"
    detail: str = ""
    measured: str | None = None
    """JSON, by the names of `verbs`' measurements."""
    device_boot: int | None = None
    device_expires_ms: int | None = None
    """By the dispenser's uptime, in its boot `device_boot`; None while it was never sent."""
    ended_ms: int | None = None
    ended_boot: int | None = None
    ended_boot_ms: int | None = None

    def left_ms(self, now: Now, boot: int) -> int | None:
        """ms until it expires, at most; None while that can't be told: the machine started anew, without a clock."""
        if self.expires_boot == boot:
            return self.expires_boot_ms - now.boot_ms
        most_ms = self.lifetime_ms - now.boot_ms
        if self.expires_ms is None or most_ms <= 0:
            return min(most_ms, 0)
        return min(self.expires_ms - now.wall_ms, most_ms) if now.known else None

    def command(self, boot: int, expires_uptime_ms: int) -> Command:
        """A copy, for this boot of the dispenser."""
        return Command(
            id=bytes.fromhex(self.id),
            verb=self.verb,
            boot=boot,
            expires_uptime_ms=max(expires_uptime_ms, 0),
            arguments=self._map(),
        )

    def with_result(self, result: Result) -> Order:
        """What its dispenser says of it; `running` does not end it."""
        state: State = result.outcome
        measured = None if result.measured is None else decode_measured(self.verb, result.measured)
        if measured is None:
            return replace(self, state=state, detail=result.detail)
        if isinstance(measured, BadMessage):
            detail = f"{result.detail} (what it measured can't be read: {measured.detail})".strip()
            return replace(self, state=state, detail=detail)
        text = msgspec.json.encode(msgspec.structs.asdict(measured)).decode()
        return replace(self, state=state, detail=result.detail, measured=text)

    def ended(self, now: Now, boot: int) -> Order:
        """The same, at its end."""
        return replace(self, ended_ms=now.wall_ms, ended_boot=boot, ended_boot_ms=now.boot_ms)

    def read_arguments(self) -> AnyArguments | BadMessage:
        """Its arguments, typed."""
        return decode_arguments(self.verb, self._map())

    def _map(self) -> dict[Any, Any]:
        return msgspec.msgpack.decode(self.arguments, type=dict[int, Any])


# -- rows -------------------------------------------------------------------------------------------------------------

_NAMES = [field.name for field in fields(Order)]
_COLUMNS = ", ".join(_NAMES)
_INSERT = f"INSERT INTO commands ({_COLUMNS}) VALUES ({', '.join(f':{name}' for name in _NAMES)})"  # noqa: S608 -- constants
_UPDATE = f"UPDATE commands SET {', '.join(f'{name} = :{name}' for name in _NAMES)} WHERE id = :id"  # noqa: S608 -- constants
_SELECT = f"SELECT {_COLUMNS} FROM commands"  # noqa: S608 -- constants
# a calibration's arguments are the map {1: nozzle, 2: factor}: its first four bytes tell one nozzle from another
_PRUNE = """
DELETE FROM commands WHERE ended_ms IS NOT NULL
AND (number <= (SELECT max(number) FROM commands) - ? OR ended_ms < ?)
AND number NOT IN (
    SELECT number FROM (
        SELECT number, row_number() OVER (
            PARTITION BY dispenser, substr(arguments, 1, 4) ORDER BY number DESC
        ) AS age
        FROM commands WHERE verb = 'calibrate' AND state = 'done' AND measured IS NOT NULL
    ) WHERE age <= ?
)
"""
_FORGET = """
UPDATE commands SET measured = NULL, detail = ?
WHERE dispenser = ? AND verb IN ('calibrate', 'test_pour') AND state IN ('done', 'expired', 'unknown')
"""


def insert(tx: Transaction, order: Order) -> None:
    """Keep a new order."""
    tx.connection.execute(_INSERT, _values(order))


def update(tx: Transaction, order: Order, now: Now) -> None:
    """Keep what has become of one; an end has old ones forgotten."""
    tx.connection.execute(_UPDATE, _values(order))
    if order.ended_ms is not None:
        tx.connection.execute(_PRUNE, (KEPT_ROWS, now.wall_ms - KEPT_MS if now.known else 0, KEPT_CALIBRATIONS))


def find(connection: sqlite3.Connection, command_id: str) -> Order | None:
    """The order with this id."""
    row = connection.execute(f"{_SELECT} WHERE id = ?", (command_id,)).fetchone()
    return Order(*row) if row is not None else None


def newest(connection: sqlite3.Connection, dispenser: str, limit: int) -> list[Order]:
    """A dispenser's last orders, newest first."""
    rows = connection.execute(f"{_SELECT} WHERE dispenser = ? ORDER BY number DESC LIMIT ?", (dispenser, limit))
    return [Order(*row) for row in rows]


def calibrations(connection: sqlite3.Connection, dispenser: str) -> list[Order]:
    """All that is kept of a dispenser's calibrations, newest first; not those from before it was forgotten."""
    where = "WHERE dispenser = ? AND verb = 'calibrate' AND detail <> ? ORDER BY number DESC"
    return [Order(*row) for row in connection.execute(f"{_SELECT} {where}", (dispenser, FORGOTTEN))]


def forget(tx: Transaction, dispenser: str) -> None:
    """What was measured at a dispenser's meters says nothing any more: who comes by this name may be another one.

    The rows stay: of which orders copies may still be under way is known by them.
    """
    tx.connection.execute(_FORGET, (FORGOTTEN, dispenser))


def waiting(connection: sqlite3.Connection) -> list[Order]:
    """All that have not ended, in the order in which they were given."""
    return [Order(*row) for row in connection.execute(f"{_SELECT} WHERE ended_ms IS NULL ORDER BY number")]


def ends(connection: sqlite3.Connection, dispenser: str, boot: int) -> list[int]:
    """When the last orders ended that this dispenser may remember, by the uptime in this boot, the oldest first."""
    rows = connection.execute(
        "SELECT ended_boot, ended_boot_ms FROM commands WHERE dispenser = ? AND device_boot IS NOT NULL"
        " AND ended_ms IS NOT NULL ORDER BY number DESC LIMIT ?",
        (dispenser, LOG_SIZE - 1),
    ).fetchall()
    return [ended_ms if ended_boot == boot else 0 for ended_boot, ended_ms in reversed(rows)]


def _values(order: Order) -> dict[str, Any]:
    return {name: getattr(order, name) for name in _NAMES}
