"""Where links let somebody listen to what passes, up and down. Nobody listens unless a trace is taken."""

from __future__ import annotations

from typing import Literal, Protocol


class Tap(Protocol):
    """Who listens. All calls are made in the event loop's thread and return at once."""

    def serial(self, link: str, way: Literal["up", "down"], data: bytes) -> None:
        """Bytes that were read from a line, or are about to be written."""

    def packet(self, link: str, way: Literal["up", "down"], payload: bytes) -> None:
        """An MQTT payload."""


class NoTap:
    """Nobody."""

    def serial(self, link: str, way: Literal["up", "down"], data: bytes) -> None:
        """Nothing."""

    def packet(self, link: str, way: Literal["up", "down"], payload: bytes) -> None:
        """Nothing."""
