"""The technician's commands against a daemon's web, and against none."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from firmware_bridge.link import Link
from firmware_bridge.messages import NozzleInfo
from firmware_bridge.session import Terms
from heat.catalog import default_catalog
from picante.cli import main
from tests.gateway.adopting import hello
from tests.gateway.web.conftest import Down, Inside, inside_of, write_config
from tests.servers import free_port

KEY = "1f" * 32


@pytest.fixture
async def inside(tmp_path: Path) -> AsyncIterator[Inside]:
    async with inside_of(tmp_path) as opened:
        yield opened


async def say(directory: Path, *words: str, typed: str | None = None, columns: int = 80) -> tuple[int, str]:
    """What a command says, to a terminal of so many columns; the daemon goes on meanwhile."""
    arguments = ["dispensers", words[0], "--config", str(directory / "gateway.toml"), *words[1:]]
    runner = CliRunner(env={"COLUMNS": str(columns)})
    result = await asyncio.to_thread(runner.invoke, main, arguments, input=typed)
    assert KEY not in result.output
    return result.exit_code, result.output


async def test_the_list_fits_a_terminal_whatever_is_in_it(inside: Inside, tmp_path: Path) -> None:
    assert "Plug one in" in (await say(tmp_path, "list"))[1]
    inside.hello((1, "table-red", 412), (2, "chipotle-honey", 80))
    nozzles = tuple(NozzleInfo(number, sauce, 750) for number, sauce in enumerate(list(default_catalog())[:12], 1))
    inside.link.receive(hello("b" * 32, nozzles=nozzles, key_id=b"abcd", firmware="1.0.0"), 0)
    assert (await say(tmp_path, "rename", "hot-bar-1", "Bar,", "left", "of", "the", "great", "door"))[0] == 0
    _, said = await say(tmp_path, "list")
    lines = said.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].split() == ["NAME", "ID", "STATE", "WHERE", "FIRMWARE"]
    waiting = next(index for index, line in enumerate(lines) if line.startswith("bbb"))
    assert lines[waiting].split()[2] == "waits"
    assert "the key of another gateway" in lines[waiting + 1]
    online = next(line for line in lines if "hot-bar-1" in line)
    assert online.startswith("Bar, left of the…")
    assert "1 table-red 412 ml · 2 chipotle-honey 80 ml" in said.replace("\u00a0", " ")
    assert json.loads((await say(tmp_path, "list", "--json"))[1])["dispensers"][1]["name"] == "hot-bar-1"


async def test_a_key_is_read_from_a_file_or_from_standard_input(inside: Inside, tmp_path: Path) -> None:
    inside.link.receive(hello("bar-7", key_id=b"abcd"), 0)
    for typed in ("", KEY[:-1], f"{KEY} {KEY}"):
        status, said = await say(tmp_path, "adopt", "bar-7", "--key-file", "-", typed=typed)
        assert (status, "64 hex digits" in said) == (2, True)
    assert (await say(tmp_path, "adopt", "bar-7", "--key-file", "-", typed=KEY + "\n"))[0] == 0
    assert inside.state.dispensers.keyring.key_of("bar-7", None) == bytes.fromhex(KEY)


async def test_a_key_file_is_nobody_else_s_to_read(inside: Inside, tmp_path: Path) -> None:
    inside.link.receive(hello("bar-7", key_id=b"abcd"), 0)
    file = tmp_path / "bar-7.key"
    file.write_text(KEY)
    file.chmod(0o644)
    status, said = await say(tmp_path, "adopt", "bar-7", "--key-file", str(file))
    assert (status, f"chmod 600 {file}" in said) == (2, True)
    status, said = await say(tmp_path, "adopt", "bar-7", "--key-file", str(tmp_path / "none"))
    assert (status, "--key-file names this file" in said) == (2, True)
    assert not inside.state.dispensers.keyring.is_adopted("bar-7")
    file.chmod(0o600)
    assert (await say(tmp_path, "adopt", "bar-7", "--key-file", str(file)))[0] == 0
    assert inside.state.dispensers.keyring.is_adopted("bar-7")


@pytest.mark.parametrize("name", ["", "Bar 7", "../status", "b" * 33])
@pytest.mark.parametrize(
    "words",
    ["adopt", "rename x", "planogram", "rotate-key", "forget --yes"],
)
async def test_what_is_no_id_asks_for_nothing(tmp_path: Path, words: str, name: str) -> None:
    write_config(tmp_path, free_port())
    command, *more = words.split()
    status, said = await say(tmp_path, command, name, *more)
    assert (status, "is not a name" in said) == (2, True), said


async def test_one_of_a_name_that_is_online_elsewhere_is_listed(inside: Inside, tmp_path: Path) -> None:
    inside.hello((1, "table-red", 412))
    gate = inside.state.dispensers
    Link("/dev/ttyUSB9", Down(), gate, gate).receive(hello("hot-bar-1"), 0)
    said = (await say(tmp_path, "list"))[1].replace("\u00a0", " ")
    assert "1 table-red 412 ml" in said
    assert "another dispenser of this name is online on" in said
    status, said = await say(tmp_path, "adopt", "hot-bar-1")
    assert (status, "Give one of the two another id" in said) == (1, True)


async def test_what_a_file_does_with_one_that_is_forgotten_is_said(tmp_path: Path) -> None:
    provisioned = tmp_path / "provisioning.toml"
    provisioned.touch(0o600)
    provisioned.write_text(f'[dispensers.bar-3]\nkey = "{KEY}"\n[dispensers.bar-4]\nname = "Hall"\n')
    async with inside_of(tmp_path, keys_too='provisioning = "provisioning.toml"') as inside:
        said = (await say(tmp_path, "forget", "bar-3", "--yes"))[1]
        assert "Its key stands in a file, and counts no more" in said
        assert "with a new key" not in said
        said = (await say(tmp_path, "forget", "bar-4", "--yes"))[1]
        assert "adopts it again, with a new key" in said
        assert "stands in a file" not in said
        assert inside.state.dispensers.keyring.adopted == ["hot-bar-1"]


async def test_what_is_missing_for_one_that_was_adopted_is_said(inside: Inside, tmp_path: Path) -> None:
    gate = inside.state.dispensers
    inside.link.receive(hello("bar-7"), 0)
    _, said = await say(tmp_path, "adopt", "bar-7")
    assert "gets its key at its next HELLO" in said
    Link("mqtt:bar-8", Down(), gate, gate, terms=Terms(private=False)).receive(hello("bar-8"), 0)
    _, said = await say(tmp_path, "adopt", "bar-8")
    assert "a key is not told on a line that others may hear. Connect it by cable" in said
    assert "next HELLO" not in said


async def test_a_planogram_is_told_and_shown(inside: Inside, tmp_path: Path) -> None:
    inside.hello((1, "table-red", 412), (2, "chipotle-honey", 80))
    for wrong in ("1", "=table-red", "one=table-red", "1="):
        status, said = await say(tmp_path, "planogram", "hot-bar-1", wrong)
        assert (status, "NOZZLE=SAUCE" in said) == (2, True), said
    status, said = await say(tmp_path, "planogram", "hot-bar-1", "2=table-red")
    assert status == 0
    assert said.splitlines()[1].split() == ["2", "chipotle-honey", "80", "ml", "planned:", "table-red"]
    assert "table-red" in (await say(tmp_path, "planogram", "hot-bar-1"))[1]


async def test_forgetting_is_asked_about(inside: Inside, tmp_path: Path) -> None:
    inside.hello()
    status, said = await say(tmp_path, "forget", "hot-bar-1", typed="n\n")
    assert (status, "Forget hot-bar-1?" in said) == (1, True)
    assert inside.state.dispensers.keyring.is_adopted("hot-bar-1")
    assert (await say(tmp_path, "forget", "hot-bar-1", "--yes"))[0] == 0
    assert not inside.state.dispensers.keyring.is_adopted("hot-bar-1")
    assert (await say(tmp_path, "forget", "hot-bar-1", "--yes"))[0] == 1


async def test_where_no_daemon_is(tmp_path: Path) -> None:
    write_config(tmp_path, free_port())
    for words in (("list",), ("rotate-key", "bar-1")):
        status, said = await say(tmp_path, *words)
        assert status == 1
        assert "no gateway answers at" in said
        assert "gateway.sock" in said
    status, said = await say(tmp_path / "nowhere", "list")
    assert (status, "gateway.toml" in said) == (2, True)
