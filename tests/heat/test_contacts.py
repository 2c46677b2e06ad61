"""What says who a customer is or how to reach them is not kept with their words; what says how hot is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heat.contacts import without_contacts


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("hot please, me@example.com", "hot please, …"),
        ("write to first.last+hot@mail.example.co.uk!", "write to …"),
        ("call 555-123-4567 when it is hot", "call … when it is hot"),
        ("call +81 90 1234 5678", "call …"),
        ("(06) 1234-5678 hot", "… hot"),
        ("0612345678", "…"),
        ("card 4929123456789012 medium", "card … medium"),
        ("ring 555-1234", "ring …"),
        ("ring 612345678", "ring …"),  # nine digits in a row
        ("12345678 SHU", "12345678 SHU"),
        ("12,000 SHU", "12,000 SHU"),
        ("1,000,000", "1,000,000"),
        ("50 000 scoville", "50 000 scoville"),
        ("16000000 SHU", "16000000 SHU"),
        ("10000-20000 SHU", "10000-20000 SHU"),
        ("7/10 heat", "7/10 heat"),
        ("a line\nand\x00another\u202e", "a line and another"),
        ("", ""),
    ],
)
def test_contacts_go_and_heat_stays(text: str, kept: str) -> None:
    assert without_contacts(text, 64) == kept


def test_what_is_kept_is_cut_after_contacts_went() -> None:
    assert without_contacts("x" * 60 + " 0612345678", 64) == "x" * 60 + " …"


@given(st.text(max_size=200), st.from_regex(r"[a-z]{1,8}@[a-z]{1,8}\.com", fullmatch=True), st.text(max_size=50))
def test_no_address_stays(before: str, address: str, after: str) -> None:
    kept = without_contacts(f"{before} {address} {after}", 64)
    assert len(kept) <= 64
    assert kept.isprintable()
    assert address not in kept
