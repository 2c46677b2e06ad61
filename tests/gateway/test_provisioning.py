"""A fleet that adopts itself: what the file says happens, once, and what is wrong in it is said with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from firmware_bridge.proofs import key_id
from gateway.clock import Clock
from gateway.ingest import Ingest
from gateway.picks import Recommender
from gateway.provisioning import MAX_FLEET, Provisioning, load_fleet
from gateway.store import Store
from heat.catalog import default_catalog
from heat.errors import ConfigError
from tests.gateway.adopting import Desk, hello

KEY = "1f" * 32
FLEET = f"""\
[dispensers.bar-1]
name = "Bar, left"
planogram = {{ 1 = "table-red", 2 = "reaper-raw" }}

[dispensers.bar-2]
key = "{KEY}"

[hardware."PD-8 no. 0042"]
name = "Terrace"
planogram = {{ 1 = "reaper-raw" }}
"""


def write(path: Path, text: str, mode: int = 0o600) -> Path:
    path.touch(0o600)
    path.write_text(text)
    path.chmod(mode)
    return path


@pytest.fixture
async def desk(store: Store, clock: Clock, ingest: Ingest, recommender: Recommender) -> Desk:
    return Desk(store, clock, ingest, recommender)


def provisioning(desk: Desk, path: Path) -> Provisioning:
    return Provisioning(path, default_catalog(), desk.adoption, desk.dispensers, desk.keys)


def wrong(fleet: Provisioning) -> str:
    """What is said of a file that can't be applied."""
    return "" if fleet.error is None else str(fleet.error)


def online(desk: Desk) -> list[str]:
    """Who has an open link."""
    return sorted(name for name, known in desk.dispensers.known.items() if known.online)


async def test_what_it_says_happens(desk: Desk, tmp_path: Path) -> None:
    fleet = provisioning(desk, write(tmp_path / "provisioning.toml", FLEET))
    await fleet.start()
    keyring = desk.dispensers.keyring
    assert keyring.adopted == ["bar-1", "bar-2"]
    assert keyring.to_provision("bar-1") is not None, "one was made"
    assert keyring.key_of("bar-2", None) == bytes.fromhex(KEY)
    assert desk.plans.of("bar-1").name == "Bar, left"
    desk.comes(hello("somebody-9", hardware="PD-8 no. 0043"))
    desk.comes(hello("somebody-7", hardware="PD-8 no. 0042"))
    await fleet.look()
    assert keyring.adopted == ["bar-1", "bar-2", "somebody-7"]
    assert desk.plans.of("somebody-7").name == "Terrace"
    desk.comes(hello("somebody-8", hardware="PD-8 no. 0042"))
    await fleet.look()
    assert not keyring.is_adopted("somebody-8"), "there is one of it"


async def test_again_it_changes_nothing(desk: Desk, tmp_path: Path) -> None:
    path = write(tmp_path / "provisioning.toml", FLEET)
    await provisioning(desk, path).start()
    key = desk.dispensers.keyring.to_provision("bar-1")
    desk.start()
    again = provisioning(desk, path)
    await again.start()
    await again.look()
    assert desk.dispensers.keyring.to_provision("bar-1") == key
    assert not desk.queue.given


async def test_a_changed_file_is_applied_and_a_wrong_one_is_told_of(desk: Desk, tmp_path: Path) -> None:
    path = write(tmp_path / "provisioning.toml", FLEET)
    fleet = provisioning(desk, path)
    await fleet.start()
    write(path, FLEET + "\n[dispensers.bar-3]\nnam = 1\n")
    await fleet.look()
    assert f"{path}:13: dispensers.bar-3: unknown key 'nam'" in wrong(fleet)
    assert desk.dispensers.keyring.adopted == ["bar-1", "bar-2"]
    write(tmp_path / "new", FLEET + '\n[dispensers.bar-3]\nname = "Hall"\n').rename(path)
    await fleet.look()
    assert not wrong(fleet)
    assert desk.dispensers.keyring.adopted == ["bar-1", "bar-2", "bar-3"]
    write(path, FLEET.replace(f'key = "{KEY}"', 'name = "Bar, right"'))
    await fleet.look()
    assert desk.dispensers.keyring.key_of("bar-2", None) != bytes.fromhex(KEY), "the file's key went with its line"


