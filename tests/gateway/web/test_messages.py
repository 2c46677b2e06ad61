"""The catalogue of messages: nothing is said past it, and what would be wrong with a translation is found."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.web.language import LANGUAGES
from tests.web_tools import messages
from tests.web_tools.messages import NotConstant, bare_text, collected, complaints


def test_every_message_is_one_that_a_catalogue_can_hold() -> None:
    said = collected()
    assert said.get("Repairs") is not None
    assert len(said) > 500


@pytest.mark.parametrize("code", [code for code in LANGUAGES if code != LANGUAGES[0]])
def test_every_message_is_translated(code: str) -> None:
    assert complaints(code) == []  # `make messages` adds what is new and takes away what is stale


def test_templates_say_nothing_past_the_catalogue() -> None:
    found = {path.name: bare_text(path.read_text("utf-8")) for path in (messages.WEB / "templates").rglob("*.html")}
    assert {name: words for name, words in found.items() if words} == {}


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("<p>{{ _('Some words') }} · 5 %</p>", []),
        ("<p class='some words'>Picante</p>", []),
        ("<p>Some {{ words }}</p>", ["Some"]),
        ('<img alt="A pepper">', ["pepper"]),
        ("{# Some #}<b>&nbsp;</b>{% if some %}{% endif %}", []),
    ],
)
def test_bare_words_are_found(template: str, words: list[str]) -> None:
    assert bare_text(template) == words


# -- what would be wrong ----------------------------------------------------------------------------------------------

CODE = 'Text("{n} pour at {name}", "{n} pours at {name}", n=n, name=name); Text("Repairs")\n'


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A web of two messages, in gateway/web."""
    web = tmp_path / "gateway" / "web"
    (web / "locale").mkdir(parents=True)
    (web / "code.py").write_text(CODE)
    monkeypatch.setattr(messages, "WEB", web)
    monkeypatch.setattr(messages, "LOCALE", web / "locale")
    return web


WHOLE = """\
msgid "{n} pour at {name}"
msgid_plural "{n} pours at {name}"
msgstr[0] "ein Guss bei {name}"
msgstr[1] "{n} Güsse bei {name}"

msgid "Repairs"
msgstr "Störungen"
"""


@pytest.mark.parametrize(
    ("translated", "complaint"),
    [
        (WHOLE, None),
        (WHOLE.replace('"Störungen"', '""'), "missing: 'Repairs'"),
        (WHOLE.replace("Repairs", "Repair"), "stale: 'Repair'"),
        (WHOLE.replace('msgstr[1] "{n} Güsse bei {name}"', 'msgstr[1] ""'), "missing: ('{n} pour at {name}'"),
        (WHOLE.replace("{n} Güsse bei {name}", "{n} Güsse bei {nmae}"), "other values: '{n} Güsse bei {nmae}'"),
        (WHOLE.replace("{n} Güsse bei {name}", "{n} Güsse"), "other values: '{n} Güsse'"),
        (WHOLE.replace('msgid "Repairs"', '#, fuzzy\nmsgid "Repairs"'), "doubtful: 'Repairs'"),
    ],
)
def test_each_fault_of_a_translation_is_told(web: Path, translated: str, complaint: str | None) -> None:
    (web / "locale" / "de.po").write_text(translated, encoding="utf-8")
    found = complaints("de")
    assert found == [] if complaint is None else any(line.startswith(complaint) for line in found), found


def test_what_is_said_no_more_goes_and_what_is_new_comes(web: Path) -> None:
    (web / "locale" / "de.po").write_text(WHOLE.replace("Repairs", "Old"), encoding="utf-8")
    written = messages.update("de").decode()
    assert "Güsse" in written
    assert "Störungen" not in written
    assert 'msgid "Repairs"\nmsgstr ""' in written


def test_a_message_that_is_made_while_the_program_runs_is_refused(web: Path) -> None:
    (web / "code.py").write_text('Text(f"{name} is away")\n')
    with pytest.raises(NotConstant, match=r"code\.py:1"):
        collected()
