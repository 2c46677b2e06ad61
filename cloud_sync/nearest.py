"""What somebody may have meant, for the hints of errors."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

LISTED = 12
"""Words that a hint names when nothing is near."""


def nearest(word: str, known: Iterable[str]) -> str:
    """A sentence with the nearest of the known words, or with the first of them."""
    words = list(known)
    close = difflib.get_close_matches(word, words, n=1, cutoff=0.5)
    if close:
        return f"Did you mean {close[0]}?"
    more = f", and {len(words) - LISTED} more" if len(words) > LISTED else ""
    return f"Known: {', '.join(words[:LISTED])}{more}" if words else "None is known"
