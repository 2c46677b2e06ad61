"""Commands from the command line to a dispenser on a real port and on a real broker, with the daemon killed between."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result

from hw_sim.control import SOCKET_NAME, call
from hw_sim.eeprom import Contents, read_contents
from hw_sim.simulation import eeprom_path
from picante.cli import main
from tests.access import console
from tests.flow.world import Process
from tests.gateway.web.conftest import write_config
from tests.servers import MosquittoServer, ServerElsewhere, free_port
from tests.waiting import wait_until

BAR = "hot-bar-1"
_SCENARIO = """\
store = "mercado-12"

[mqtt]
host = "{host}"
port = {mqtt_port}

[physics]
meter_spread = 0.0
meter_noise = 0.0

[[dispensers]]
id = "hot-bar-1"
link = "{link}"
nozzles = ["table-red", "chipotle-honey"]
"""


class Counter:
    """A gateway and one dispenser, each a process, on a link of one kind."""

    def __init__(self, directory: Path, link: str, mqtt: MosquittoServer | ServerElsewhere) -> None:
        self.directory = directory
        self.console = console(directory / "gateway")
        self.port = free_port()
        scenario = _SCENARIO.format(link=link, host=mqtt.host, mqtt_port=mqtt.port)
        (directory / "scenario.toml").write_text(scenario)
        ports = f'[serial]\nports = ["{directory}/sim/ports/usb-picante-*"]\n'
        broker = f'[mqtt]\nhost = "{mqtt.host}"\nport = {mqtt.port}\n'
        self.config = write_config(directory, self.port, broker if link == "mqtt" else ports, keys="sim/keys.toml")
        self.sim = Process(directory, "sim", "sim", "run", "--scenario", "scenario.toml", "--state", "sim")
        wait_until((directory / "sim" / "keys.toml").exists, 60, "the simulator has made its keys")
        self.start_gateway()

    def start_gateway(self) -> None:
        """Start the daemon, and wait for the dispenser."""
        self.gateway = Process(self.directory, "gateway", "gateway", "run", "--config", str(self.config))
        wait_until(self._online, 40, "the dispenser is online")

    def _online(self) -> bool:
        try:
            found = self.console.get("/api/v1/dispensers").json()["dispensers"]
        except (httpx.HTTPError, ValueError):
            return False
        return [dispenser["online"] for dispenser in found] == [True]

    def picante(self, *arguments: str, typed: str = "") -> Result:
        """`picante dispensers ...`, in this process."""
        given = [*arguments, "--config", str(self.config)]
        return CliRunner().invoke(main, ["dispensers", *given], input=typed)

    def command(self, command_id: str) -> dict[str, Any]:
        """What has become of a command."""
        url = f"/api/v1/dispensers/{BAR}/commands/{command_id}"
        found: dict[str, Any] = self.console.get(url).raise_for_status().json()
        return found

    def eeprom(self) -> Contents:
        """What the dispenser keeps."""
        return read_contents(eeprom_path(self.directory / "sim", BAR))

    def close(self) -> None:
        """End both."""
        self.gateway.stop()
        self.sim.stop()


@contextmanager
def _open(directory: Path, link: str, mqtt: MosquittoServer | ServerElsewhere) -> Iterator[Counter]:
    opened = Counter(directory, link, mqtt)
    try:
        yield opened
    finally:
        opened.close()


@pytest.fixture(scope="module")
def on_a_port(tmp_path_factory: pytest.TempPathFactory, mqtt: MosquittoServer | ServerElsewhere) -> Iterator[Counter]:
    """One for this file."""
    with _open(tmp_path_factory.mktemp("port"), "serial", mqtt) as opened:
        yield opened


def test_on_a_serial_port(on_a_port: Counter) -> None:
    _visit(on_a_port)


def test_on_a_broker(tmp_path: Path, mqtt: MosquittoServer | ServerElsewhere) -> None:
    with _open(tmp_path, "mqtt", mqtt) as counter:
        _visit(counter)


def _visit(counter: Counter) -> None:
    """A technician's visit; in the midst of a pour the daemon is killed, and the pour is done once."""
    told = counter.picante("send", BAR, "identify", "seconds=1")
    assert (told.exit_code, told.output) == (0, "identify seconds=1: done\n"), counter.gateway.said()

    typed = "\n2.05\n\n2.05\n\n2.05\n"  # the meter counts 100 pulses where the cylinder says 102.5 would be right
    calibrated = counter.picante("calibrate", BAR, "1", "--ml", "2", typed=typed)
    assert calibrated.exit_code == 0, calibrated.output
    assert "97.56 pulses per ml; the pours differ by 0.0%" in calibrated.output
    assert "100.00 -> 97.56 pulses per ml" in calibrated.output
    assert counter.eeprom().calibration[1].pulses_per_ml == 97.561

    given = counter.picante("send", BAR, "test_pour", "nozzle=2", "volume_ml=6", "--no-wait")
    command_id = given.output.strip()
    wait_until(lambda: counter.command(command_id)["state"] == "running", 10, "it pours")
    counter.gateway.kill()
    wait_until(lambda: all(each.done for each in counter.eeprom().commands), 20, "it has poured")
    counter.start_gateway()
    done = wait_until(lambda: (found := counter.command(command_id))["ended"] and found, 20, "what became of it")
    assert done["state"] == "done"
    assert done["measured"]["pulses"] == 600
    status = call(counter.directory / "sim" / SOCKET_NAME, {"do": "status"})
    assert status["dispensers"][BAR]["levels_ml"]["chipotle-honey"] == 744
    log = counter.eeprom().commands
    assert [each.verb for each in log] == ["identify", *["test_pour"] * 3, "calibrate", "test_pour"]

    rebooted = counter.picante("send", BAR, "reboot")
    assert (rebooted.exit_code, "reboot: done" in rebooted.output) == (0, True), rebooted.output
    undone = counter.picante("calibrate", BAR, "1", "--undo")
    assert "97.56 -> 100.00 pulses per ml" in undone.output
    listed = counter.picante("commands", BAR)
    assert listed.output.count("\n") == 8
    assert "test_pour nozzle=2 volume_ul=6000: done, 600 pulses, 6.0 ml in" in listed.output


