"""The keyring: what counts when, what survives, and what is never written over or said aloud."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from firmware_bridge.proofs import key_id
from gateway.keyring import FILE, Keyring, load
from heat.errors import ConfigError, StoreError

GIVEN = bytes(range(32))
OTHER = bytes(range(32, 64))


def counting(keyring: Keyring, *keys: bytes) -> list[bool]:
    """Which of these are keys of bar-1."""
    return [keyring.key_of("bar-1", key_id(key)) == key for key in keys]


async def test_a_key_that_was_made_is_told_until_it_is_proved(tmp_path: Path) -> None:
    keyring = load(tmp_path, {})
    assert not keyring.is_adopted("bar-1")
    await keyring.adopt("bar-1")
    made = keyring.to_provision("bar-1")
    assert made is not None
    assert load(tmp_path, {}).to_provision("bar-1") == made, "it is on disk"
    await keyring.proved("bar-1", key_id(made))
    for ring in (keyring, load(tmp_path, {})):
        assert ring.to_provision("bar-1") is None
        assert ring.key_of("bar-1", key_id(made)) == made == ring.key_of("bar-1", None)


async def test_a_key_that_was_given_is_never_told(tmp_path: Path) -> None:
    keyring = load(tmp_path, {"bar-2": OTHER})
    await keyring.adopt("bar-1", GIVEN)
    assert keyring.key_of("bar-1", None) == GIVEN
    assert keyring.to_provision("bar-1") is keyring.to_provision("bar-2") is None
    assert keyring.adopted == ["bar-1", "bar-2"]


@pytest.mark.parametrize("from_file", [True, False])
async def test_both_keys_count_until_the_new_one_is_proved(tmp_path: Path, from_file: bool) -> None:
    given = {"bar-1": GIVEN} if from_file else {}
    keyring = load(tmp_path, given)
    if not from_file:
        await keyring.adopt("bar-1", GIVEN)
    await keyring.rotate("bar-1")
    new = keyring.pending("bar-1")
    assert new is not None
    await keyring.rotate("bar-1")
    assert keyring.pending("bar-1") == new, "one that is under way stays the one"
    assert counting(load(tmp_path, given), GIVEN, new) == [True, True]
    await keyring.proved("bar-1", key_id(GIVEN))
    assert counting(keyring, GIVEN, new) == [True, True], "the old one proves nothing about the new"
    await keyring.proved("bar-1", key_id(new))
    assert counting(keyring, GIVEN, new) == [False, True]
    assert counting(load(tmp_path, given), GIVEN, new) == [False, True]
    assert keyring.pending("bar-1") is None


async def test_another_key_in_the_file_is_a_newer_word(tmp_path: Path) -> None:
    keyring = load(tmp_path, {"bar-1": GIVEN})
    await keyring.rotate("bar-1")
    new = keyring.pending("bar-1") or b""
    await keyring.proved("bar-1", key_id(new))
    keyring = load(tmp_path, {"bar-1": OTHER})
    assert counting(keyring, GIVEN, OTHER, new) == [False, True, True]
    assert keyring.key_of("bar-1", None) == OTHER
    await keyring.proved("bar-1", key_id(OTHER))
    assert counting(keyring, OTHER, new) == [True, False]


async def test_forgotten_is_forgotten_though_the_file_still_has_it(tmp_path: Path) -> None:
    keyring = load(tmp_path, {"bar-1": GIVEN})
    await keyring.forget("bar-1")
    for ring in (keyring, load(tmp_path, {"bar-1": GIVEN})):
        assert not ring.is_adopted("bar-1")
        assert counting(ring, GIVEN) == [False]
    await keyring.adopt("bar-1")
    assert counting(keyring, GIVEN, keyring.to_provision("bar-1") or b"") == [False, True]


async def test_it_is_its_owner_s_alone_and_says_no_key(tmp_path: Path) -> None:
    keyring = load(tmp_path, {"bar-2": OTHER})
    await keyring.adopt("bar-1", GIVEN)
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600
    assert [name for _, _, names in os.walk(tmp_path) for name in names] == [FILE]
    shown = repr(keyring) + repr(keyring._entries)
    assert GIVEN.hex() not in shown
    assert OTHER.hex() not in shown
    (tmp_path / FILE).chmod(0o640)
    with pytest.raises(ConfigError, match="others may read it"):
        load(tmp_path, {})


@pytest.mark.parametrize("damage", ["flipped", "cut", "empty", "not json"])
async def test_a_damaged_one_is_said_so_and_not_written_over(tmp_path: Path, damage: str) -> None:
    keyring = load(tmp_path, {})
    await keyring.adopt("bar-1", GIVEN)
    path = tmp_path / FILE
    whole = path.read_bytes()
    broken = {
        "flipped": whole.replace(b"0001", b"0011"),
        "cut": whole[:-20],
        "empty": b"",
        "not json": b"\xff" + GIVEN.hex().encode(),
    }[damage]
    assert broken != whole
    path.write_bytes(broken)
    with pytest.raises(ConfigError, match="is damaged") as error:
        load(tmp_path, {})
    assert GIVEN.hex() not in str(error.value)
    assert path.read_bytes() == broken


async def test_one_of_a_newer_picante_is_left_alone(tmp_path: Path) -> None:
    await load(tmp_path, {}).adopt("bar-1", GIVEN)
    path = tmp_path / FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 2}))
    with pytest.raises(ConfigError, match="newer Picante"):
        load(tmp_path, {})


async def test_whoever_is_cut_off_while_it_is_written_finds_the_old_or_the_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of the new file is on disk before it takes the place of the old one, and then its name is."""
    keyring = load(tmp_path, {})
    await keyring.adopt("bar-1", GIVEN)
    steps: list[tuple[str, list[str], bool]] = []
    fsync, rename = os.fsync, Path.rename

    def found() -> list[str]:
        return load(tmp_path, {}).adopted

    def recording_fsync(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        steps.append((path.name, found(), path.is_file() and OTHER.hex() in path.read_text()))
        fsync(descriptor)

    def recording_rename(path: Path, to: Path) -> Path:
        steps.append((f"{path.name} -> {to.name}", found(), OTHER.hex() in path.read_text()))
        return rename(path, to)

    monkeypatch.setattr(os, "fsync", recording_fsync)
    monkeypatch.setattr(Path, "rename", recording_rename)
    await keyring.adopt("bar-2", OTHER)
    assert steps == [
        ("keyring.new", ["bar-1"], True),
        ("keyring.new -> keyring.json", ["bar-1"], True),
        (tmp_path.name, ["bar-1", "bar-2"], False),
    ]


async def test_what_can_t_be_kept_does_not_count(tmp_path: Path) -> None:
    directory = tmp_path / "data"
    directory.mkdir()
    keyring = load(directory, {})
    directory.rmdir()
    with pytest.raises(StoreError, match="nothing was changed"):
        await keyring.adopt("bar-1")
    assert not keyring.is_adopted("bar-1")


async def test_what_let_it_in_is_known_until_it_is_forgotten(tmp_path: Path) -> None:
    keyring = load(tmp_path, {})
    await keyring.adopt_all({"bar-1": GIVEN}, "PD-8 no. 7")
    await keyring.rotate("bar-1")
    await keyring.proved("bar-1", key_id(keyring.pending("bar-1") or b""))
    for ring in (keyring, load(tmp_path, {})):
        assert (ring.claimant("PD-8 no. 7"), ring.hardware_of("bar-1")) == ("bar-1", "PD-8 no. 7")
    await keyring.forget("bar-1")
    assert keyring.claimant("PD-8 no. 7") is None