@pytest.mark.parametrize("instead", ["", f'key = "{"2e" * 32}"', 'key = "make"', None])
@pytest.mark.parametrize("versions", [(1,), (1, 2)])
async def test_a_key_that_is_taken_out_closes_the_link(
    desk: Desk, tmp_path: Path, instead: str | None, versions: tuple[int, ...]
) -> None:
    path = write(tmp_path / "provisioning.toml", FLEET)
    fleet = provisioning(desk, path)
    await fleet.start()
    said = hello("bar-2", versions=versions, key_id=key_id(bytes.fromhex(KEY)) if 2 in versions else None)
    desk.opens(said)
    desk.opens(hello("bar-1"))
    await desk.dispensers.aclose()
    write(path, FLEET + '\n[dispensers.bar-3]\nname = "Hall"\n')
    await fleet.look()
    assert online(desk) == ["bar-1", "bar-2"], "it stands there"
    line = f'key = "{KEY}"'
    write(path, FLEET.replace(f"[dispensers.bar-2]\n{line}", "") if instead is None else FLEET.replace(line, instead))
    await fleet.look()
    assert online(desk) == ["bar-1"]


async def test_a_full_disk_keeps_no_gateway_from_its_start(desk: Desk, tmp_path: Path) -> None:
    in_the_way = desk.store.settings.data_dir / "keyring.new"
    in_the_way.mkdir()
    fleet = provisioning(desk, write(tmp_path / "provisioning.toml", FLEET))
    await fleet.start()
    assert desk.dispensers.keyring.adopted == ["bar-2"], "its key is in the file"
    in_the_way.rmdir()
    await fleet.look()
    assert desk.dispensers.keyring.adopted == ["bar-1", "bar-2"]
    assert desk.plans.of("bar-1").name == "Bar, left"


async def test_one_that_was_forgotten_begins_anew(desk: Desk, tmp_path: Path) -> None:
    fleet = provisioning(desk, write(tmp_path / "provisioning.toml", FLEET))
    await fleet.start()
    first = desk.dispensers.keyring.to_provision("bar-1")
    await desk.adoption.forget("bar-1")
    assert fleet.told_of("bar-1") is not None
    await fleet.look()
    assert desk.dispensers.keyring.to_provision("bar-1") not in (None, first)
    assert desk.plans.of("bar-1").name == "Bar, left"


@pytest.mark.parametrize("by", ["dispensers.bar-2", 'hardware."PD-8 no. 7"'])
async def test_one_that_was_forgotten_comes_not_back_with_the_key_of_the_file(
    desk: Desk, tmp_path: Path, caplog: pytest.LogCaptureFixture, by: str
) -> None:
    path = write(tmp_path / "provisioning.toml", f'[{by}]\nkey = "{KEY}"\n')
    fleet = provisioning(desk, path)
    await fleet.start()
    said = hello("bar-2", hardware="PD-8 no. 7", key_id=key_id(bytes.fromhex(KEY)))
    desk.comes(said)
    await fleet.look()
    desk.opens(said)
    await desk.dispensers.aclose()
    assert (told := fleet.told_of("bar-2")) is not None
    assert told.key is not None
    await desk.adoption.forget("bar-2")
    desk.comes(said)
    for _ in range(2):
        await fleet.look()
    assert not desk.dispensers.keyring.is_adopted("bar-2")
    assert not online(desk)
    assert caplog.text.count("was forgotten here") == 1, "once"
    stranger = desk.dispensers.strangers.get("bar-2")
    assert stranger is not None
    assert "it was forgotten here" in desk.adoption.advice(stranger)[0]
    write(path, f'[{by}]\nkey = "{"2e" * 32}"\n')
    await fleet.look()
    assert desk.dispensers.keyring.key_of("bar-2", None) == bytes.fromhex("2e" * 32), "another one counts"
    assert desk.dispensers.keyring.key_of("bar-2", said.key_id) is None


