"""`picante sim`, and its check against what a gateway lists."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from click.testing import CliRunner

from firmware_bridge.bodies import StatedBody
from heat.errors import LinkLost
from hw_sim import replay
from hw_sim.check import as_table, check_all, fetch
from hw_sim.control import VERBS, ControlServer
from hw_sim.journal import Journal, Recorder, read_journal
from hw_sim.keys import load_keys
from hw_sim.ring import Ring
from hw_sim.scenario import parse_scenario
from hw_sim.simulation import Simulation, journal_path, port_path, ring_path
from picante.cli_sim import sim
from tests.firmware_bridge.pair import Disk
from tests.hw_sim.desk import gateway_at
from tests.servers import free_port
from tests.waiting import wait_until_async

CAPTURES = Path(__file__).parents[1] / "captures"
ONE = '[[dispensers]]\nid = "bar-1"\nring = 32\n'


class Api:
    """A gateway's list of events, over HTTP, in pages of three at most."""

    def __init__(self, port: int = 0) -> None:
        self.ids: list[str] = []
        self.gaps: dict[str, tuple[int, int]] = {}
        """By the id of the gap's event: which of bar-1's are lost."""
        api = self

        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                query = parse_qs(urlsplit(self.path).query)
                after, limit = int(query["after"][0]), min(int(query["limit"][0]), 3)
                page = list(enumerate(api.ids, start=1))[after : after + limit]
                more = page[-1][0] if page and page[-1][0] < len(api.ids) else None
                events = [{"position": at, "id": identity, **api.told(identity)} for at, identity in page]
                self.send_response(200)
                self.end_headers()
                self.wfile.write(json.dumps({"events": events, "next": more}).encode())

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # its base names it so
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Answer)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def told(self, identity: str) -> dict[str, object]:
        """Type and data of an event."""
        if identity not in self.gaps:
            return {"type": "picante.stated.v1"}
        first, last = self.gaps[identity]
        gap = {"dispenser": "bar-1", "generation": 0xABC, "first": first, "last": last}
        return {"type": "picante.gap.v1", "data": gap}


@contextlib.contextmanager
def serving(api: Api) -> Iterator[Api]:
    """It answers inside."""
    thread = threading.Thread(target=api.server.serve_forever, args=(0.01,))
    thread.start()
    yield api
    api.server.shutdown()
    thread.join()
    api.server.server_close()


@pytest.fixture
def api() -> Iterator[Api]:
    with serving(Api()) as served:
        yield served


def make_events(state: Path, count: int, acked: int) -> list[str]:
    """Events of bar-1 in its ring and journal; their ids."""
    ring = Ring.open(ring_path(state, "bar-1"), 32, lambda: 0xABC)
    journal = Journal(journal_path(state))
    recorder = Recorder("bar-1", ring, journal)
    sequences = [recorder.record(1, StatedBody(shu=number), 0) for number in range(count)]
    ring.free(acked)
    ring.close()
    journal.close()
    return [f"bar-1:00000abc:{sequence}" for sequence in sequences]


# -- the comparison ----------------------------------------------------------------------------------------------------


def test_all_pages_are_read(api: Api) -> None:
    api.ids = [f"a:00000001:{number}" for number in range(1, 9)]
    assert list(fetch(api.url).arrived) == api.ids
    api.ids = api.ids[:6]
    assert list(fetch(api.url + "/").arrived) == api.ids
    api.ids = []
    assert list(fetch(api.url).arrived) == []


def test_all_there_is_good(state: Path, api: Api) -> None:
    api.ids = [*make_events(state, 10, acked=10), "gateway-1:00000001:1", "bar-10:00000abc:5"]
    [row] = check_all(state, ["bar-1"], api.url)
    assert row.good
    assert (row.expected, row.arrived) == (10, 10)


def test_what_is_missing_doubled_or_made_up_is_told(state: Path, api: Api) -> None:
    ids = make_events(state, 10, acked=10)
    api.ids = [*ids[:8], ids[3], "bar-1:00000abc:99"]
    [row] = check_all(state, ["bar-1"], api.url)
    assert not row.good
    assert row.missing == ("bar-1:00000abc:10", "bar-1:00000abc:9")
    assert row.doubled == (ids[3],)
    assert row.unknown == ("bar-1:00000abc:99",)
    table = as_table([row])
    assert "  missing: bar-1:00000abc:10, bar-1:00000abc:9" in table
    assert "  doubled: bar-1:00000abc:4" in table


