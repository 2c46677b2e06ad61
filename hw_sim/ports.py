"""A serial dispenser: its firmware at the master end of a PTY pair, a port that the gateway opens at the other.

The port has a name that stays (`<directory>/usb-picante-<dispenser>`, as udev makes them by id), while the device
behind it changes with every plugging. Bytes leave at the pace of the baud rate, ten bits each, a frame when its last
bit would be through; the next message is chosen only then, so an ASK overtakes whatever waits.

The simulator keeps the gateway's end open as well: so a port that nobody has opened yet, or that was closed, is merely
one that nobody reads. What is written to it waits in the kernel until that is full, and then here.
"""

from __future__ import annotations

import asyncio
import os
import tty
from dataclasses import dataclass
from pathlib import Path

from firmware_bridge.codec import BadMessage, decode_message
from firmware_bridge.framing import BadFrame, FrameDecoder
from hw_sim.faults import Faults
from hw_sim.firmware import Talker

BITS_A_BYTE = 10
"""8N1: a start bit, eight of the byte, a stop bit."""
READ_BYTES = 65_536
BABBLE_S = 0.01
"""s between two pieces of garbage where no baud rate sets the pace."""
BURST = 32
"""Messages written at once where no baud rate sets the pace."""


@dataclass(frozen=True, slots=True)
class PortSettings:
    """Where the port is found, and how fast it is. `baud` 0: as fast as it goes."""

    path: Path
    baud: int


class SerialLine:
    """The firmware's UART and the cable. All methods belong to the event loop's thread."""

    def __init__(self, firmware: Talker, settings: PortSettings, faults: Faults) -> None:
        self.bad_frames = 0
        self._firmware = firmware
        self._settings = settings
        self._faults = faults
        self._decoder = FrameDecoder()
        self._master = self._slave = -1
        self._on_the_line: asyncio.TimerHandle | None = None
        self._free_at_s = 0.0
        self._unwritten = b""
        self._babbles_until_s = 0.0

    @property
    def plugged(self) -> bool:
        """Whether the cable is in."""
        return self._master >= 0

    def plug(self) -> None:
        """Make a new PTY and let the port's name lead to it."""
        if self.plugged:
            return
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        _point(self._settings.path, os.ttyname(self._slave))
        self._decoder = FrameDecoder()
        asyncio.get_running_loop().add_reader(self._master, self._readable)
        self._firmware.link_up(self._settings.baud)
        self.wake()

    def unplug(self) -> None:
        """Close both ends: the gateway's next read fails, and the port's name is gone."""
        if not self.plugged:
            return
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._master)
        loop.remove_writer(self._master)
        self._settings.path.unlink(missing_ok=True)
        os.close(self._master)
        os.close(self._slave)
        self._master = self._slave = -1
        self._unwritten = b""
        if self._on_the_line is not None:
            self._on_the_line.cancel()
            self._on_the_line = None
        self._firmware.link_down()

    def wake(self) -> None:
        """The firmware may have something to say: send it if the line is free."""
        if self.plugged and self._on_the_line is None and not self._unwritten:
            self._send_next(asyncio.get_running_loop().time())

    def babble(self, seconds: float) -> None:
        """Send noise for so long, and nothing else."""
        self._babbles_until_s = asyncio.get_running_loop().time() + seconds
        self.wake()

    async def aclose(self) -> None:
        """Leave, which for a cable is pulling it."""
        self.unplug()

    def _send_next(self, start_s: float) -> None:
        """Put the next frame on the line, which has been free since `start_s`."""
        loop = asyncio.get_running_loop()
        babbles = loop.time() < self._babbles_until_s
        frames = self._faults.garbage() if babbles else self._take(1 if self._settings.baud else BURST)
        if not frames:
            self._firmware.set_alarm(self.wake)
        elif self._settings.baud:
            self._free_at_s = start_s + len(frames) * BITS_A_BYTE / self._settings.baud
            self._on_the_line = loop.call_at(self._free_at_s, self._arrive, frames)
        else:
            # the loop's other tasks get their turn between two bursts
            self._on_the_line = loop.call_later(BABBLE_S if babbles else 0, self._arrive, frames)

    def _take(self, count: int) -> bytes:
        """Up to `count` of the firmware's messages, as the line's faults leave them."""
        out = b""
        for _ in range(count):
            frame = self._firmware.next_frame()
            if frame is None:
                break
            out += b"".join(self._faults.pass_on(frame))
        return out

    def _arrive(self, frames: bytes) -> None:
        self._on_the_line = None
        self._unwritten = frames
        self._write()

    def _write(self) -> None:
        """Write what the kernel takes. Nothing follows before the rest is through."""
        loop = asyncio.get_running_loop()
        try:
            count = os.write(self._master, self._unwritten)
        except BlockingIOError:
            count = 0
        except OSError:
            self.unplug()
            return
        self._unwritten = self._unwritten[count:]
        if self._unwritten:
            loop.add_writer(self._master, self._write)
            return
        loop.remove_writer(self._master)
        self._send_next(self._free_at_s if self._settings.baud else loop.time())

    def _readable(self) -> None:
        try:
            received = os.read(self._master, READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            self.unplug()
            return
        for frame in self._decoder.feed(received):
            message = frame if isinstance(frame, BadFrame) else decode_message(frame)
            if isinstance(message, BadFrame | BadMessage):
                self.bad_frames += 1
            else:
                self._firmware.receive(message)
        self.wake()


def _point(name: Path, device: str) -> None:
    """Let `name` be a link to `device`, in one step: nobody finds it missing or half made."""
    name.parent.mkdir(parents=True, exist_ok=True)
    fresh = name.with_name(f".{name.name}.new")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(device)
    fresh.replace(name)
