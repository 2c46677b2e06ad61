"""A counter with dispensers that always have another event, and the gateway on it: real processes, real PTYs.

    with at_counter(directory, data_dir) as counter:
        counter.start_gateway()
        counter.open_lines()
        counter.serve(0.3)               events go in, ACKs come out
        counter.freeze(); counter.drain()    from here on no ACK can come that was not counted

Dispensers keep what was not acknowledged, as rings do, and send it again after the next opening.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import select
import signal
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx

from firmware_bridge.bodies import PouredBody
from firmware_bridge.codec import body_map, decode_message, encode_message
from firmware_bridge.framing import Frame
from firmware_bridge.messages import Ack, EventMessage, Hello, HelloRequest, Ping, Pong
from gateway.quarantine import DIRECTORY
from picante.cli import main
from tests.access import console
from tests.hand_device import HandDevice
from tests.servers import free_port
from tests.waiting import wait_until

KEY = bytes(range(32))
SAUCES = ("table-red", "lime-jalapeno")
READY_WITHIN_S = 10.0
"""Seconds from the start to the first ready answer, after whatever fault: promised."""
_BOOT, _UPTIME_MS = 1, 60_000
_SILENCE_S = 0.01

_CONFIG = """\
[gateway]
id = "gw-fault"
store = "fault-store"
region = "south"
data_dir = "{data_dir}"
{more}
[keys]
dispensers = "keys.toml"
pseudonym = "pseudonym.toml"

[serial]
ports = ["{directory}/ports/*"]

