"""Documentation that fails: what it names is there, and what is there is named."""

from __future__ import annotations

import ast
import importlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import get_args
from urllib.parse import unquote

import click
import pytest
from fastapi.routing import APIRoute

from cloud.metrics import REGISTRY
from cloud_sync.topics import ALL as TOPICS
from firmware_bridge.codec import BadMessageReason
from firmware_bridge.framing import BadFrameReason
from firmware_bridge.messages import RejectReason
from gateway.assembly import assemble
from gateway.config import load_config
from gateway.web import application
from gateway.web.metrics import Figures
from gateway.web.repairs.board import Board
from gateway.web.repairs.kinds import KINDS
from gateway.web.repairs.metrics import Figures as RepairFigures
from gateway.web.watch import Watch
from heat.events import TYPES
from heat.quality import Reason
from picante.cli import main
from tests.docs.markdown import ROOT, anchors, codes, fences, links, pages, rows, section, spans, text

README = text("README.md")
SUFFIX = {"counter": "_total", "info": "_info"}
OPERATIONS = text("docs/operations.md")
ARCHITECTURE = text("docs/architecture.md")
PROTOCOL = text("docs/protocol.md")

every_page = pytest.mark.parametrize("path", pages(), ids=lambda path: str(path.relative_to(ROOT)))


# -- links and paths ------------------------------------------------------------------------------------------------


@every_page
def test_links_lead_somewhere(path: Path) -> None:
    for link in links(path.read_text(encoding="utf-8")):
        if "://" in link:
            continue
        name, _, anchor = unquote(link).partition("#")
        target = (path.parent / name).resolve() if name else path
        assert target.exists(), f"{link} leads nowhere"
        assert target.is_relative_to(ROOT), f"{link} leads out of the repository"
        if anchor:
            assert anchor in anchors(target.read_text(encoding="utf-8")), f"{link}: no such heading"


@every_page
def test_files_named_are_there(path: Path) -> None:
    named = [span for span in spans(path.read_text(encoding="utf-8")) if re.fullmatch(r"[\w.-]+/[\w./-]*", span)]
    ours = [name for name in named if (ROOT / name.split("/")[0]).exists()]
    assert [name for name in ours if not (ROOT / name).exists()] == []


def test_decisions_are_numbered_and_titled() -> None:
    numbers = []
    for path in sorted((ROOT / "docs" / "adr").glob("*.md")):
        number, title = re.match(r"# (\d+)\. (.+)\n", path.read_text(encoding="utf-8")).groups()  # type: ignore[union-attr]
        assert path.name.startswith(f"{int(number):04}-"), f"{path.name} calls itself {number}"
        for heading in ("Context", "Decision", "Consequences"):
            assert section(path.read_text(encoding="utf-8"), heading).strip(), f"{path.name}: {title}"
        numbers.append(int(number))
    assert len(set(numbers)) == len(numbers) >= 15, "each number once"


# -- commands -------------------------------------------------------------------------------------------------------


def leaves(command: click.Command, *words: str) -> Iterator[tuple[str, click.Command]]:
    """Every command that does something, by its words."""
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from leaves(inner, *words, name)
    else:
        yield " ".join(words), command


def commands_named(source: str) -> Iterator[list[str]]:
    """The words after each `picante` in code."""
    for code in (*spans(source), *fences(source)):
        for match in re.finditer(r"(?:^|[\s(/])picante ([a-z-][^\n#|;&`)]*)", code, re.MULTILINE):
            yield shlex.split(match[1])


def objection(words: list[str]) -> str | None:
    """What is wrong with a command line, if anything."""
    command: click.Command = main
    rest = list(words)
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        name = rest.pop(0)
        inner = command.get_command(click.Context(command), name)
        if inner is None:
            return f"there is no command {name!r}"
        command = inner
    known = {name for option in command.params for name in option.opts} | {"--help", "-h"}
    unknown = [word for word in rest if word.startswith("-") and word.split("=")[0] not in known]
    return f"no option {unknown[0]}" if unknown else None


@every_page
def test_commands_named_exist(path: Path) -> None:
    named = list(commands_named(path.read_text(encoding="utf-8")))
    assert [(" ".join(words), why) for words in named if (why := objection(words))] == []


def test_a_wrong_command_would_be_found() -> None:
    assert [objection(words) for words in commands_named("`picante demo --sekonds 3`, `picante gatway run`")] == [
        "no option --sekonds",
        "there is no command 'gatway'",
    ]


def test_every_command_is_in_the_readme_or_the_clouds_page_with_an_example() -> None:
    tables = [*rows(README, "command"), *rows(text("docs/cloud.md"), "command")]
    table = {cells[0].strip("`"): cells[2].strip("`") for cells in tables}
    assert set(table) == {f"picante {words}" for words, _ in leaves(main)}
    assert len(table) == len(tables), "a command is told of twice"
    assert [command for command, example in table.items() if not example.startswith(command)] == []


