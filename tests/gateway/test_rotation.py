"""A key is changed, and the power fails at either side in each step: the two always have a key in common.

The keyring and the EEPROM are files; the command's copies are made as the queue makes them.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from firmware_bridge.proofs import key_id, mask_key
from firmware_bridge.verbs import SetKey
from gateway.keyring import Keyring, load
from hw_sim.eeprom import BANK_BYTES
from hw_sim.power import PowerCut
from tests.firmware_bridge.pair import KEY
from tests.hw_sim.bench import Bench


class Pair:
    """A gateway's keyring and a dispenser's EEPROM."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.device = Bench(directory)
        self.keyring = Keyring(directory / "none", {})
        self.kill_gateway()
        self.commands = 0

    def kill_gateway(self) -> None:
        """What is in memory is gone."""
        self.keyring = load(self._directory, {"bar-1": KEY})

    @property
    def has_one_key(self) -> bool:
        """Whether a link could be opened now."""
        held = self.device.eeprom.contents.key
        return held is not None and self.keyring.key_of("bar-1", key_id(held)) == held

    def hand_over(self) -> None:
        """Send the new key, masked by the one that the dispenser's HELLO names, as a command of its own."""
        held, new = self.device.eeprom.contents.key, self.keyring.pending("bar-1")
        assert held is not None
        present = self.keyring.key_of("bar-1", key_id(held))
        if new is None or present is None or new == present:
            return
        self.commands += 1
        command = bytes([self.commands]) * 16
        self.device.do(self.commands, SetKey(masked=mask_key(present, new, command), key_id=key_id(new)))

    async def open(self) -> None:
        """The dispenser proves the key that it has."""
        assert self.has_one_key
        await self.keyring.proved("bar-1", key_id(self.device.eeprom.contents.key or b""))


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return Pair(tmp_path)


@pytest.mark.parametrize("killed_after", range(5))
@pytest.mark.parametrize("cut", [None, (1, 0), (1, 40), (2, 0), (2, 40), (2, BANK_BYTES)])
async def test_whoever_is_cut_off_the_pair_works(pair: Pair, killed_after: int, cut: tuple[int, int] | None) -> None:
    """`cut` is the write of the EEPROM, counted from 1, and the bytes of it that are through."""

    def step(number: int) -> None:
        if number == killed_after:
            pair.kill_gateway()
        assert pair.has_one_key, f"after step {number}"

    step(0)
    await pair.keyring.rotate("bar-1")
    step(1)
    if cut is not None:
        cut_write(pair.device, *cut)
    with contextlib.suppress(PowerCut):
        pair.hand_over()
    pair.device.restart()
    step(2)
    await pair.open()
    step(3)
    for _ in range(2):  # what was interrupted is handed over once more
        pair.hand_over()
        await pair.open()
    step(4)
    assert pair.device.eeprom.contents.key not in (None, KEY)
    assert pair.keyring.pending("bar-1") is None
    assert pair.keyring.key_of("bar-1", key_id(KEY)) is None, "the old one is gone"
    pair.kill_gateway()
    assert pair.has_one_key


def cut_write(device: Bench, number: int, after_bytes: int) -> None:
    """Have the power fail in the EEPROM's next write, or the one after it."""
    if number == 1:
        device.eeprom.cut_next_write(after_bytes)
        return
    start = device.eeprom.start_command

    def start_then_cut(command_id: bytes, verb: str) -> None:
        start(command_id, verb)
        device.eeprom.cut_next_write(after_bytes)
        device.eeprom.start_command = start  # type: ignore[method-assign]

    device.eeprom.start_command = start_then_cut  # type: ignore[method-assign]