[http]
port = {port}
"""


class Dispenser(HandDevice):
    """A dispenser that has another pour whenever the window lets it through."""

    def __init__(self, port: Path, name: str) -> None:
        super().__init__(port, name, KEY, sauces=SAUCES)
        self.acked = 0
        self.wanted: int | None = None
        """The last sequence that it makes; None: it never ends."""
        self._window = 0
        self._next = 1

    def hello(self, **changes: object) -> Hello:
        """See `HandDevice.hello`; the ring holds what is not acknowledged."""
        return super().hello(**({"lowest": self.acked + 1, "next": self.sequence + 1} | changes))

    def reopen(self, within_s: float = 10) -> int:
        """Open the link when the gateway asks; the last sequence that it has on disk."""
        self.expect(HelloRequest, within_s)
        welcome = self.open()
        self._window = welcome.window
        self._next = max(welcome.durable, self.acked) + 1
        self._read.clear()
        return welcome.durable

    def push(self) -> None:
        """Send what the window lets through."""
        while self._next <= self.acked + self._window and (self.wanted is None or self._next <= self.wanted):
            self.sequence = max(self.sequence, self._next)
            self.write(encode_message(self._pour(self._next)))
            self._next += 1

    def take(self) -> None:
        """Read what the gateway said; nothing may have come."""
        for frame in self._decoder.feed(os.read(self._master, 65_536)):
            message = decode_message(frame) if isinstance(frame, Frame) else frame
            if isinstance(message, Ack):
                self.acked = max(self.acked, message.sequence)
            elif isinstance(message, Ping):
                self.send(Pong(nonce=message.nonce))

    def again(self) -> None:
        """Send everything again that is not acknowledged, as a dispenser does that hears nothing for a while."""
        self._next = self.acked + 1

    def fileno(self) -> int:
        """For `select`."""
        return self._master

    def _pour(self, sequence: int) -> EventMessage:
        sauce = SAUCES[sequence % len(SAUCES)]
        body = PouredBody(nozzle=1, sauce=sauce, volume_ul=4_000, duration_ms=800)
        return EventMessage(
            generation=self.generation,
            sequence=sequence,
            boot=_BOOT,
            uptime_ms=_UPTIME_MS,
            sent_uptime_ms=_UPTIME_MS,
            session=1 + sequence // 5,
            kind=body.number,
            body=body_map(body),
        )


class Counter:
    """Dispensers and one gateway."""

    def __init__(self, directory: Path, data_dir: Path, dispensers: list[Dispenser]) -> None:
        self.data_dir = data_dir
        self.dispensers = dispensers
        self.url = ""
        self.console = console(data_dir)
        self._directory = directory
        self._gateway: Any = None

    # -- the gateway ------------------------------------------------------------------------------------------------

    def start_gateway(self, more: str = "") -> float:
        """Start `picante gateway run` and wait until it is ready; the seconds that took.

        `more` are further lines of its [gateway]. It is forked from a process that has its imports done, which saves
        a second a start.
        """
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        config = self._directory / "gateway.toml"
        config.write_text(_CONFIG.format(directory=self._directory, data_dir=self.data_dir, port=port, more=more))
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["gateway.app", "gateway.web.server", "picante.cli"])
        began_s = time.monotonic()
        self._gateway = context.Process(target=_run_gateway, args=(config, self._directory / "gateway.log"))
        self._gateway.start()
        wait_until(self._is_ready, READY_WITHIN_S, "the gateway is ready", promised=True)
        return time.monotonic() - began_s

    def _is_ready(self) -> bool:
        assert self._gateway.is_alive(), f"the gateway ended: {self.said()}"
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(f"{self.url}/readyz", timeout=2).is_success
        return False

    def freeze(self) -> None:
        """Stop the gateway where it stands, all its threads."""
        os.kill(self.pid, signal.SIGSTOP)
        tasks = Path(f"/proc/{self.pid}/task")

        def stands() -> bool:
            states = [(task / "stat").read_text().rpartition(")")[2].split()[0] for task in tasks.iterdir()]
            return set(states) == {"T"}

        wait_until(stands, 10, "all the gateway's threads are stopped")

    def thaw(self) -> None:
        """Let a frozen gateway go on."""
        os.kill(self.pid, signal.SIGCONT)

    @property
    def pid(self) -> int:
        """Of the running gateway."""
        return int(self._gateway.pid)

    def kill(self) -> None:
        """SIGKILL the gateway."""
        if self._gateway is not None:
            self._gateway.kill()
            self._gateway.join()

    def stop(self) -> None:
        """SIGTERM the gateway, and wait until it is over."""
        self._gateway.terminate()
        assert self.ended(10) == 0, self.said()

    def ended(self, within_s: float) -> int:
        """The exit status of a gateway that should end by itself."""
        self._gateway.join(within_s)
        assert self._gateway.exitcode is not None, f"the gateway did not end in {within_s} s: {self.said()}"
        return int(self._gateway.exitcode)

    def has_ended(self) -> bool:
        """Whether the gateway is over."""
        return not self._gateway.is_alive()

    def said(self) -> str:
        """The end of the gateway's output."""
        log = self._directory / "gateway.log"
        return log.read_text(errors="replace")[-2000:] if log.exists() else ""

    def query(self, sql: str, *arguments: object) -> list[tuple[Any, ...]]:
        """Rows of the gateway's database, read beside it."""
        path = self.data_dir / "gateway.db"
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            return connection.execute(sql, arguments).fetchall()

    # -- the dispensers ---------------------------------------------------------------------------------------------

    def open_lines(self, within_s: float = 10) -> None:
        """Open all links within a time. What was acknowledged must be on disk."""
        give_up_s = time.monotonic() + within_s
        for dispenser in self.dispensers:
            durable = dispenser.reopen(max(give_up_s - time.monotonic(), 0))
            assert durable >= dispenser.acked, f"{dispenser.name}: {dispenser.acked} acknowledged, {durable} on disk"
            dispenser.acked = durable

    def serve(self, seconds: float) -> None:
        """Let events flow."""
        end_s = time.monotonic() + seconds
        while (left_s := end_s - time.monotonic()) > 0:
            for dispenser in self.dispensers:
                dispenser.push()
            for dispenser in select.select(self.dispensers, [], [], min(left_s, 0.05))[0]:
                dispenser.take()

    def serve_until(self, condition: Callable[[], bool], within_s: float, what: str, *, promised: bool = False) -> None:
        """Let events flow until something is the case; `promised` as for `wait_until`."""

        def met() -> bool:
            self.serve(0.02)
            return condition()

        wait_until(met, within_s, what, promised=promised)

    def serve_until_all_have_more(self, promised_s: float | None = None) -> None:
        """The gateway goes on: each dispenser gets another ACK, if need be within what is promised."""
        before = self.acked()

        def all_have_more() -> bool:
            return all(acked > before[name] for name, acked in self.acked().items())

        what = "each dispenser has another event acknowledged"
        self.serve_until(all_have_more, 10 if promised_s is None else promised_s, what, promised=promised_s is not None)

    def drain(self) -> None:
        """Read what has been said to the dispensers, to the end. Only a frozen gateway comes to one."""
        while ready := select.select(self.dispensers, [], [], _SILENCE_S)[0]:
            for dispenser in ready:
                dispenser.take()

    def acked(self) -> dict[str, int]:
        """The last acknowledged sequence of each dispenser."""
        return {dispenser.name: dispenser.acked for dispenser in self.dispensers}

    def check(self) -> None:
        """Every acknowledged event is in the database once, and the database is sound, and was at the start."""
        assert not (self.data_dir / DIRECTORY).exists(), self.said()
        assert self.query("PRAGMA integrity_check") == [("ok",)]
        for name, acked in self.acked().items():
            found = self.query(
                "SELECT count(*), count(DISTINCT sequence), ifnull(sum(sequence <= ?), 0) FROM events WHERE source = ?",
                acked,
                name,
            )
            rows, different, promised = found[0]
            assert (rows, promised) == (different, acked), f"{name}: {found[0]}, {acked} acknowledged"


@contextlib.contextmanager
def at_counter(directory: Path, data_dir: Path, dispensers: int = 2) -> Iterator[Counter]:
    """A counter with its dispensers; the gateway is the test's to start, and ends with this."""
    directory.mkdir(exist_ok=True)
    names = [f"hand-{number}" for number in range(1, dispensers + 1)]
    keys = "".join(f'{name} = "{KEY.hex()}"\n' for name in names)
    for name, secret in (("keys", f"[dispensers]\n{keys}"), ("pseudonym", f'version = 1\nkey = "{KEY.hex()}"\n')):
        path = directory / f"{name}.toml"
        path.touch(0o600)
        path.write_text(secret)
    with contextlib.ExitStack() as stack:
        devices = [stack.enter_context(Dispenser(directory / "ports" / name, name)) for name in names]
        counter = Counter(directory, data_dir, devices)
        stack.callback(counter.kill)
        yield counter


def _run_gateway(config: Path, log: Path) -> None:
    with log.open("ab") as output:
        os.dup2(output.fileno(), sys.stdout.fileno())
        os.dup2(output.fileno(), sys.stderr.fileno())
    main(["gateway", "run", "--config", str(config)])