def test_an_overflow_is_never_good(state: Path, api: Api) -> None:
    ids = make_events(state, 33, acked=33)
    api.ids = ["gw-1:00000001:1", *ids[2:]]
    api.gaps["gw-1:00000001:1"] = (1, 2)
    [row] = check_all(state, ["bar-1"], api.url)
    assert (row.header.dropped, row.told, row.agrees, row.good) == (2, 2, True, False)


@pytest.mark.parametrize(
    ("gap", "came", "untold", "mistold"),
    [
        (None, [], [1, 2], []),
        ((2, 2), [], [1], []),
        ((1, 2), [2], [], [2]),
        ((1, 3), [], [], [3]),
        ((2, 2), [1], [], []),
    ],
)
def test_what_was_dropped_must_be_told_to_the_event(
    state: Path, api: Api, gap: tuple[int, int] | None, came: list[int], untold: list[int], mistold: list[int]
) -> None:
    """What came before the ring dropped it is no loss, and must not be told as one."""
    ids = make_events(state, 33, acked=33)
    api.ids = ["gw-1:00000001:1", *(f"bar-1:00000abc:{sequence}" for sequence in came), *ids[2:]]
    if gap is not None:
        api.gaps["gw-1:00000001:1"] = gap
    [row] = check_all(state, ["bar-1"], api.url)
    assert [row.untold, row.mistold] == [
        tuple(f"bar-1:00000abc:{sequence}" for sequence in sequences) for sequences in (untold, mistold)
    ]
    assert row.agrees == (not untold and not mistold)
    assert row.unknown == ()


def test_a_loss_told_twice_is_told_wrongly(state: Path, api: Api) -> None:
    ids = make_events(state, 33, acked=33)
    api.ids = ["gw-1:00000001:1", "gw-1:00000001:2", *ids[2:]]
    api.gaps = {"gw-1:00000001:1": (1, 2), "gw-1:00000001:2": (2, 2)}
    [row] = check_all(state, ["bar-1"], api.url)
    assert row.mistold == ("bar-1:00000abc:2",)


def test_a_long_list_is_cut(state: Path, api: Api) -> None:
    make_events(state, 20, acked=20)
    table = as_table(check_all(state, ["bar-1"], api.url))
    assert "and 17 more" in table


def test_no_gateway_is_told(state: Path) -> None:
    make_events(state, 1, acked=0)
    with pytest.raises(LinkLost, match="Does the gateway run there"):
        check_all(state, ["bar-1"], "http://127.0.0.1:9")


def test_a_page_that_opens_late_is_waited_for(state: Path) -> None:
    [missing] = make_events(state, 1, acked=1)
    port = free_port()
    with contextlib.ExitStack() as opened:
        opening = threading.Timer(0.5, lambda: opened.enter_context(serving(Api(port))))
        opening.start()
        [row] = check_all(state, ["bar-1"], f"http://127.0.0.1:{port}", patience_s=20)
        opening.join()
    assert row.missing == (missing,)


# -- the commands ------------------------------------------------------------------------------------------------------


def write(state: Path, text: str) -> str:
    path = state / "scenario.toml"
    path.write_text(text)
    return str(path)


