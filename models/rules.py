"""Which sauces may be picked at all: what a rule forbids is no candidate, is never shown, and fills up no slate. Pure.

A customer's needs come with the ASK and are forgotten with the answer: nothing of them is stored. What the catalogue
was not checked for nobody can promise to be absent: whoever avoids that is shown nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from heat.catalog import Sauce

ASKED_MARGIN_MO = 500
"""mo; how far above what was asked for a pick above the store's limit may lie: labels are no surer than this."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The store's rules, and the allergens that its catalogue was checked for."""

    limit_mo: int | None = None
    """The heat above which nothing is picked unasked, and a pour is confirmed; None: there is none."""
    checked: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Needs:
    """What this customer must not be shown: sauces with these allergens; those for adults, unless checked to be one."""

    avoid: frozenset[str] = frozenset()
    adult: bool = False


NO_NEEDS = Needs()
"""Of whom nothing is known: not even that they are adults."""


def allowed(sauces: Iterable[Sauce], rules: Rules, needs: Needs, wish_mo: int | None = None) -> tuple[Sauce, ...]:
    """The sauces that may be picked, in their order. `wish_mo` is the hottest that was asked for in this session."""
    if not needs.avoid <= rules.checked:
        return ()
    return tuple(
        sauce
        for sauce in sauces
        if not (needs.avoid.intersection(sauce.allergens) or (sauce.adults_only and not needs.adult))
        and (not confirmed(sauce, rules) or _is_asked(sauce, rules, wish_mo))
    )


def confirmed(sauce: Sauce, rules: Rules) -> bool:
    """Whether the sauce lies above the store's limit: a pour of it needs a confirmation."""
    return rules.limit_mo is not None and sauce.heat.milli_octaves > rules.limit_mo


def _is_asked(sauce: Sauce, rules: Rules, wish_mo: int | None) -> bool:
    if wish_mo is None or rules.limit_mo is None or wish_mo <= rules.limit_mo:
        return False
    return sauce.heat.milli_octaves <= wish_mo + ASKED_MARGIN_MO
