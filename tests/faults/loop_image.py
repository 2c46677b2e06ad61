"""File systems of a test's own, in images on loop devices: one to cut the power of, one to fill.

    with cuttable(directory) as disk:      an ext4 image that lies on a reflinking XFS, itself an image
        ... disk.mounted ...               where a gateway keeps its data
        clone = disk.clone()               what a power cut would leave: all that reached the device, and no more
        disk.put_in(clone)                 mounts it; the kernel replays ext4's journal

Cloning shares the image's blocks in one moment. What ext4 still has in its page cache, waiting for an fsync or for its
writeback, is not in the image and so not in the clone. Needs root, loop devices, e2fsprogs and xfsprogs.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import itertools
import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

_CLONE_NEWNS = 0x20000
_FICLONE = 0x40049409
_SHUTDOWN, _NO_LOG_FLUSH = 0x8004587D, 2
"""EXT4_IOC_SHUTDOWN: the file system is gone at once, what its journal holds included."""
_XFS_MB = 1024
"""MiB, sparse; the smallest XFS has 300."""
_SUPERBLOCK, _INCOMPATIBLE, _NEEDS_RECOVERY = 1024, 0x60, 0x4
"""Where ext4 notes that its journal must be replayed."""


def mount_for_ourselves() -> None:
    """Have what is mounted from now on seen by this process and its children alone: it goes with them, even by SIGKILL.

    Done before any child is started, since each stays with the mounts that it was started with. Without root nothing is
    done, and nothing can be mounted.
    """
    if os.geteuid() == 0 and ctypes.CDLL(None).unshare(_CLONE_NEWNS) == 0:
        _run("mount", "--make-rslave", "/", check=False)


def skip_without_loop_devices() -> None:
    """Skip the test where this machine lets it make no file systems."""
    if "/usr/sbin" not in os.environ["PATH"].split(":"):
        os.environ["PATH"] += ":/usr/sbin:/sbin"
    if os.geteuid() != 0:
        pytest.skip("mounting images needs root")
    if missing := [tool for tool in ("mkfs.ext4", "mkfs.xfs", "losetup") if shutil.which(tool) is None]:
        pytest.skip(f"no {missing[0]}: run scripts/test-setup")
    if _run("losetup", "--find", check=False).returncode:
        pytest.skip("no free loop device")


@contextlib.contextmanager
def mounted(image: Path, at: Path) -> Iterator[Path]:
    """An image's file system; at the end it is unmounted."""
    at.mkdir(exist_ok=True)
    _run("mount", "-o", "loop", image, at)
    try:
        yield at
    finally:
        _run("umount", "--lazy", at)  # a test that failed may have left files open


@contextlib.contextmanager
def small_disk(directory: Path, size_mb: int) -> Iterator[Path]:
    """A file system of few MiB."""
    with mounted(_format(directory / "small.img", size_mb), directory / "small") as place:
        yield place


@contextlib.contextmanager
def tmpfs(at: Path, size_mb: int) -> Iterator[Path]:
    """A file system of few MiB in memory."""
    at.mkdir()
    _run("mount", "-t", "tmpfs", "-o", f"size={size_mb}m", "tmpfs", at)
    try:
        yield at
    finally:
        _run("umount", "--lazy", at)  # a test that failed may have left files open


class Disk:
    """An ext4 image that can be cloned while it is in use."""

    def __init__(self, directory: Path, images: Path, size_mb: int) -> None:
        self.mounted = directory / "disk"
        self._images = images
        self._numbers = itertools.count(1)
        self._image = _format(images / "0.img", size_mb)
        self._stack = contextlib.ExitStack()
        self._stack.enter_context(mounted(self._image, self.mounted))

    def clone(self) -> Path:
        """What lies on the device in this moment."""
        clone = self._images / f"{next(self._numbers)}.img"
        with self._image.open("rb") as now, clone.open("wb") as then:
            fcntl.ioctl(then, _FICLONE, now.fileno())
        with clone.open("rb") as file:
            file.seek(_SUPERBLOCK + _INCOMPATIBLE)
            (incompatible,) = struct.unpack("<I", file.read(4))
        assert incompatible & _NEEDS_RECOVERY, "an unmounted file system was cloned"
        return clone

    def shut_down(self) -> None:
        """Make it fail: each read and write of what is not in memory is an error from now on."""
        descriptor = os.open(self.mounted, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, _SHUTDOWN, struct.pack("I", _NO_LOG_FLUSH))
        finally:
            os.close(descriptor)

    def put_in(self, image: Path) -> None:
        """Take the disk out, which nobody may use any more, and another one in."""
        self._stack.close()
        self._image.unlink()
        self._image = image
        self._stack.enter_context(mounted(image, self.mounted))

    def close(self) -> None:
        """Unmount it."""
        self._stack.close()


@contextlib.contextmanager
def cuttable(directory: Path, size_mb: int = 64) -> Iterator[Disk]:
    """A disk whose power can be cut."""
    directory.mkdir(exist_ok=True)
    around = directory / "around.img"
    with around.open("wb") as file:
        file.truncate(_XFS_MB * 1024 * 1024)
    _run("mkfs.xfs", "-q", "-m", "reflink=1", around)
    with mounted(around, directory / "around") as images, contextlib.closing(Disk(directory, images, size_mb)) as disk:
        yield disk


def _format(image: Path, size_mb: int) -> Path:
    with image.open("wb") as file:
        file.truncate(size_mb * 1024 * 1024)
    _run("mkfs.ext4", "-q", "-F", image)
    return image


def _run(*command: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0 or not check, f"{' '.join(map(str, command))}: {done.stderr}"
    return done