def run(*arguments: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(sim, [str(argument) for argument in arguments])
    return result.exit_code, result.output


def test_run_and_check_what_a_gateway_has(state: Path, api: Api) -> None:
    scenario = write(state, f'gateway = "{api.url}"\n' + ONE)
    api.ids = make_events(state, 5, acked=5)
    code, output = run("run", "--scenario", scenario, "--state", state, "--seconds", "0", "--check")
    assert code == 0, output
    assert "nothing lost, nothing twice" in output
    assert f"bar-1: {state}/ports/usb-picante-bar-1" in output
    api.ids.pop()
    code, output = run("run", "--scenario", scenario, "--state", state, "--seconds", "0", "--check")
    assert code == 1
    assert "NOT what was made" in output


def test_run_takes_another_seed(tmp_path: Path) -> None:
    scenario = tmp_path / "scenario.toml"
    scenario.write_text("[load]\ntotal = 20\nask_share = 0\n" + ONE)
    made = []
    for number, seed in enumerate(("7", "7", "8")):
        with tempfile.TemporaryDirectory(prefix="sim-") as state:
            code, output = run("run", "--scenario", scenario, "--state", state, "--seconds", "0.3", "--seed", seed)
            assert code == 0, output
            lines = [line for line in read_journal(journal_path(Path(state))) if "event" in line]
            made.append([(line["session"], line["body"]) for line in lines])
        assert len(made[number]) == 20
    assert made[0] == made[1] != made[2]


def test_run_without_check_needs_no_gateway(state: Path) -> None:
    code, output = run("run", "--scenario", write(state, ONE), "--state", state, "--seconds", "0.2")
    assert code == 0, output


@pytest.mark.parametrize(
    ("text", "more", "told"),
    [
        ("dispenser = 1", [], "unknown key 'dispenser'. Did you mean 'dispensers'?"),
        (ONE, ["--check"], "--check needs 'gateway'"),
        (ONE + "\n[[dispensers]]\nid = 'bar-1'", [], "stands there twice"),
    ],
)
def test_a_scenario_that_can_not_be_used_ends_with_a_hint(state: Path, text: str, more: list[str], told: str) -> None:
    code, output = run("run", "--scenario", write(state, text), "--state", state, *more)
    assert code == 2
    assert output.startswith("error: ")
    assert told in output


def test_a_missing_scenario_ends_with_a_hint(state: Path) -> None:
    code, output = run("run", "--scenario", state / "none.toml")
    assert code == 2
    assert "error: " in output


def test_screen_of_nobody(state: Path) -> None:
    code, output = run("screen", "bar-1", "--state", state)
    assert code == 2
    assert "Start it with `picante sim run`" in output


async def test_screen(state: Path) -> None:
    async with Simulation(parse_scenario(ONE), state) as simulation, ControlServer(simulation, lambda: None):
        code, output = await asyncio.to_thread(run, "screen", "bar-1", "--state", state)
        assert (code, output.strip()) == (0, simulation.units["bar-1"].twin.render_screen())
        code, output = await asyncio.to_thread(run, "screen", "bar-9", "--state", state)
        assert (code, output) == (2, "error: no dispenser 'bar-9'. There are: bar-1\n")


async def test_ctl_does_what_a_verb_says(state: Path) -> None:
    async with Simulation(parse_scenario(ONE), state) as simulation, ControlServer(simulation, lambda: None):
        unit = simulation.units["bar-1"]

        async def ctl(*words: str) -> tuple[int, str]:
            return await asyncio.to_thread(run, "ctl", *words, "--state", state)

        code, output = await ctl("pour", "bar-1", "nozzle=2", "ml=1.5", "quick=true", "--json")
        assert (code, json.loads(output)["event"]) == (0, unit.event_id(1))
        assert await ctl("unplug", "bar-1") == (0, "done\n")
        assert await ctl("power", "bar-1", "cycle") == (0, "boot: 2\n")
        assert await ctl("screen", "bar-1") == (0, unit.twin.render_screen() + "\n")
        code, output = await ctl("status")
        assert (code, output.splitlines()[1].split()[:3]) == (0, ["bar-1", "on", "unplugged"])
        assert await ctl("block", "bar-1", "nozzle=2") == (0, "done\n")
        told = "error: nothing was poured at bar-1: nozzle 2 is blocked\n"
        assert await ctl("pour", "bar-1", "nozzle=2") == (1, told)
        code, output = await ctl("refill", "bar-1", "nozzle=9")
        assert (code, output.startswith("error: bar-1 has no nozzle 9. It has 1 (")) == (2, True)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["dance"], "no verb 'dance'. There are: status, pause, "),
        (["door", "bar-1"], "missing required field `to`. It is written: door DISPENSER to=open|shut"),
        (["door", "bar-1", "open", "wide"], "door: 'wide' is one word too many. It is written: door "),
        (["leak", "bar-1", "nozzle=two"], "Expected `int`, got `str` - at `$.nozzle`"),
        (["status"], "Start it with `picante sim run`"),
    ],
)
def test_ctl_says_how_a_verb_is_written(state: Path, words: list[str], told: str) -> None:
    code, output = run("ctl", *words, "--state", state)
    assert code == 2
    assert told in output


def test_ctl_alone_lists_the_verbs() -> None:
    code, output = run("ctl")
    assert code == 0
    assert "\npower DISPENSER to=off|on|cycle [seconds=...] [in_write=...]\n    Turn it off " in output
    assert [line.split()[0] for line in output.splitlines() if not line.startswith(" ")] == list(VERBS)


