"""How the demo looks: acts scroll by as they happen, a table of numbers stays below them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from picante.demo.numbers import CloudNumbers, Numbers

WHAT_IS_REAL = (
    "[bold red]Picante[/]  real: gateway daemon, SQLite, wire protocol on PTYs, MQTT broker, ONNX picks, Kafka"
    " protocol.  Simulated: dispensers, shoppers{kafka}."
)


class Show:
    """The terminal. Without one (or with `quiet`) there is no table, and acts are plain lines."""

    def __init__(self, *, quiet: bool) -> None:
        self._console = Console(quiet=quiet, highlight=False)
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._has_table = self._console.is_terminal and not quiet

    def __enter__(self) -> Self:
        if self._has_table:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._has_table:
            self._live.stop()

    def tell(self, line: str) -> None:
        """Print a line above the table."""
        self._console.print(line, soft_wrap=not self._console.is_terminal)

    def update(self, numbers: Numbers, elapsed_s: float) -> None:
        """Draw the table anew."""
        if self._has_table:
            self._live.update(
                Group(Text(""), *_tables(numbers), Text(f"{elapsed_s:5.0f} s · Ctrl-C ends it", "dim")), refresh=True
            )

    def verdict(self, numbers: Numbers, picks: dict[str, float], *, ended: bool) -> None:
        """Say how it went."""
        faults = numbers.faults(ended=ended)
        sign = f"[bold red]✘ {'; '.join(faults)}[/]" if faults else "[bold green]✔ nothing lost, nothing twice[/]"
        accepted = f"{numbers.picks_accepted / numbers.picks_shown:.0%}" if numbers.picks_shown else "none"
        self._console.print(*_tables(numbers), sep="\n")
        self.tell(
            f"{sign}: {numbers.generated} events generated, {numbers.in_topic} in Kafka, {numbers.lost} lost,"
            f" {numbers.duplicates} doubled"
        )
        if (cloud := numbers.cloud) is not None:
            same = f"[green]{cloud.equal}[/]" if cloud.digests_equal else f"[yellow]{cloud.equal}[/]"
            self.tell(
                f"cloud: {cloud.events} events folded, the gateway's own among them,"
                f" {cloud.lake_rows} rows in the lake;"
                f" {same} of {cloud.customers} customers have the digest that the gateway has"
            )
        took = f"; ASK → PICKS p50 {picks['p50']:.1f} ms, p99 {picks['p99']:.1f} ms" if picks["p99"] else ""
        self.tell(f"picks: {numbers.picks_shown} shown, {accepted} accepted{took}")


def _tables(numbers: Numbers) -> list[Table]:
    return [_edge(numbers)] if numbers.cloud is None else [_edge(numbers), _cloud(numbers.cloud)]


def _cloud(numbers: CloudNumbers) -> Table:
    digests = f"{numbers.equal}/{numbers.customers}"
    return _table(
        {
            "folded, with the gateway's": (numbers.events, ""),
            "repeated": (numbers.duplicates, ""),
            "profiles": (numbers.profiles, ""),
            "digests =": (digests, "green" if numbers.digests_equal else "yellow"),
            "lake rows": (numbers.lake_rows, ""),
        }
    )


def _edge(numbers: Numbers) -> Table:
    cells: dict[str, tuple[int | str, str]] = {
        "online": (numbers.online, "green" if numbers.online == 6 else "yellow"),
        "generated": (numbers.generated, ""),
        "stored": (numbers.stored, ""),
        "in Kafka": (numbers.in_topic, ""),
        "outbox": (numbers.waiting, "yellow" if numbers.waiting > 100 else ""),
        "lost": (numbers.lost, "red" if numbers.lost else "green"),
        "doubled": (numbers.duplicates, "red" if numbers.duplicates else "green"),
        "picks shown": (numbers.picks_shown, ""),
        "accepted": (numbers.picks_accepted, ""),
    }
    return _table(cells)


def _table(cells: Mapping[str, tuple[int | str, str]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in cells:
        table.add_column(name, justify="right", min_width=6)  # all of them fit into 80 columns
    table.add_row(*(Text(value if isinstance(value, str) else f"{value:,}", style) for value, style in cells.values()))
    return table
