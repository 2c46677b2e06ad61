"""The brand's sauces: what each is called, how hot its label says it is, what it tastes of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from typing import Annotated

import msgspec
import msgspec.structs

from heat.errors import DataError
from heat.identity import MAX_FLAVOURS, SAUCE_ID
from heat.scale import LAB_SD_MO, MAX_MO, MAX_SHU, Heat, Version, heat_from_shu

MAX_ALLERGENS = 16
"""Of a catalogue: the European Union has fourteen to be declared."""


class Sauce(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One sauce. `sd_milli_octaves` is how unsure its label is; `popularity` its share of all pours, in percent.

    `allergens` are of the catalogue's list; `adults_only` is never picked for whom nobody has checked to be one.
    """

    id: str
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=32)]
    shu: Annotated[int, msgspec.Meta(ge=0, le=MAX_SHU)]
    sd_milli_octaves: Annotated[int, msgspec.Meta(ge=0, le=MAX_MO)] = LAB_SD_MO
    flavours: Annotated[tuple[str, ...], msgspec.Meta(max_length=MAX_FLAVOURS)]
    popularity: Annotated[int, msgspec.Meta(ge=0, le=100)] = 0
    allergens: Annotated[tuple[str, ...], msgspec.Meta(max_length=MAX_ALLERGENS)] = ()
    adults_only: bool = False

    @property
    def heat(self) -> Heat:
        """The heat on the label."""
        return heat_from_shu(self.shu, source="label", sd_milli_octaves=self.sd_milli_octaves)


class _Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: Version
    flavours: tuple[str, ...]
    sauces: tuple[Sauce, ...]
    allergens: Annotated[tuple[str, ...], msgspec.Meta(max_length=MAX_ALLERGENS)] = ()


class Catalog(Mapping[str, Sauce]):
    """The sauces by id, in the order of the file, with the catalogue's version and its lists of tags.

    `allergens` are those that every sauce was checked for: what is not listed there, no sauce is known to be free of.
    """

    def __init__(
        self, version: str, flavours: tuple[str, ...], sauces: tuple[Sauce, ...], allergens: tuple[str, ...] = ()
    ) -> None:
        self.version = version
        self.flavours = flavours
        self.allergens = allergens
        self._sauces = {sauce.id: sauce for sauce in sauces}

    def __getitem__(self, sauce_id: str) -> Sauce:
        return self._sauces[sauce_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._sauces)

    def __len__(self) -> int:
        return len(self._sauces)

    def label(self, sauce: Sauce) -> Heat:
        """The heat on a sauce's label, with this catalogue's version."""
        return msgspec.structs.replace(sauce.heat, table=self.version)


def parse_catalog(text: bytes | str) -> Catalog:
    """A catalogue from its JSON. Raises DataError, naming the sauce and field, if it can't be used."""
    try:
        document = msgspec.json.decode(text, type=_Document)
    except msgspec.DecodeError as error:
        raise DataError(f"catalogue: {error}", hint="Compare it with heat/data/catalog.json") from error
    for kind, tags in (("a flavour tag", document.flavours), ("an allergen", document.allergens)):
        if odd := [tag for tag in tags if not SAUCE_ID.match(tag)]:
            raise DataError(f"catalogue: {odd[0]!r} is not {kind}", hint="Use 1 to 24 of a-z, 0-9 and '-'")
    seen: set[str] = set()
    for sauce in document.sauces:
        _check(sauce, document, seen)
        seen.add(sauce.id)
    if not document.sauces:
        raise DataError("catalogue: no sauces")
    return Catalog(document.version, document.flavours, document.sauces, document.allergens)


def _check(sauce: Sauce, document: _Document, seen: set[str]) -> None:
    if not SAUCE_ID.match(sauce.id):
        raise DataError(f"catalogue: {sauce.id!r} is not a sauce id", hint="Use 1 to 24 of a-z, 0-9 and '-'")
    if sauce.id in seen:
        raise DataError(f"catalogue: {sauce.id!r} stands there twice")
    if unknown := sorted(set(sauce.flavours) - set(document.flavours)):
        raise DataError(f"catalogue: {sauce.id!r} has unknown flavours {unknown}", hint="List them in 'flavours'")
    if unchecked := sorted(set(sauce.allergens) - set(document.allergens)):
        hint = "List in 'allergens' what every sauce was checked for"
        raise DataError(f"catalogue: {sauce.id!r} has unknown allergens {unchecked}", hint=hint)
    if len(set(sauce.flavours)) < len(sauce.flavours):
        raise DataError(f"catalogue: {sauce.id!r} names a flavour twice")


@cache
def default_catalog() -> Catalog:
    """The catalogue that ships with Picante."""
    return parse_catalog(resources.files("heat").joinpath("data/catalog.json").read_bytes())