@pytest.mark.parametrize(
    ("content", "options", "told"),
    [
        ("nothing\n", [], "line 1 is no line of a capture"),
        (
            '{"capture":1}\n{"ms":1,"link":"a","way":"up","is":"hello","hex":"0g"}\n',
            [],
            "line 2 is no line of a capture: Expected `str` matching regex",
        ),
        ("", [], "this is no capture. `picante gateway trace --out FILE` makes one"),
        (None, [], "patio-1 was on MQTT. Name a broker with --mqtt HOST:PORT"),
        (None, ["--mqtt", "localhost"], "--mqtt localhost: no address. It reads HOST:PORT"),
    ],
)
def test_what_can_not_be_played_is_told(state: Path, content: str | None, options: list[str], told: str) -> None:
    capture = CAPTURES / "customers-on-mqtt.jsonl"
    if content is not None:
        capture = state / "capture.jsonl"
        capture.write_text(content)
    code, output = run("replay", capture, "--state", state, *options)
    assert code == 2
    assert told in output


async def play_to_gateways(state: Path, name: str, dispensers: list[str]) -> tuple[int, str, Disk]:
    """`picante sim replay`, with a gateway at each dispenser's port: exit status, output, what was stored."""
    words = ("replay", CAPTURES / f"{name}.jsonl", "--state", state, "--speed", "0")
    playing = asyncio.create_task(asyncio.to_thread(run, *words))
    ports = [port_path(state, dispenser) for dispenser in dispensers]
    await wait_until_async(lambda: all(port.exists() for port in ports), 20, "the ports are there")
    disk = Disk(keys=load_keys(state / "keys.toml"))
    async with contextlib.AsyncExitStack() as stack:
        for port in ports:
            await stack.enter_async_context(gateway_at(port, disk))
        code, output = await asyncio.wait_for(playing, 30)
    return code, output, disk


@pytest.mark.parametrize(
    ("name", "dispensers", "told"),
    [
        ("cables-swapped", ["slow", "bar-1"], []),
        ("moved-to-another-port", ["slow"], []),
        ("a-port-that-babbles", ["slow", "bar-1"], ["/dev/ttyUSB0: left out, nobody says HELLO there"]),
    ],
)
async def test_a_capture_of_the_field_is_played(state: Path, name: str, dispensers: list[str], told: list[str]) -> None:
    code, output, disk = await play_to_gateways(state, name, dispensers)
    expected = json.loads((CAPTURES / f"{name}.expected.json").read_text())
    assert code == 0, output
    assert output.splitlines()[: -len(dispensers)] == [
        *told,
        *(f"{dispenser}: {port_path(state, dispenser)}" for dispenser in dispensers),
    ]
    for dispenser, line in zip(dispensers, output.splitlines()[-len(dispensers) :], strict=True):
        assert line.startswith(f"{dispenser}: ")
        assert f", {expected[dispenser]['events']} events, 0 not acknowledged, " in line
    assert len(disk.stored) == sum(expected[dispenser]["events"] for dispenser in dispensers)


def test_a_hello_alone_that_nobody_answers_is_no_success(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "PATIENCE_MS", 300)
    lines = (CAPTURES / "cables-swapped.jsonl").read_text().splitlines(keepends=True)
    capture = state / "capture.jsonl"
    capture.write_text("".join(lines[:2]))
    code, output = run("replay", capture, "--state", state)
    assert (code, output.splitlines()[-1].endswith(", no WELCOME came within 0 s")) == (1, True)


def test_ctrl_c_ends_a_replay_quietly(state: Path) -> None:
    words = ["-m", "picante", "sim", "replay", str(CAPTURES / "cables-swapped.jsonl"), "--state", str(state)]
    with subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as playing:
        assert playing.stdout is not None
        first = playing.stdout.readline()  # its ports are there
        playing.send_signal(signal.SIGINT)
        rest = playing.stdout.read().decode()
        assert playing.wait(20) == 130
    assert first.startswith(b"slow: ")
    assert rest.splitlines()[-1] == "stopped"
    assert "Traceback" not in rest
    assert not any((state / "ports").iterdir())


@pytest.mark.parametrize("command", ["run", "screen", "ctl", "replay"])
def test_every_command_has_an_example_and_its_exit_statuses(command: str) -> None:
    code, output = run(command, "--help")
    assert code == 0
    assert f"Example:  picante sim {command} " in output
    assert "Exit status: 0 " in output
