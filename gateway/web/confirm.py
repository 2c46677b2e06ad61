"""What pours, reboots, wipes or reverts is confirmed: by holding its button for a second, or by typing a word.

The macro `hold_button` puts the field `confirm` into the form; holding fills it in.
"""

from __future__ import annotations

from gateway.web.language import LANGUAGES, Text, language
from gateway.web.problems import Fault, Problem

YES = Text("yes")
"""What is typed where nothing else says better what is done."""


def confirmed(given: str, word: Text) -> bool:
    """Whether this is the word, in whichever language the form was shown."""
    return given.strip().casefold() in {language(code).say(word).casefold() for code in LANGUAGES}


def must_be_confirmed(given: str, word: Text) -> None:
    """The word must have been given.

    Raises:
        Problem: 422, it was not.
    """
    if not confirmed(given, word):
        raise Problem(
            422,
            "not-confirmed",
            "this was not confirmed",
            hint=f"Hold the button for a second, or type {word}",
            faults=(Fault(where="confirm", what=f"must be {word}"),),
        )
