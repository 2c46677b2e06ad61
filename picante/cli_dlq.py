"""`picante cloud dlq`: what was refused, why, what to do about it, and sending it again once it is mended."""

from __future__ import annotations

import json
import re
import sys
import time
from collections import Counter, deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from cloud_sync.dead_letter import DeadLetter
from heat.errors import DataError, PicanteError
from heat.quality import Reason
from picante.cloud_options import CLOUD_CONFIG, NEEDS_A_PERSON, WAITS_FOR_YES, YES, table, told
from picante.errors import exit_with_hint

if TYPE_CHECKING:
    from cloud.dead_letters import Prospect, Topics
    from cloud.librdkafka import Cluster

LINES = 50
"""Lines of a replay at most; what it came to is counted below them."""
UNITS = {"m": "minutes", "h": "hours", "d": "days"}
Filter = Callable[[DeadLetter], bool]


def _since(_context: click.Context, _option: click.Parameter, value: str | None) -> int | None:
    """Unix time, ms, of `6h`, `3d`, `2026-11-25` or `2026-11-25T12:00`."""
    if value is None:
        return None
    try:
        if match := re.fullmatch(r"([0-9]{1,6})([mhd])", value):
            moment = datetime.now(UTC) - timedelta(**{UNITS[match[2]]: int(match[1])})
        else:
            moment = datetime.fromisoformat(value)
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
    except (ValueError, OverflowError) as error:
        raise click.BadParameter(f"{value!r} is no time: write 6h, 3d, 2026-11-25 or 2026-11-25T12:00 (UTC)") from error


REASON = click.option("--reason", type=click.Choice(get_args(Reason)), help="Only those with this reason.")
SINCE = click.option("--since", callback=_since, metavar="TIME", help="Only those since: 6h, 3d, 2026-11-25 (UTC).")
ORIGIN = click.option("--origin", metavar="NAME", help="Only those of this gateway, app or survey.")
LIMIT = click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000), help="Lines at most.")


@click.group()
def dlq() -> None:
    """Dead letters: what was refused, by gateways and by the cloud.

    \b
    Exit status: 0 done, 1 Kafka is not there or refuses, 2 configuration or usage,
    3 there is something to replay (--yes does it), 4 some of what was chosen can't be replayed: it says why.
    """


@dlq.command("list")
@CLOUD_CONFIG
@REASON
@SINCE
@ORIGIN
@LIMIT
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def list_(
    config_path: Path, *, reason: str | None, since: int | None, origin: str | None, limit: int, as_json: bool
) -> None:
    """List dead letters, the newest last.

    \b
    Examples:  picante cloud dlq list --since 24h
               picante cloud dlq list --reason malformed --json
    """
    from cloud.dead_letters import letters, mark_of, marks

    with told():
        cluster, topics = _places(config_path)
        wanted, sent = _filter(reason, since, origin), marks(cluster, topics.marks)
        reasons: Counter[str] = Counter()
        newest: deque[DeadLetter] = deque(maxlen=limit)
        for letter in filter(wanted, letters(cluster, topics.letters)):
            reasons[letter.reason or "no reason"] += 1
            newest.append(letter)
    if as_json:
        for letter in newest:
            click.echo(json.dumps(_document(letter, again=mark_of(letter) in sent)))
        return
    if not newest:
        click.echo("No dead letters")
        return
    rows: list[tuple[str, ...]] = [("ID", "SINCE (UTC)", "REASON", "LAY IN", "EVENT", "ORIGIN", "WHAT")]
    rows += [_row(letter, again=mark_of(letter) in sent) for letter in newest]
    for line in table(rows):
        click.echo(_printable(line))
    many = ", ".join(f"{count} {name}" for name, count in reasons.most_common())
    older = reasons.total() - len(newest)
    click.echo(f"{many}{f'; {older} older ones are not shown: --limit' if older else ''}")


@dlq.command()
@click.argument("letter_id", metavar="ID")
@CLOUD_CONFIG
@click.option("--raw", is_flag=True, help="Print the value alone, byte by byte as it is: > FILE.")
def show(letter_id: str, config_path: Path, *, raw: bool) -> None:
    """Show one dead letter: what is wrong, what to do about it, and all that it holds.

    \b
    Example:  picante cloud dlq show 0:17
    """
    from cloud.dead_letters import mark_of, marks, one_letter, parse_letter_id, prospect
    from cloud.letter_page import page

    with told():
        place = _id(parse_letter_id, letter_id)
        cluster, topics = _places(config_path)
        letter = one_letter(cluster, *place, topics.letters)
        if letter is None:
            raise PicanteError(f"there is no dead letter {letter_id}", hint="See picante cloud dlq list")
        if raw:
            click.echo(letter.letter.value or b"", nl=False)
            return
        sent = marks(cluster, topics.marks) & {mark_of(letter)}
        for line in page(letter, prospect(letter, sent, _now_ms(), topics.targets)):
            click.echo(_printable(line))


