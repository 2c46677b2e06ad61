"""A label says the same to a camera and to people, and a terminal of 80x24 holds it."""

from __future__ import annotations

import dataclasses
import re
from xml.etree import ElementTree as ET

import pytest
import segno

from gateway.web.reach import Card
from picante.label import as_svg, for_terminal, said

ROOT = "".join(f"{octet:02X}" for octet in range(64, 96))
CARD = Card(
    "gw-1",
    "mercado-12",
    ["https://gw-1.local:8443/", "https://192.168.1.20:8443/"],
    ["http://gw-1.local/", "http://gw-1.local:8081/"],
    ":".join(re.findall("..", ROOT)),
)
CODE = "KXQM-ZXPD"
SAID = {
    CODE: f"https://gw-1.local:8443/setup#code={CODE}&name=gw-1&root={ROOT}",
    None: f"https://gw-1.local:8443/#name=gw-1&root={ROOT}",
}
ENDS = len(ROOT)


def made(text: str, error: str) -> segno.QRCode:
    """The QR code of exactly this."""
    segments = [(text[:-ENDS], None, None), (text[-ENDS:], None, None)]
    return segno.make(segments, error=error, micro=False)  # type: ignore[arg-type]


@pytest.mark.parametrize("setup_code", SAID)
def test_a_terminal_of_80x24_holds_the_code_and_all_words(setup_code: str | None) -> None:
    shown = for_terminal(CARD, setup_code).splitlines()
    assert len(shown) < 24  # a prompt stands below it
    assert max(map(len, shown)) <= 80
    words = [line[41:].strip() for line in shown]
    assert {"gateway     gw-1", "store       mercado-12", *CARD.addresses, *CARD.plain} <= set(words)
    assert (f"setup code  {CODE}" in words) is (setup_code is not None)
    assert ":".join(word for word in words if word.count(":") == 7) == CARD.fingerprint
    # dark is what the terminal leaves: each letter is two dots, one above the other
    dots = [[int(letter not in full) for letter in line[2:39]] for line in shown[:21] for full in ("█▀", "█▄")]
    drawn = made(said(CARD, setup_code), "l")
    assert dots[2 : 2 + len(drawn.matrix)] == [list(row) for row in drawn.matrix]
    assert said(CARD, setup_code) == SAID[setup_code]


def test_where_80_columns_do_not_hold_both_the_words_stand_below() -> None:
    far = dataclasses.replace(CARD, addresses=[f"https://{'gateway-of-the-corner.' * 2}local:8443/"])
    shown = for_terminal(far, None).splitlines()
    assert "gateway     gw-1" in shown
    assert f"  {far.addresses[0]}" in shown


def test_a_drawing_has_the_code_and_the_words_below_it() -> None:
    drawing = ET.fromstring(as_svg(CARD, CODE))  # noqa: S314 -- ours
    svg = "{http://www.w3.org/2000/svg}"
    [path] = [path.get("d") for path in drawing.iter(f"{svg}path")]
    assert f'd="{path}"' in made(SAID[CODE], "m").svg_inline(scale=8, border=4)
    texts = {str(text.text).strip(): float(text.get("y", 0)) for text in drawing.iter(f"{svg}text")}
    assert {"gateway     gw-1", f"setup code  {CODE}", *CARD.addresses} <= set(texts)
    assert ":".join(text for text in texts if text.count(":") == 7) == CARD.fingerprint
    code, height = made(SAID[CODE], "m").symbol_size(8, 4)[1], float(drawing.get("height", 0))
    assert all(code < y < height for y in texts.values())


def test_what_a_store_is_called_is_written_as_it_is() -> None:
    shown = as_svg(dataclasses.replace(CARD, store="<b>R&B</b>"), None)
    assert "&lt;b&gt;R&amp;B&lt;/b&gt;" in shown
