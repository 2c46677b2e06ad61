"""What a text loses before it leaves the machine, and what it keeps."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.scrub import GONE, SHORTEST, Scrubber

KEY = bytes(range(224, 256))
PASSWORD = b"correct horse battery"


@pytest.mark.parametrize(
    "written",
    [
        KEY.hex(),
        KEY.hex().upper(),
        base64.b64encode(KEY).decode(),
        base64.urlsafe_b64encode(KEY).decode(),
        base64.b64encode(b"x" + KEY + b"y").decode(),
        base64.b64encode(b"key: " + KEY).decode(),
        PASSWORD.decode(),
        PASSWORD.hex(),
        base64.b64encode(b"login " + PASSWORD).decode(),
    ],
)
def test_known_secrets_go_however_they_are_written(written: str) -> None:
    scrubbed = Scrubber([KEY, PASSWORD]).text(f"the line had <{written}> in it")
    assert KEY.hex() not in scrubbed.lower()
    assert "horse" not in scrubbed
    assert written[8:20] not in scrubbed
    assert scrubbed.startswith("the line had <")


def test_what_looks_like_words_goes_where_it_is_a_secret_in_base64() -> None:
    secret = base64.b64decode("smoke+and/honeyx")
    for known in (secret, secret.hex().encode()):  # a key's file tells its bytes in hex
        for written in ("smoke+and/honeyx", "smoke-and_honeyx"):
            assert Scrubber([known]).text(f"<{written}>") == f"<{GONE}>"
            assert Scrubber().text(f"<{written}>") == f"<{written}>", "else this shows nothing"


@given(
    st.text(st.sampled_from("aSß\u0130\u20ac\U0001f336"), min_size=SHORTEST) | st.just("\U0001f336"),
    st.text(max_size=9),
    st.text(max_size=9),
)
def test_known_secrets_go_whatever_they_stand_between(secret: str, before: str, after: str) -> None:
    for written in (secret, secret.encode().hex().upper()):
        scrubbed = Scrubber([KEY, secret.encode()]).text(f"{before}{written}{after}")
        assert GONE in scrubbed


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("password=hunter", "hunter"),
        ("'password': 'hunter two'", "'hunter"),
        ("sasl_plain_password: hunter", "hunter"),
        ("Authorization: Bearer abcdefgh", "abcdefgh"),
        ("sent Bearer abcdefgh", "abcdefgh"),
        ("kafka://user:hunter@broker.example", "hunter"),
        ("$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$RdescudvJCsgt3ub", "Rdescudv"),
        ("-----BEGIN PRIVATE KEY-----\nMIIabc\n-----END PRIVATE KEY-----", "MII"),
        ("-----BEGIN PRIVATE KEY-----\nMIIabc", "MII"),
        ("a card LOY-7F3K-2201 was shown", "7F3K"),
        ("a card 4006381333931 was shown", "4006381333931"),
        ("a card 4006381 was shown", "4006381"),
        (f"a token {'a' * 33} was shown", "a" * 33),
        ("loyalty-canary-4711", "4711"),
        ("/srv/4006381333931/x", "4006381333931"),
        ("p1-3f2a9c0d1b7e4f6a8c5d2e1f0a9b8c7d", "3f2a9c0d"),
        ("dGhpcyBpcyBhIHNlY3JldCB0b2tlbg0/abc", "dGhpcyBp"),
        ("setup code: ABCD-EFGH", "ABCD"),
    ],
)
def test_unknown_ones_go_by_how_they_look(text: str, secret: str) -> None:
    scrubbed = Scrubber().text(text)
    assert secret not in scrubbed
    assert GONE in scrubbed


@pytest.mark.parametrize(
    "text",
    [
        "no gateway answers at 127.0.0.1:8080: Connection refused",
        "2026-11-26T06:18:38.123+00:00 the page is at http://localhost:8080/",
        "/dev/serial/by-id/usb-picante-hot-bar-1-if00: device disappeared after 1234 ms",
        'File "/opt/picante/gateway/store.py", line 312, in _transact',
        "hot-bar-1 is online, 12 of 500 ml left, 98.5 %",
        "UnknownTopicOrPartitionError: it is not there",
        f"position 123456 of {'a' * 32}",
        "it took 0.25 s, -3 dB, 250,000 rows",
    ],
)
def test_what_helps_stays(text: str) -> None:
    names = ["hot-bar-1", "usb-picante-hot-bar-1-if00"]
    assert Scrubber([KEY, PASSWORD], names).text(text) == text


@given(st.binary(min_size=8, max_size=40), st.binary(max_size=9), st.binary(max_size=9))
def test_base64_of_whatever_is_around_a_secret(secret: bytes, before: bytes, after: bytes) -> None:
    coded = base64.b64encode(before + secret + after).decode()
    scrubbed = Scrubber([secret]).text(coded)
    assert coded[(len(before) * 8 + 5) // 6 : (len(before) + len(secret)) * 8 // 6] not in scrubbed


def test_its_repr_has_no_secret() -> None:
    assert "horse" not in repr(Scrubber([PASSWORD], ["bar"]))