@every_page
def test_make_targets_named_exist(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    code = "\n".join([*spans(source), *fences(source, "sh")])
    named = set(re.findall(r"(?:^|\s)make ([a-z-]+)", code, re.MULTILINE))
    assert named - targets == set()


def test_the_readme_has_the_two_commands_and_the_pictures() -> None:
    first_lines = [line.partition("#")[0].strip() for line in fences(README, "sh")[0].splitlines()]
    assert first_lines == ["make demo", "make test"]
    assert {"docs/img/dispenser-wide.png", "docs/img/repairs-phone.png"} <= set(links(README))


def test_tests_named_by_the_readme_are_there() -> None:
    places = re.findall(r"make test ARGS=(tests/[\w/.]+)", README)
    assert len(places) > 3
    assert [place for place in places if not (ROOT / place).exists()] == []
    words = re.findall(r'make test ARGS="-k (\w+)"', README)
    everything = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    assert [word for word in words if not re.search(rf"def test_\w*{word}", everything)] == []


def test_the_glossary_has_ten_words() -> None:
    assert len(list(rows(section(README, "Glossary"), "word"))) == 10


# -- the web --------------------------------------------------------------------------------------------------------


def test_every_path_is_in_the_readme() -> None:
    routes = [route for module in application.ROUTES for route in module.router.routes]
    there = {route.path_format for route in routes if isinstance(route, APIRoute) and route.include_in_schema}
    assert set(codes(section(README, "The API"), "path")) == there


def test_every_repair_is_documented_with_its_cost() -> None:
    told = {
        code.split("`")[1]: (cost, "·" not in code)
        for code, _, cost, _ in rows(section(text("docs/web-ui.md"), "Repairs"), "code")
    }
    assert told == {kind.code: (str(kind.cost), kind.urgent) for kind in KINDS.values()}


async def test_every_metric_is_documented(tmp_path: Path) -> None:
    gateway, cloud = await metric_names(tmp_path), cloud_metric_names()
    assert set(codes(OPERATIONS, "metric")) == gateway
    assert set(codes(text("docs/cloud.md"), "metric")) == cloud
    names = gateway | cloud
    for path in pages():
        named = set(re.findall(r"\bpicante_[a-z_]+[a-z]\b", path.read_text(encoding="utf-8")))
        assert named - names == set(), path


def cloud_metric_names() -> set[str]:
    """The metrics of all parts of the cloud, as Prometheus names them; their modules make them when imported."""
    importlib.import_module("cloud.app")
    return {family.name + SUFFIX.get(family.type, "") for family in REGISTRY.collect()}


async def metric_names(directory: Path) -> set[str]:
    """The metrics of a gateway that has everything, as Prometheus names them."""
    (directory / "keys.toml").touch(0o600)
    (directory / "pseudonym.toml").touch(0o600)
    (directory / "pseudonym.toml").write_text(f'version = 1\nkey = "{"ab" * 32}"\n')
    (directory / "gateway.toml").write_text(
        '[gateway]\nid = "g"\nstore = "s"\nregion = "r"\ndata_dir = "d"\nballast_mb = 0\n[kafka]\nbootstrap = "k:1"\n'
    )
    async with assemble(load_config(directory / "gateway.toml")) as state:
        watch = Watch(state)
        board = Board(state, watch)
        families = [*Figures(state, watch).collect(), *RepairFigures(board).collect()]
    return {family.name + SUFFIX.get(family.type, "") for family in families}


# -- logs, reasons, bounds, topics ----------------------------------------------------------------------------------


def test_every_log_field_is_documented() -> None:
    assert set(codes(OPERATIONS, "field")) == log_fields() | {"exception", "left_out"}


def log_fields() -> set[str]:
    """The keys of every `extra={...}` in what the daemon runs."""
    found: set[str] = set()
    for package in ("gateway", "firmware_bridge", "cloud_sync", "models"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.keyword) and node.arg == "extra" and isinstance(node.value, ast.Dict):
                    found |= {str(key.value) for key in node.value.keys if isinstance(key, ast.Constant)}
    return found


def test_every_reason_of_refusal_is_documented() -> None:
    assert codes(section(OPERATIONS, "Events that were refused"), "reason") == list(get_args(Reason))


def test_every_reject_is_documented() -> None:
    assert set(codes(section(PROTOCOL, "Keep-alive and errors"), "reason")) == set(get_args(RejectReason))


def test_every_reason_of_a_bad_frame_is_documented() -> None:
    by_link = {"wrong_topic", "topic", "too_many_dispensers"}
    documented = codes(section(OPERATIONS, "Metrics"), "reason")
    assert set(documented) == {*get_args(BadFrameReason), *get_args(BadMessageReason), *by_link}


def test_bounds_are_what_the_constants_say() -> None:
    for what, bound, constant in rows(section(ARCHITECTURE, "Bounds"), "what"):
        module, _, name = constant.strip("`").rpartition(".")
        value = getattr(importlib.import_module(module), name)
        assert float(bound.split()[0].replace(",", "")) == value, what


def test_topics_named_exist() -> None:
    known = {topic.name for topic in TOPICS} | TYPES.keys()
    for path in pages():
        named = set(re.findall(r"\bpicante\.[a-z]+\.v\d\b", path.read_text(encoding="utf-8")))
        assert named - known == set(), path