def test_what_is_refused_is_said_in_words(on_a_port: Counter) -> None:
    counter = on_a_port
    before = counter.eeprom().calibration
    for given, words in (
        (("send", BAR, "test_pour", "nozzle=9"), "there is no nozzle 9"),
        (("send", BAR, "test_pour"), "test_pour: nozzle is missing. test_pour takes nozzle=N [volume_ml=20]"),
        (("send", BAR, "test_pour", "nozzle=1", "volume_ml=500"), "volume_ml=500 should be less than or equal to 100"),
        (("send", BAR, "set_planogram", "1=table-rad"), "table-rad is not in the catalogue. Did you mean table-red?"),
        (("send", BAR, "show_picks", "sauces=reaper-raw"), "reaper-raw is on none of its nozzles"),
        (("send", "hot-bar-7", "identify"), "there is no dispenser 'hot-bar-7'. Did you mean hot-bar-1?"),
        (("send", BAR, "lock", "locked"), "is not KEY=VALUE"),
        (("calibrate", BAR, "2", "--undo"), "no calibration of nozzle 2 is known here"),
    ):
        answer = counter.picante(*given)
        assert answer.exit_code != 0
        assert words in answer.output, answer.output
    uneven = counter.picante("calibrate", BAR, "1", "--ml", "2", typed="\n2\n\n2\n\n2.2\n")
    assert uneven.exit_code == 1
    assert "the pours differ by 9.4%, more than 5%" in uneven.output
    assert counter.eeprom().calibration == before
    placed = counter.picante("send", BAR, "set_planogram", "1=reaper-raw")
    assert placed.exit_code == 0, placed.output
    sauces = counter.console.get("/api/v1/dispensers").json()["dispensers"][0]["nozzles"]
    assert [nozzle["sauce"] for nozzle in sauces] == ["reaper-raw", "chipotle-honey"]
    url = f"/api/v1/dispensers/{BAR}/commands"
    body = {"verb": "identify", "id": "ab" * 16}
    first, again = (counter.console.post(url, json=body) for _ in range(2))
    assert (first.status_code, again.json()["id"]) == (202, first.json()["id"])
    other = counter.console.post(url, json=body | {"verb": "reboot"})
    assert (other.status_code, other.json()["type"]) == (409, "urn:picante:problem:id-taken")
    assert counter.console.post(url, json={"verb": "set_key"}).status_code == 422
    assert "masked" not in json.dumps(counter.console.get(url).json())