@dlq.command()
@click.argument("letter_ids", metavar="[ID]...", nargs=-1)
@CLOUD_CONFIG
@REASON
@SINCE
@ORIGIN
@click.option("--all", "everything", is_flag=True, help="All dead letters.")
@YES
def replay(  # noqa: PLR0913 -- a parameter for each option
    letter_ids: tuple[str, ...],
    config_path: Path,
    *,
    reason: str | None,
    since: int | None,
    origin: str | None,
    everything: bool,
    yes: bool,
) -> None:
    """Send dead letters again to where they lay, once what was wrong is mended: key, value and headers as they were.

    An event keeps its identity, so it is folded once however often it comes; and each letter is sent again once. What
    would be refused again is left. Choose by IDs or by options. Nothing is sent without --yes.

    \b
    Examples:  picante cloud dlq replay --reason unknown_type --since 3d
               picante cloud dlq replay 0:17 0:18 --yes
    """
    from cloud.dead_letters import letters, marks, parse_letter_id, prospect
    from cloud.dead_letters import replay as send_again

    if bool(letter_ids) == (everything or (reason, since, origin) != (None, None, None)):
        raise click.UsageError("Which dead letters? Give IDs, or --reason, --since, --origin, or --all")
    with told():
        places = {_id(parse_letter_id, one) for one in letter_ids}
        wanted, now_ms = _filter(reason, since, origin, places), _now_ms()
        cluster, topics = _places(config_path)
        if yes:
            prospects = send_again(cluster, wanted, now_ms, topics)
        else:
            sent = marks(cluster, topics.marks)
            chosen = filter(wanted, letters(cluster, topics.letters))
            prospects = (prospect(one, sent, now_ms, topics.targets) for one in chosen)
        fates = Counter(_say(one, number, yes=yes) for number, one in enumerate(prospects))
    if missing := len(places) - fates.total() if places else 0:
        click.echo(f"{missing} of {len(places)} are not there")
    again, already, never = fates["replay"], fates["already"], fates["never"]
    click.echo(f"{again} {'sent again' if yes else 'to send again'}, {already} were already, {never} can't be")
    if again and not yes:
        click.echo("Nothing was sent: --yes does it")
        sys.exit(WAITS_FOR_YES)
    sys.exit(NEEDS_A_PERSON if never or missing else 0)


def _say(one: Prospect, number: int, *, yes: bool) -> str:
    from cloud.dead_letters import letter_id

    if number < LINES:
        did = {
            "replay": "sent again" if yes else "to send again",
            "already": "was sent again already",
            "never": one.why,
        }
        lay = one.letter.source
        where = f"  {lay.topic} {lay.partition}:{lay.offset}" if lay else ""
        click.echo(_printable(f"{letter_id(one.letter)}  {one.letter.reason or 'no reason'}{where}  {did[one.fate]}"))
    elif number == LINES:
        click.echo("...")
    return one.fate


def _filter(
    reason: str | None, since: int | None, origin: str | None, places: set[tuple[int, int]] | None = None
) -> Filter:
    def wanted(letter: DeadLetter) -> bool:
        from cloud.letter_page import whose

        return (
            (reason is None or letter.reason == reason)
            and (since is None or letter.letter.timestamp_ms >= since)
            and (origin is None or whose(letter)[1] == origin)
            and (not places or (letter.letter.partition, letter.letter.offset) in places)
        )

    return wanted


def _row(letter: DeadLetter, *, again: bool) -> tuple[str, ...]:
    from cloud.dead_letters import letter_id
    from cloud.letter_page import short, utc, whose

    event, origin = whose(letter)
    lay = letter.source
    where = f"{short(lay.topic)} {lay.partition}:{lay.offset}" if lay else "-"
    what = f"{letter.detail}{'  (sent again)' if again else ''}"
    cells = (letter_id(letter), utc(letter.letter.timestamp_ms), letter.reason or "-", where)
    return (*cells, event or "-", origin or "-", what)


def _document(letter: DeadLetter, *, again: bool) -> dict[str, Any]:
    from cloud.dead_letters import letter_id
    from cloud.letter_page import utc, whose

    event, origin = whose(letter)
    lay = letter.source
    return {
        "id": letter_id(letter),
        "time": utc(letter.letter.timestamp_ms),
        "reason": letter.reason,
        "detail": letter.detail,
        "writer": letter.writer,
        "source": None if lay is None else {"topic": lay.topic, "partition": lay.partition, "offset": lay.offset},
        "event_id": event,
        "origin": origin,
        "bytes": len(letter.letter.value or b""),
        "sent_again": again,
    }


def _id(parse: Callable[[str], tuple[int, int]], text: str) -> tuple[int, int]:
    try:
        return parse(text)
    except DataError as error:
        exit_with_hint(error, 2)


def _places(config_path: Path) -> tuple[Cluster, Topics]:
    from cloud.config import load_cloud_config
    from cloud.dead_letters import topics_of
    from cloud.librdkafka import cluster_of

    config = load_cloud_config(config_path)
    return cluster_of(config), topics_of(config)


def _printable(text: str) -> str:
    from cloud.record_lines import printable

    return printable(text)


def _now_ms() -> int:
    return int(time.time() * 1000)
