"""Who may come in, kept in access.db: what ends, what is bounded, what a damaged or a lost file leaves."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from argon2 import Type, extract_parameters

from gateway.access import audit, once, throttle
from gateway.access.access import Access, open_access
from gateway.access.file import ASIDE, FILE
from gateway.access.lockout import FIRST_PAUSE_S, FORGOTTEN_S, FREE_TRIES, KEPT, LONGEST_PAUSE_S, Lockout, place_of
from gateway.access.once import KeptAnswer
from gateway.access.roles import Role
from gateway.access.sessions import IDLE_MS, LONGEST_MS, MOST_OF_ONE
from gateway.access.throttle import Throttle
from heat.errors import DataError

PASSWORD = "three hot words"
DAY_MS = 86_400_000


class Now:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.ms = 1_800_000_000_000

    def __call__(self) -> int:
        return self.ms


@pytest.fixture
def now() -> Now:
    return Now()


@pytest.fixture
def access(tmp_path: Path, now: Now) -> Iterator[Access]:
    with closing(open_access(tmp_path, now)) as opened:
        for name, role in (("Olga", Role.OWNER), ("Vera", Role.VIEWER)):
            opened.add_person_now(name, PASSWORD, role)
        yield opened


# -- sessions and tokens ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("idle_ms", "steps"), [(IDLE_MS, 1), (IDLE_MS // 2, LONGEST_MS // (IDLE_MS // 2))])
async def test_a_session_ends_unused_or_old(access: Access, now: Now, idle_ms: int, steps: int) -> None:
    cookie = await access.sessions.begin("Vera", "192.168.1.7", "a phone")
    [session] = access.sessions.of("Vera")
    for _ in range(steps):
        now.ms += idle_ms
        assert access.sessions.find(cookie) is not None
        await access.sessions.saw(session)
    now.ms += IDLE_MS // 2 if steps > 1 else idle_ms + 1
    assert access.sessions.find(cookie) is None
    assert access.sessions.role_of(session.id) is None
    assert access.sessions.of("Vera") == []


async def test_a_person_has_so_many_sessions_and_the_longest_unused_goes(access: Access, now: Now) -> None:
    cookies = []
    for _ in range(MOST_OF_ONE + 2):
        now.ms += 1_000
        cookies.append(await access.sessions.begin("Vera", "::1", "a phone"))
    await access.sessions.begin("Olga", "::1", "a phone")
    assert [access.sessions.find(cookie) is None for cookie in cookies] == [True] * 2 + [False] * MOST_OF_ONE
    assert len(access.sessions.of("Olga")) == 1
    assert await access.sessions.end_others("Vera", access.sessions.of("Vera")[0].id) == MOST_OF_ONE - 1


async def test_sessions_end_with_the_password_and_with_the_person(access: Access) -> None:
    for change in (access.set_password("vera", "smoke and honey"), access.people.remove("VERA")):
        cookie = await access.sessions.begin("Vera", "::1", "a phone")
        await change
        assert access.sessions.find(cookie) is None
    assert access.people.kept("Vera") is None


async def test_who_is_let_in_again_is_in_no_browser_of_before(access: Access) -> None:
    cookie = await access.sessions.begin("Vera", "::1", "a phone")
    await access.people.remove("Vera")
    access.add_person_now("Vera", PASSWORD, Role.OWNER)
    assert access.sessions.find(cookie) is None


async def test_a_role_counts_at_once_and_the_last_owner_stays(access: Access) -> None:
    cookie = await access.sessions.begin("Vera", "::1", "a phone")
    for change in (access.people.remove("Olga"), access.people.set_role("Olga", Role.VIEWER)):
        with pytest.raises(DataError, match="last owner"):
            await change
    await access.people.set_role("Vera", Role.OWNER)
    await access.people.remove("Olga")
    found = access.sessions.find(cookie)
    assert found is not None
    assert found.role is Role.OWNER


async def test_a_token_ends_on_its_day(access: Access, now: Now) -> None:
    shown = await access.tokens.add("prometheus", "metrics", "Olga", 1)
    now.ms += DAY_MS
    assert access.tokens.find(shown) is not None
    now.ms += 1
    assert (access.tokens.find(shown), access.tokens.all()) == (None, [])


def test_no_secret_is_in_the_file(access: Access, tmp_path: Path) -> None:
    cookie = access.sessions.begin_now("Vera", "::1", "a phone")
    token = access.tokens.add_now("prometheus", "metrics", "Olga", None)
    held = b"".join(path.read_bytes() for path in tmp_path.glob(f"{FILE}*"))
    for secret in (cookie, token, PASSWORD):
        assert secret.encode() not in held
    assert (tmp_path / FILE).stat().st_mode & 0o077 == 0


def test_nothing_is_left_of_what_was_taken_away(access: Access, tmp_path: Path) -> None:
    before = access.people.kept("Vera")
    access.sessions.begin_now("Vera", "10.20.30.40", "a phone")
    access.set_password_now("Vera", "smoke and honey")
    access.close()
    assert before is not None
    for text in (before.rpartition("$")[2], "10.20.30.40"):
        assert text.encode() not in (tmp_path / FILE).read_bytes()


def test_a_password_costs_whoever_guesses_it(access: Access) -> None:
    kept = extract_parameters(access.people.kept("Olga") or "")
    assert kept.type is Type.ID
    assert (kept.memory_cost >= 19 * 1024, kept.time_cost >= 2) == (True, True), "OWASP's least"


# -- bounds -----------------------------------------------------------------------------------------------------------


async def test_the_audit_log_keeps_the_newest(access: Access, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "MOST", 10)
    monkeypatch.setattr(audit, "_SLACK", 5)
    for number in range(25):
        await access.audit.note(("Olga", "session"), ("POST", "/x"), {"id": "i" * 1_000}, f"{number} " + "w" * 9_000)
    kept = access.audit.page(None, 100)
    assert [change.words.split()[0] for change in kept] == [str(number) for number in range(24, 14, -1)]
    assert (len(kept[0].words), len(kept[0].parameters["id"])) == (audit.LONGEST_CHARS, 100)
    assert [change.number for change in access.audit.page(kept[3].number, 2)] == [kept[4].number, kept[5].number]
    assert access.audit.page(None, 9, "nobody") == access.audit.page(None, 9, None, "no such text") == []


async def test_answers_are_kept_for_a_day_and_so_many(
    access: Access, now: Now, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(once, "MOST", 3)
    answer = KeptAnswer("POST /x", 303, (("location", "/"),), b"")
    for number in range(5):
        now.ms += 1
        await access.answers.keep(bytes([number]), answer)
    assert [access.answers.find(bytes([number])) for number in range(5)] == [None, None, answer, answer, answer]
    now.ms += once.KEPT_MS
    assert access.answers.find(bytes([4])) is None
    now.ms -= 2 * once.KEPT_MS  # the clock was ahead: what is from the future goes
    await access.answers.keep(b"now", answer)
    assert access.answers.find(bytes([4])) is None


def test_wrong_tries_bring_pauses_that_grow_and_are_forgotten() -> None:
    now_s = [0.0]
    lockout = Lockout(lambda: now_s[0])
    for _ in range(FREE_TRIES):
        assert lockout.pause_s(["a", "p"]) == 0
        lockout.failed(["a", "p"])
    assert lockout.pause_s(["a", "q"]) == FIRST_PAUSE_S
    lockout.failed(["a"])
    assert lockout.pause_s(["a"]) == 2 * FIRST_PAUSE_S
    for _ in range(50):
        lockout.failed(["a"])
    assert lockout.pause_s(["a"]) == LONGEST_PAUSE_S
    lockout.passed("a", "p")
    assert (lockout.pause_s(["a"]), lockout.pause_s(["p"])) == (0, 0)
    lockout.failed(["p"])
    assert lockout.pause_s(["p"]) == FIRST_PAUSE_S, "the address keeps its other tries"
    now_s[0] += FORGOTTEN_S + 1
    assert lockout.pause_s(["p"]) == 0
    for number in range(KEPT + 5):
        lockout.failed([str(number)])
    assert len(lockout._wrong) == KEPT


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("192.168.1.7", "192.168.1.7"),
        ("::ffff:192.168.1.7", "192.168.1.7"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("console", "console"),
    ],
)
def test_a_network_of_ipv6_is_one_place(address: str, place: str) -> None:
    assert place_of(address) == place


@pytest.mark.parametrize("name", [".", "..", " ... "])
def test_a_name_is_more_than_dots(access: Access, name: str) -> None:
    with pytest.raises(DataError, match="more than dots"):
        access.add_person_now(name, PASSWORD, Role.VIEWER)


def test_who_asks_without_end_waits_and_the_others_do_not() -> None:
    now_s = [0.0]
    bucket = Throttle(3, 2.0, lambda: now_s[0])
    assert [bucket.pause_s("a") for _ in range(4)] == [0, 0, 0, 0.5]
    assert bucket.pause_s("b") == 0
    now_s[0] += 0.5
    assert [bucket.pause_s("a"), bucket.pause_s("a")] == [0, 0.5]
    now_s[0] += 1_000
    assert [bucket.pause_s("a") for _ in range(4)] == [0, 0, 0, 0.5], "it holds no more than at first"
    for number in range(throttle.KEPT + 5):
        bucket.pause_s(str(number))
    assert len(bucket._left) == throttle.KEPT


# -- damage, loss, setup ----------------------------------------------------------------------------------------------


def test_a_damaged_file_is_set_aside_and_access_is_lost_not_open(access: Access, tmp_path: Path, now: Now) -> None:
    access.close()
    (tmp_path / FILE).write_bytes(b"damaged" * 1_000)
    with closing(open_access(tmp_path, now)) as opened:
        assert (opened.damaged, opened.begin(), opened.stage, opened.setup_open) == (True, None, "lost", False)
        assert (tmp_path / ASIDE).read_bytes().startswith(b"damaged")
        code = opened.new_code()
        assert (opened.stage, opened.is_code(code.lower().replace("-", " ")), opened.is_code("")) == (
            "setup",
            True,
            False,
        )
        opened.close_setup()
        assert (opened.stage, opened.is_code(code)) == ("lost", False)


def test_a_write_that_fails_changes_nothing_and_the_next_goes_through(access: Access) -> None:
    def work(connection: sqlite3.Connection) -> None:
        connection.execute("DELETE FROM people")
        raise sqlite3.OperationalError("disk I/O error")

    with pytest.raises(sqlite3.OperationalError):
        access.file.write_now(work)
    assert [person.name for person in access.people.all()] == ["Olga", "Vera"]
    access.add_person_now("Tomás", PASSWORD, Role.TECHNICIAN)
    assert access.people.get("tomás") is not None


def test_an_empty_code_opens_nothing(tmp_path: Path) -> None:
    (tmp_path / "setup-code").write_text("\n")
    with closing(open_access(tmp_path)) as opened:
        assert (opened.setup_open, opened.is_code(""), opened.is_code("-")) == (False, False, False)
        assert len(opened.begin() or "") == 9


def test_a_gateway_that_nobody_set_up_waits_with_a_code(tmp_path: Path) -> None:
    with closing(open_access(tmp_path)) as opened:
        assert (opened.stage, opened.setup_open) == ("setup", False)  # safe mode makes no code
        code = opened.begin()
        assert code is not None
        assert (opened.begin(), opened.stage, opened.setup_open) == (code, "setup", True)
        opened.add_person_now("Olga", PASSWORD, Role.OWNER)
        opened.close_setup()
        (tmp_path / "set-up").unlink()  # the power went between the two
        assert opened.begin() is None
        assert (tmp_path / "set-up").exists()
