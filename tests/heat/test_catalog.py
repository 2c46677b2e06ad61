"""The catalogue: what ships, and what is refused."""

from __future__ import annotations

import json

import pytest

from heat.catalog import default_catalog, parse_catalog
from heat.errors import DataError

SAUCE = {"id": "red", "name": "Red", "shu": 2200, "flavours": ["smoky"]}


def _catalog(sauces: list[dict[str, object]], flavours: tuple[str, ...] = ("smoky", "sweet")) -> str:
    return json.dumps({"version": "t", "flavours": flavours, "sauces": sauces})


def test_the_one_that_ships() -> None:
    catalog = default_catalog()
    assert len(catalog) == 24
    assert sum(sauce.popularity for sauce in catalog.values()) == 100
    assert catalog["table-red"].heat.milli_octaves == 7114
    assert catalog["table-red"].heat.source == "label"


def test_the_order_is_the_file_s() -> None:
    catalog = parse_catalog(_catalog([SAUCE | {"id": "z"}, SAUCE | {"id": "a"}]))
    assert list(catalog) == ["z", "a"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "catalogue: Expected `object`"),
        (_catalog([]), "no sauces"),
        (_catalog([SAUCE, SAUCE]), "'red' stands there twice"),
        (_catalog([SAUCE | {"id": "Red!"}]), "'Red!' is not a sauce id"),
        (_catalog([SAUCE | {"id": "r" * 25}]), "is not a sauce id"),
        (_catalog([SAUCE | {"flavours": ["soapy"]}]), r"'red' has unknown flavours \['soapy'\]"),
        (_catalog([SAUCE | {"flavours": ["smoky", "smoky"]}]), "'red' names a flavour twice"),
        (_catalog([SAUCE], flavours=("smoky", "a\tb")), r"'a\\tb' is not a flavour tag"),
        (_catalog([SAUCE | {"shu": 16_000_001}]), r"\$.sauces\[0\].shu"),
        (_catalog([SAUCE | {"shu": "hot"}]), r"\$.sauces\[0\].shu"),
        (_catalog([SAUCE | {"name": ""}]), r"\$.sauces\[0\].name"),
        (_catalog([SAUCE | {"name": "N" * 33}]), r"\$.sauces\[0\].name"),
        (_catalog([SAUCE | {"price": 3}]), "unknown field `price`"),
        (_catalog([SAUCE | {"popularity": 101}]), r"\$.sauces\[0\].popularity"),
    ],
)
def test_a_bad_catalogue_says_where(text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        parse_catalog(text)
