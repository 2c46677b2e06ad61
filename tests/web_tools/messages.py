"""The messages that people read: collected from code and templates into gateway/web/locale/*.po (`make messages`).

    python -m tests.web_tools.messages            write what is new, take away what is no longer said
    python -m tests.web_tools.messages --check    say what is missing, stale, doubtful or has other values

In Python a message is `Text("...")`, with its plural as second argument; in templates `_("...")` and `ngettext`.
"""

from __future__ import annotations

import ast
import io
import re
import string
import sys
from collections.abc import Iterator
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.pofile import read_po, write_po
from jinja2.ext import babel_extract

from gateway.web.language import LANGUAGES

WEB = Path(__file__).parents[2] / "gateway" / "web"
LOCALE = WEB / "locale"
CALLS = {"Text", "_", "gettext", "ngettext"}


class NotConstant(ValueError):
    """A message that no catalogue can hold: it is made while the program runs."""


def collected() -> Catalog:
    """Every message, with the files that say it."""
    catalog = Catalog(charset="utf-8", fuzzy=False)
    for path in sorted(WEB.rglob("*.py")):
        _add(catalog, path, _said_by_code(path))
    for path in sorted((WEB / "templates").rglob("*.html")):
        _add(catalog, path, _said_by_template(path))
    return catalog


def _add(catalog: Catalog, path: Path, said: Iterator[str | tuple[str, str]]) -> None:
    place = path.relative_to(WEB.parents[1]).as_posix()
    for message in said:
        catalog.add(message, locations=[(place, 1)])


def _said_by_code(path: Path) -> Iterator[str | tuple[str, str]]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in CALLS and node.args:
            words = [each.value if isinstance(each, ast.Constant) else None for each in node.args[:2]]
            singular, plural = words[0], words[1] if len(words) > 1 else None
            if not isinstance(singular, str):
                # handed on: `Text(NOZZLE.message, nozzle=3)`, and where `Text` itself is
                if path.name == "language.py" or getattr(node.args[0], "attr", "") == "message":
                    continue
                raise NotConstant(f"{path}:{node.lineno}")
            yield (singular, plural) if isinstance(plural, str) else singular


def _said_by_template(path: Path) -> Iterator[str | tuple[str, str]]:
    options = {"trim_blocks": "true", "lstrip_blocks": "true", "newstyle_gettext": "false"}
    with path.open("rb") as file:
        for line, function, words, _ in babel_extract(file, ["_", "ngettext"], [], options):
            found = [words] if isinstance(words, str) else list(words or ())
            singular, plural = found[0], found[1] if len(found) > 1 else None
            if singular is None:
                raise NotConstant(f"{path}:{line}")
            yield (singular, str(plural)) if function == "ngettext" else singular


def catalogue(code: str) -> Catalog:
    """What is translated into a language."""
    path = LOCALE / f"{code}.po"
    if not path.is_file():
        return Catalog(locale=code, charset="utf-8", fuzzy=False)
    with path.open("rb") as file:
        return read_po(file, locale=code)


def update(code: str) -> bytes:
    """The catalogue's file, with what is said today."""
    catalog = catalogue(code)
    catalog.update(collected(), no_fuzzy_matching=True)
    catalog.obsolete.clear()
    written = io.BytesIO()
    write_po(written, catalog, width=120, omit_header=True, sort_output=True, include_lineno=False)
    return written.getvalue()


def complaints(code: str) -> list[str]:
    """What is wrong with a language's catalogue, a line each."""
    said, told = collected(), catalogue(code)
    found = [f"missing: {message.id!r}" for message in said if message.id and not _is_whole(told, message)]
    for message in told:
        if not message.id:
            continue
        if said.get(_singular(message.id)) is None:
            found.append(f"stale: {message.id!r}")
        if message.fuzzy:
            found.append(f"doubtful: {message.id!r}")
        found += [f"other values: {one!r} for {message.id!r}" for one in _wrong_values(message)]
    return found


def _is_whole(told: Catalog, message: Message) -> bool:
    found = told.get(_singular(message.id))
    if found is None or bool(found.pluralizable) != bool(message.pluralizable):
        return False
    forms = found.string if isinstance(found.string, (list, tuple)) else [found.string]
    return all(forms) and (not found.pluralizable or len(forms) == told.num_plurals)


def _wrong_values(message: Message) -> list[str]:
    ids = [message.id] if isinstance(message.id, str) else list(message.id)
    wanted = set().union(*(_values(one) for one in ids))
    forms = [message.string] if isinstance(message.string, str) else list(message.string or ())
    # a form of one may leave its number out: "one pour"
    return [form for form in forms if form and (_values(form) ^ wanted) - ({"n"} if len(ids) > 1 else set())]


def _values(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def _singular(message: object) -> str:
    return message if isinstance(message, str) else str(message[0])  # type: ignore[index]


# -- what is said without being a message -----------------------------------------------------------------------------

NAMES = {
    "Picante",
    "SHU",
    "Kafka",
    "UTC",
    "CSV",
    "JSON",
    "Lines",
    "Python",
    "SQLite",
    "OpenSSL",
    "Linux",
    "eMMC",
    "gateway",
    "toml",
}
"""Are the same in every language."""
_TAGS = re.compile(r"{#.*?#}|{%.*?%}|{{.*?}}|<!--.*?-->", re.DOTALL)
_SHOWN_ATTRIBUTES = re.compile(r'\b(?:aria-label|title|placeholder|alt|aria-description)="([^"]*)"')


def bare_text(template: str) -> list[str]:
    """Words in a template that no catalogue knows."""
    text = re.sub(r"<(code|pre)\b.*?</\1>", "\0", _TAGS.sub("\0", template), flags=re.DOTALL)  # what is typed
    shown = " ".join([*_SHOWN_ATTRIBUTES.findall(text), re.sub(r"<[^>]*>", "\0", text)])
    return [word for word in re.findall(r"(?<![&\w#-])(?!aria-)[A-Za-z][A-Za-z'-]+(?!;)", shown) if word not in NAMES]


def main(check: bool) -> int:
    """Update, or check."""
    wrong = 0
    for code in LANGUAGES[1:]:
        if check:
            found = complaints(code)
            wrong += len(found)
            sys.stdout.writelines(f"{code}: {line}\n" for line in found)
        else:
            LOCALE.mkdir(exist_ok=True)
            (LOCALE / f"{code}.po").write_bytes(update(code))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv))