async def test_a_fleet_is_one_write_and_one_commit(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "".join(
        f'[dispensers.bar-{number}]\nname = "Bar {number}"\nplanogram = {{ 1 = "table-red" }}\n'
        for number in range(MAX_FLEET)
    )
    syncs: list[int] = []
    monkeypatch.setattr("gateway.keyring.os.fsync", syncs.append)
    commits = desk.store.figures.commits
    fleet = provisioning(desk, write(tmp_path / "provisioning.toml", text))
    await fleet.start()
    assert len(desk.dispensers.keyring.adopted) == MAX_FLEET
    assert desk.plans.of(f"bar-{MAX_FLEET - 1}").name == f"Bar {MAX_FLEET - 1}"
    assert len(syncs) == 2, "the keyring, and its directory"
    assert desk.store.figures.commits - commits == 1
    with pytest.raises(ConfigError, match="2,000 at most"):
        load_fleet(write(tmp_path / "more.toml", text + '[dispensers.bar]\nname = "Bar"\n'), default_catalog())


async def test_who_came_with_a_hardware_is_remembered(desk: Desk, tmp_path: Path) -> None:
    path = write(tmp_path / "provisioning.toml", FLEET)
    await provisioning(desk, path).start()
    first, second = (hello(name, hardware="PD-8 no. 0042") for name in ("somebody-7", "somebody-8"))
    desk.comes(first)
    fleet = provisioning(desk, path)
    await fleet.start()
    desk.opens(first)
    await desk.dispensers.aclose()
    desk.start()
    fleet = provisioning(desk, path)
    desk.comes(second)
    await fleet.start()
    assert not desk.dispensers.keyring.is_adopted("somebody-8"), "also after a restart"
    await desk.adoption.forget("somebody-7")
    await fleet.look()
    assert desk.dispensers.keyring.is_adopted("somebody-8"), "its place is free"


async def test_names_change_hands_and_what_can_t_be_is_told_once(
    desk: Desk, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path / "provisioning.toml", '[dispensers]\na = { name = "A" }\nb = { name = "B" }\n')
    fleet = provisioning(desk, path)
    await fleet.start()
    desk.comes(hello("c"))
    await desk.adoption.adopt("c", name="C", planogram={})
    write(path, '[dispensers]\na = { name = "D" }\nb = { name = "A" }\ne = { name = "C" }\n')
    await fleet.look()
    await fleet.look()
    assert [desk.plans.of(name).name for name in "abce"] == ["D", "A", "C", None]
    assert caplog.text.count("e: c is called 'C'") == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[dispenser.bar-1]\nname = "x"\n', ":1: dispenser: unknown key 'dispenser'. Did you mean dispensers?"),
        ('[dispensers.bar-1]\n\nplanogramm = { 1 = "table-red" }\n', ":3: dispensers.bar-1: unknown key 'planogramm'"),
        ('[dispensers.bar-1]\nname = "x"\nplanogram = { 1 = "tabel-red" }\n', ":3: dispensers.bar-1: 'tabel-red' is"),
        ('[dispensers.bar-1]\nplanogram = { one = "table-red" }\n', ":2: dispensers.bar-1: 'one' is no nozzle"),
        ('[dispensers.Bar-1]\nname = "x"\n', ":1: dispensers.Bar-1: dispenser 'Bar-1' is not a name"),
        ('[dispensers.bar-1]\nkey = "0123"\n', ":2: dispensers.bar-1: key is neither"),
        ('[hardware."PD-8 no. 7"]\nname = ""\n', ":2: hardware.PD-8 no. 7: this can't be a name"),
        ('[dispensers]\na = { name = "x" }\nb = { name = "x" }\n', ":3: dispensers.b: a is called 'x', too"),
        ("[dispensers]\nbar-1 = 3\n", ":2: dispensers.bar-1: bar-1 is no table"),
        (f'[dispensers.bar-1]\nkey = "{KEY}"x\n', "not TOML, at line 2"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    path = write(tmp_path / "provisioning.toml", text)
    with pytest.raises(ConfigError) as error:
        load_fleet(path, default_catalog())
    assert said in str(error.value)
    assert KEY not in str(error.value)
    assert "0123" not in str(error.value)


def test_others_must_not_read_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="others may read it"):
        load_fleet(write(tmp_path / "provisioning.toml", FLEET, 0o644), default_catalog())


def test_its_keys_are_not_shown(tmp_path: Path) -> None:
    assert KEY not in repr(load_fleet(write(tmp_path / "provisioning.toml", FLEET), default_catalog()))
