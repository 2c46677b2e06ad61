"""Telnet with the COM port option <-> the bytes of a serial line, on the side of the client. Pure.

    IAC WILL|WONT|DO|DONT option                   who does what
    IAC SB COM-PORT command value IAC SE           a setting; the server answers with command + 100
    IAC IAC                                        the byte FF of the line

Sources: RFC 854 (Telnet), 856 (BINARY), 858 (SGA), 2217 (COM port). What the server tells of modem and line, and its
wish to suspend, are passed over: frames are short, TCP slows us down, and the session sends again what got lost.
"""

from __future__ import annotations

IAC, SB, SE = 0xFF, 0xFA, 0xF0
WILL, WONT, DO, DONT = 0xFB, 0xFC, 0xFD, 0xFE
BINARY, SGA, COM_PORT = 0, 3, 44
SET_BAUDRATE, SET_DATASIZE, SET_PARITY, SET_STOPSIZE, SET_CONTROL = 1, 2, 3, 4, 5
SERVER = 100
"""What the server adds to the number of the command that it answers."""
NO_FLOW_CONTROL, DTR_ON, RTS_ON = 1, 8, 11
MAX_COMMAND_BYTES = 256
"""Bytes of one command; a longer one is passed over. A signature, the longest there is, is a line of text."""

_ESCAPE = bytes((IAC,))
_OURS = {BINARY, SGA, COM_PORT}
_THEIRS = {BINARY, SGA}


class ComPort:
    """One connection to a serial server. `greeting` goes out first; `feed` gets all that comes in."""

    def __init__(self, baud: int) -> None:
        self.baud: int | None = None
        """The rate that the server has set its port to; None until it says so."""
        self.refused = False
        """Whether the server does not do the COM port option."""
        self._wanted = baud
        self._asked = False
        self._answered: set[tuple[int, int]] = set()
        self._unfinished = b""

    @property
    def settled(self) -> bool:
        """Whether the port is known to be set, or not to be settable."""
        return self.refused or self.baud is not None

    def greeting(self) -> bytes:
        """What to send when the connection is made."""
        offers = [(WILL, option) for option in sorted(_OURS)] + [(DO, option) for option in sorted(_THEIRS)]
        return b"".join(bytes((IAC, verb, option)) for verb, option in offers)

    def encode(self, sent: bytes) -> bytes:
        """Bytes for the line, as Telnet carries them."""
        return sent.replace(_ESCAPE, 2 * _ESCAPE)

    def feed(self, received: bytes) -> tuple[bytes, bytes]:
        """Bytes of the line out of bytes of Telnet, and what must be sent in answer."""
        received = self._unfinished + received
        line, reply, at = bytearray(), bytearray(), 0
        while (iac := received.find(_ESCAPE, at)) >= 0:
            line += received[at:iac]
            end = _end(received, iac)
            if end is None:
                at = iac if len(received) - iac <= MAX_COMMAND_BYTES else len(received)
                break
            if received[iac + 1] == IAC:
                line.append(IAC)
            else:
                reply += self._answer(received[iac + 1 : end])
            at = end
        else:
            line += received[at:]
            at = len(received)
        self._unfinished = received[at:]
        return bytes(line), bytes(reply)

    def _answer(self, command: bytes) -> bytes:
        """The answer to what stands behind an IAC."""
        if WILL <= command[0] <= DONT:
            return self._agree(command[0], command[1])
        if command[:3] == bytes((SB, COM_PORT, SERVER + SET_BAUDRATE)):
            value = command[3:-2].replace(2 * _ESCAPE, _ESCAPE)
            self.baud = int.from_bytes(value, "big")
        return b""

    def _agree(self, verb: int, option: int) -> bytes:
        """An answer to a wish or an offer, once: who answers answers goes on for ever."""
        if (verb, option) == (DONT, COM_PORT):
            self.refused = True
        settings = b""
        if (verb, option) == (DO, COM_PORT) and not self._asked:
            self._asked = True
            settings = self._settings()
        agreed = option in (_OURS if verb in (DO, DONT) else _THEIRS)
        if agreed or verb in (WONT, DONT) or (verb, option) in self._answered:
            return settings  # offered in the greeting; or nothing to be said
        self._answered.add((verb, option))
        return bytes((IAC, WONT if verb == DO else DONT, option))

    def _settings(self) -> bytes:
        """8N1 at our rate, no flow control, and the lines raised, as an opened port has them."""
        settings = [
            (SET_BAUDRATE, self._wanted.to_bytes(4, "big")),
            (SET_DATASIZE, b"\x08"),
            (SET_PARITY, b"\x01"),
            (SET_STOPSIZE, b"\x01"),
            *((SET_CONTROL, bytes((value,))) for value in (NO_FLOW_CONTROL, DTR_ON, RTS_ON)),
        ]
        return b"".join(
            bytes((IAC, SB, COM_PORT, number)) + self.encode(value) + bytes((IAC, SE)) for number, value in settings
        )


def _end(received: bytes, iac: int) -> int | None:
    """Where the command that begins at `iac` ends, or None if its end has not come yet."""
    if iac + 1 >= len(received):
        return None
    verb = received[iac + 1]
    if verb == SB:
        at = iac + 2
        while 0 <= (at := received.find(_ESCAPE, at)) < len(received) - 1:
            if received[at + 1] == SE:
                return at + 2
            at += 2
        return None
    end = iac + (3 if WILL <= verb <= DONT else 2)
    return end if end <= len(received) else None
