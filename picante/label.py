"""A gateway's label: what stands on it, as a QR code with the words beside it (a terminal) or below it (a drawing).

    https://gw-1.local:8443/setup#code=KXQM-ZXPD&name=gw-1&root=4F0A...     until the gateway is set up
    https://gw-1.local:8443/#name=gw-1&root=4F0A...                         after it

What stands behind the # goes to no server and into no log: the page itself reads it (`label.js`). The fingerprint is
written in capitals and digits, which take 5.5 bits each in a QR code: it stays small enough for a terminal of 80x24.
"""

from __future__ import annotations

import io
from urllib.parse import quote
from xml.sax.saxutils import escape

import segno

from gateway.web.reach import Card

COLUMNS = 80
"""Of a terminal."""
_BORDER, _GAP = 2, 2
_MODULE, _QUIET, _LINE, _FONT = 8, 4, 26, 18
"""px of a drawing: of a dot of the code, in such dots around it, of a line of words, of its letters."""


def said(card: Card, setup_code: str | None) -> str:
    """What a phone's camera reads."""
    return "".join(_parts(card, setup_code))


def _parts(card: Card, setup_code: str | None) -> tuple[str, str]:
    """The address, and the fingerprint at its end, for which a QR code has a shorter alphabet."""
    code = f"setup#code={setup_code}&" if setup_code else "#"
    return f"{card.addresses[0]}{code}name={quote(card.gateway)}&root=", card.fingerprint.replace(":", "")


def code(card: Card, setup_code: str | None, error: str) -> segno.QRCode:
    """The QR code, as small as it gets with this correction of errors (`l`, `m`), or a better one in the same size."""
    segments = [(part, None, None) for part in _parts(card, setup_code)]  # its encoder takes them, its types don't say
    return segno.make(segments, error=error, micro=False)  # type: ignore[arg-type]


def words(card: Card, setup_code: str | None) -> list[str]:
    """What people read, in lines of 37 characters unless an address is longer."""
    octets = card.fingerprint.split(":")
    return [
        f"gateway     {card.gateway}",
        f"store       {card.store}",
        *([f"setup code  {setup_code}"] if setup_code else []),
        "page",
        *(f"  {address}" for address in card.addresses),
        *(["in clear"] if card.plain else []),
        *(f"  {address}" for address in card.plain),
        "root certificate, SHA-256",
        *(f"  {':'.join(octets[at : at + 8])}" for at in range(0, len(octets), 8)),
    ]


def for_terminal(card: Card, setup_code: str | None) -> str:
    """The code, and the words beside it where 80 columns hold both, else below it."""
    drawn = io.StringIO()
    code(card, setup_code, "l").terminal(drawn, compact=True, border=_BORDER)
    lines, told = drawn.getvalue().splitlines(), words(card, setup_code)
    width = max(map(len, lines))
    if width + _GAP + max(map(len, told)) > COLUMNS:
        return "\n".join([*lines, *told])
    lines += [" " * width] * (len(told) - len(lines))
    told += [""] * (len(lines) - len(told))
    return "\n".join(f"{line}{' ' * _GAP}{word}".rstrip() for line, word in zip(lines, told, strict=True))


def as_svg(card: Card, setup_code: str | None) -> str:
    """The code with the words below it, black on white, to be printed."""
    drawn, told = code(card, setup_code, "m"), words(card, setup_code)
    side = drawn.symbol_size(_MODULE, _QUIET)[0]
    left, width = _QUIET * _MODULE, max(side, 2 * _QUIET * _MODULE + round(max(map(len, told)) * _FONT * 0.62))
    height = side + len(told) * _LINE + left
    texts = "".join(
        f'<text x="{left}" y="{side + (line + 0.7) * _LINE:g}" xml:space="preserve">{escape(word)}</text>\n'
        for line, word in enumerate(told)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">\n'
        f"<title>{escape(f'Picante {card.gateway}')}</title>\n"
        f'<rect width="{width}" height="{height}" fill="#fff"/>\n'
        f'<g transform="translate({(width - side) // 2})">{drawn.svg_inline(scale=_MODULE, border=_QUIET)}</g>\n'
        f'<g font-family="monospace" font-size="{_FONT}" fill="#000">\n{texts}</g>\n</svg>\n'
    )
