"""What other parts say in English is found again as a message, and is still said by them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.web import hearsay
from gateway.web.hearsay import heard, heard_whole
from gateway.web.language import Text, language

ROOT = Path(__file__).parents[3]
SPEAKERS = ("gateway", "firmware_bridge", "cloud_sync", "heat", "hw_sim")
PUT_TOGETHER = (
    "of this name is online on",
    "of this name waits on",
    "is adopted, and was reset",
    "is adopted, and has",
)
"""Of two f-strings, which no reading of the code joins."""


@pytest.mark.parametrize(
    ("line", "german"),
    [
        ("it has no key", "er hat keinen Schlüssel"),
        ("bar-1 has not said HELLO", "bar-1 hat nicht HELLO gesagt"),
        ("/dev/ttyUSB0 is in use by minicom", "/dev/ttyUSB0 wird schon benutzt, von minicom"),
        ("the port is {odd}", "the port is {odd}"),
        ("", ""),
    ],
)
def test_a_sentence_is_said_in_the_readers_language(line: str, german: str) -> None:
    assert language("de").say(heard(line)) == german
    assert language("en").say(heard(line)) == line


def test_the_one_that_says_the_most_is_found_first() -> None:
    reset = "Reset it to the factory's settings (its reset button, ten seconds), then picante dispensers adopt a"
    found = heard(f"{reset}. Or: picante dispensers adopt a --key-file FILE")
    assert isinstance(found, Text)
    assert found.values == {
        "command": "picante dispensers adopt a",
        "other": "picante dispensers adopt a --key-file FILE",
    }


def test_an_error_is_said_with_its_hint() -> None:
    german = "der Messer hat nichts gezählt. Noch einmal sehen"
    assert language("de").say(heard("the meter counted nothing", "Look again")) == german
    assert language("de").say(heard_whole("the meter counted nothing. Look again")) == german
    assert heard_whole("no such thing") == "no such thing"


def test_a_message_stays_one() -> None:
    text = Text("Look at it")
    assert heard(text) is text


def test_what_is_found_again_is_still_said() -> None:
    lines = {line for package in SPEAKERS for path in (ROOT / package).rglob("*.py") for line in _lines(path)}
    unsaid = [
        text.message
        for text in hearsay.SENTENCES
        if text.message not in lines
        and not any(words in text.message for words in PUT_TOGETHER)
        and not any(hearsay.pattern(text.message).fullmatch(line) for line in lines)
    ]
    assert unsaid == []


def _lines(path: Path) -> Iterator[str]:
    """The strings of a module, with a word for each value but its own constants."""
    if path.name == "hearsay.py":
        return
    tree = ast.parse(path.read_text("utf-8"))
    own: dict[str, object] = {}
    for each in tree.body:
        if isinstance(each, ast.Assign) and isinstance(each.value, ast.Constant):
            own |= {name.id: each.value.value for name in each.targets if isinstance(name, ast.Name)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.JoinedStr):
            yield "".join(
                str(piece.value) if isinstance(piece, ast.Constant) else str(_value(piece, own))
                for piece in node.values
            )


def _value(piece: ast.expr, own: dict[str, object]) -> object:
    assert isinstance(piece, ast.FormattedValue)
    return own.get(piece.value.id, "X") if isinstance(piece.value, ast.Name) else "X"
