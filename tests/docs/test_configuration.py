"""docs/configuration.md against the code: each key with its type and default, each example as it stands."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
import pytest
from pydantic import BaseModel

from cloud.config import CloudConfig, load_cloud_config
from gateway.config import Config, load_config, load_dispenser_keys, load_pseudonym_key
from hw_sim.scenario import Scenario, load_scenario, parse_scenario
from tests.docs.markdown import ROOT, fences, rows, section, text

CONFIGURATION = text("docs/configuration.md")
CLOUD = text("docs/cloud.md")


def sections_of(document: type[BaseModel]) -> dict[str, type[BaseModel]]:
    """The tables of a configuration file, by name."""
    return {
        name: next(kind for kind in (field.annotation, *get_args(field.annotation)) if isinstance(kind, type))
        for name, field in document.model_fields.items()
        if name != "directory"
    }


def heading(document: type[BaseModel], name: str) -> str:
    """What a table's section on the page is called; a table that may stand more than once has two brackets."""
    several = get_origin(document.model_fields[name].annotation) is tuple
    return f"`[[{name}]]`" if several else f"`[{name}]`"


def keys_of(table: dict[str, Any] | list[dict[str, Any]]) -> set[str]:
    """The keys of a table, or of the first of several."""
    return set(table[0] if isinstance(table, list) else table)


SECTIONS = sections_of(Config)
CLOUD_SECTIONS = sections_of(CloudConfig)


@pytest.mark.parametrize("name", SECTIONS)
def test_every_key_is_documented_with_its_type_and_default(name: str) -> None:
    check_keys(SECTIONS[name], section(CONFIGURATION, f"`[{name}]`"))


@pytest.mark.parametrize("name", CLOUD_SECTIONS)
def test_every_key_of_the_cloud_is_documented_with_its_type_and_default(name: str) -> None:
    check_keys(CLOUD_SECTIONS[name], section(CLOUD, heading(CloudConfig, name)))


def check_keys(model: type[BaseModel], page: str) -> None:
    """A table's keys, types and defaults, against a page's."""
    hints = get_type_hints(model, include_extras=True)
    expected = {}
    for key, field in model.model_fields.items():
        default = "needed" if field.is_required() else toml(field.default)
        expected[key] = [type_in_words(hints[key]), default]
    assert {cells[0].strip("`"): cells[1:3] for cells in rows(page, "key")} == expected


def type_in_words(hint: Any) -> str:
    """A key's type, as the tables tell it."""
    if get_origin(hint) in {Union, UnionType}:
        hint = next(kind for kind in get_args(hint) if kind is not NoneType)
    inner, *more = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    if get_origin(inner) is dict:
        return f"table of {type_in_words(get_args(inner)[1]).partition(':')[0]}s"
    if get_origin(inner) is Literal:
        values = get_args(inner)
        if isinstance(values[0], int):
            return f"number: {', '.join(map(str, values))}"
        return " or ".join(f'`"{value}"`' for value in values)
    if inner in (int, float) and more:
        low, high = (getattr(limit, side) for limit, side in zip(more[0].metadata, ("ge", "le"), strict=True))
        return f"number, {low} to {high}"
    if inner is int:
        return "number"
    if inner is float:
        return "seconds"
    if inner is bool:
        return "true or false"
    return "texts" if get_origin(inner) is tuple else "text"


def toml(value: Any) -> str:
    """A default, as the tables tell it."""
    return "none" if value is None else f"`{msgspec.json.encode(value).decode()}`"


def test_the_complete_example_is_complete_and_can_be_used(tmp_path: Path) -> None:
    example = fences(section(CONFIGURATION, "A complete example"), "toml")[0]
    document = tomllib.loads(example)
    assert {name: set(table) for name, table in document.items()} == {
        name: set(model.model_fields) for name, model in SECTIONS.items()
    }
    (tmp_path / "gateway.toml").write_text(example)
    load_config(tmp_path / "gateway.toml")


def test_the_complete_example_of_the_cloud_is_complete_and_can_be_used(tmp_path: Path) -> None:
    example = fences(section(CLOUD, "A complete example"), "toml")[0]
    document = tomllib.loads(example)
    assert {name: keys_of(table) for name, table in document.items()} == {
        name: set(model.model_fields) for name, model in CLOUD_SECTIONS.items()
    }
    (tmp_path / "cloud.toml").write_text(example)
    load_cloud_config(tmp_path / "cloud.toml")


def test_the_examples_of_key_files_can_be_read(tmp_path: Path) -> None:
    examples = fences(section(CONFIGURATION, "Files with keys"), "toml")
    for name, example in zip(("keys.toml", "pseudonym.toml"), examples, strict=True):
        (tmp_path / name).touch(0o600)
        (tmp_path / name).write_text(example)
    assert list(load_dispenser_keys(tmp_path / "keys.toml")) == ["hot-bar-1"]
    assert load_pseudonym_key(tmp_path / "pseudonym.toml")[1] == 1


def test_every_key_of_a_scenario_is_documented_with_its_default() -> None:
    documented = rows(section(CONFIGURATION, "Scenario files"), "key")
    assert {cells[0].strip("`"): cells[1] for cells in documented} == dict(scenario_keys(Scenario))


def scenario_keys(kind: type[msgspec.Struct], prefix: str = "") -> Iterator[tuple[str, str]]:
    """The keys of a scenario and their defaults; sections' keys after a dot."""
    hints = get_type_hints(kind)
    for field in msgspec.structs.fields(kind):
        inner = [t for t in (hints[field.name], *get_args(hints[field.name])) if isinstance(t, type)]
        nested = next((t for t in inner if issubclass(t, msgspec.Struct)), None)
        if nested is not None:
            yield from scenario_keys(nested, f"{field.name}.")
        else:
            yield prefix + field.name, "needed" if field.required else toml(field.default)


def test_scenarios_that_are_shown_can_be_read(tmp_path: Path) -> None:
    by_hand = fences(section(CONFIGURATION, "A gateway with a simulated dispenser, by hand"), "sh")[0]
    shop, gateway = re.findall(r"<<'TOML'\n(.*?)TOML\n", by_hand, re.DOTALL)
    assert parse_scenario(shop).dispensers
    (tmp_path / "gateway.toml").write_text(gateway)
    load_config(tmp_path / "gateway.toml")
    for name in re.findall(r"scenarios/\w+\.toml", text("README.md") + CONFIGURATION):
        load_scenario(ROOT / name)
