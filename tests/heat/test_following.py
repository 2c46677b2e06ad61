"""An abrupt change is followed, a slip is not, and a steady customer is none the worse for it.

A change is followed if, five pours after a jump of two octaves, the preferred heat that picks are made of is within
half an octave of the true one, for the middle one of many customers. Menus here have every heat, so that picks lie
where the preferred heat does; `tests.gateway.test_latest` has the picks themselves, on a screen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median, quantiles

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heat.events import AnyData, Verdict
from heat.following import LATEST, Belief, Dose, Seen, dose, follow, scatter
from heat.profile import Profile, contribution
from heat.reading import Prior, Reading, default_decay, followed_state, heat_state, read
from heat.scale import MAX_MO, MAX_SHU
from tests.heat.customers import FIRST_DAY, Customer
from tests.strategies import SHU, poured, rated, stated

JUMP_MO = 2000
SEEDS = range(50)
TODAY = FIRST_DAY


def _errors(customers: list[Customer], reading: Callable[[Customer], Reading]) -> list[float]:
    return [abs(reading(customer).state.mean_mo - customer.preferred_mo) for customer in customers]


def _changed(visits: int, jump_mo: int, days_between: int, *, moody: bool = False) -> list[Customer]:
    """Customers who poured five times since their taste jumped."""
    customers = [Customer(seed, moody=moody) for seed in SEEDS]
    for customer in customers:
        customer.come(visits)
        customer.preferred_mo += jump_mo
        customer.come(5, days_between=days_between)
    return customers


@pytest.mark.parametrize("jump_mo", [JUMP_MO, -JUMP_MO])
@pytest.mark.parametrize("days_between", [0, 1, 3])
@pytest.mark.parametrize("visits", [12, 40])
def test_five_pours_after_a_change_taste_is_found_again(visits: int, days_between: int, jump_mo: int) -> None:
    customers = _changed(visits, jump_mo, days_between)
    followed = _errors(customers, Customer.reading)
    assert median(followed) < 500
    assert quantiles(followed, n=10)[-1] < JUMP_MO
    # sums alone average the change away
    assert median(_errors(customers, Customer.averaged)) > 2 * median(followed)


def test_moods_hide_a_change_for_longer() -> None:
    customers = _changed(20, JUMP_MO, 1, moody=True)
    assert median(_errors(customers, Customer.reading)) < 750
    for customer in customers:
        customer.come(4)
    assert median(_errors(customers, Customer.reading)) < 500


@pytest.mark.parametrize("moody", [False, True])
@pytest.mark.parametrize("off_mo", [-5000, -3000, -2000, 2000, 3000, 5000])
def test_a_single_slip_is_not_followed(off_mo: int, moody: bool) -> None:
    moved = []
    for seed in SEEDS:
        customer = Customer(seed, moody=moody, slips=0)
        customer.come(12)
        before = customer.reading().state.mean_mo
        customer.pour(customer.preferred_mo + off_mo)
        moved.append(abs(customer.reading().state.mean_mo - before))
    assert quantiles(moved, n=10)[-1] < 250
    assert median(moved) < 200


@pytest.mark.parametrize("whim_mo", [0, 500, 1000])
@pytest.mark.parametrize("moody", [False, True])
def test_a_steady_customer_is_known_as_well_as_by_sums_alone(moody: bool, whim_mo: float) -> None:
    followed = averaged = 0.0
    for visits in (3, 10, 30):
        customers = [Customer(seed, moody=moody, whim_mo=whim_mo) for seed in range(80)]
        for customer in customers:
            customer.come(visits)
        followed += sum(_errors(customers, Customer.reading))
        averaged += sum(_errors(customers, Customer.averaged))
    assert followed <= 1.02 * averaged


def test_a_change_that_is_older_than_the_doses_stays_followed() -> None:
    customers = _changed(40, JUMP_MO, 1)
    for customer in customers:
        customer.come(2 * LATEST)
    assert median(_errors(customers, Customer.reading)) < 250


def test_while_it_is_open_whether_taste_changed_the_belief_is_wide() -> None:
    customer = Customer(1, rates=0, slips=0)
    customer.come(20)
    steady = customer.reading().state.sd_mo
    widths = []
    for _ in range(8):
        customer.pour(customer.preferred_mo + JUMP_MO)
        widths.append(customer.reading().state.sd_mo)
    assert max(widths) > 2 * steady
    assert widths[-1] < max(widths) / 2


def test_verdicts_on_the_old_taste_do_not_hold_the_new_one_down() -> None:
    customer = Customer(2, whim_mo=0, rates=0, slips=0)
    customer.come(10)
    for _ in range(3):  # in the list, but before the change
        customer.pour(customer.preferred_mo)
        customer.say(rated(_shu(customer.preferred_mo), "too_hot"))
    new_mo = customer.preferred_mo + JUMP_MO
    for _ in range(6):
        customer.pour(new_mo)
    assert abs(customer.reading().state.mean_mo - new_mo) < 500


def test_verdicts_that_are_older_than_the_doses_do_not_either() -> None:
    customer = Customer(2, whim_mo=0, rates=0, slips=0)
    for _ in range(6):
        customer.pour(customer.preferred_mo)
        customer.say(rated(_shu(customer.preferred_mo), "too_hot"))
    customer.come(LATEST - 6)  # from now on they are in the sums alone
    new_mo = customer.preferred_mo + JUMP_MO
    held_down = customer.reading().state.tolerance_mo
    for _ in range(6):
        customer.pour(new_mo)
    state = customer.reading().state
    assert abs(state.mean_mo - new_mo) < 250
    assert state.tolerance_mo > held_down + JUMP_MO


def _elsewhere(customer: Customer, heats_mo: Sequence[float], verdict: Verdict | None = None) -> None:
    """Visits at another store, one a day: they come down as sums, and are no doses here."""
    for heat_mo in heats_mo:
        bodies: list[AnyData] = [poured(_shu(heat_mo))]
        if verdict is not None:
            bodies.append(rated(_shu(heat_mo), verdict))
        for body in bodies:
            customer.profile.fold(contribution(body, "gw-2", customer.day))
        customer.day += 1


@pytest.mark.parametrize("jump_mo", [2 * JUMP_MO, -2 * JUMP_MO])
def test_what_happened_at_another_store_since_is_newer_than_the_doses_here(jump_mo: int) -> None:
    for seed in range(10):
        customer = Customer(seed, rates=0, slips=0)
        customer.come(LATEST)
        new_mo = min(max(customer.preferred_mo + jump_mo, 1000), 16_000)
        _elsewhere(customer, [new_mo + off for off in (300, -200, 100, -300, 200, -100)])
        assert abs(customer.reading().state.mean_mo - new_mo) < 500
        # and the next visit here is the newest again
        customer.pour(new_mo)
        assert abs(customer.reading().state.mean_mo - new_mo) < 500


def test_too_hot_at_another_store_lowers_what_is_thought_to_be_borne_here() -> None:
    customer = Customer(4, rates=0, slips=0)
    customer.come(LATEST)
    customer.preferred_mo += JUMP_MO
    customer.come(6)  # a change: what was said before it counts no more, what is said after it does
    before = customer.reading().state
    _elsewhere(customer, [before.mean_mo + off for off in (-300, 200, -100)], "too_hot")
    after = customer.reading().state
    assert after.tolerance_mo < before.tolerance_mo - 1000
    assert after.mean_mo < before.mean_mo


def test_a_slip_at_another_store_is_none_the_truer_for_being_praised() -> None:
    moved = []
    for seed in range(20):
        customer = Customer(seed, rates=0, slips=0)
        customer.come(LATEST)
        before = customer.reading().state.mean_mo
        _elsewhere(customer, [customer.preferred_mo + 3000], "just_right")
        moved.append(abs(customer.reading().state.mean_mo - before))
    assert median(moved) < 250


def test_who_goes_to_two_stores_by_turns_is_known_as_well() -> None:
    followed = averaged = 0.0
    for seed in range(60):
        customer = Customer(seed)
        for _ in range(12):
            customer.come(1)
            _elsewhere(customer, [customer.preferred_mo + customer.rng.gauss(0, customer.whim_mo)])
        followed += abs(customer.reading().state.mean_mo - customer.preferred_mo)
        averaged += abs(customer.averaged().state.mean_mo - customer.preferred_mo)
    assert followed <= 1.05 * averaged


def _shu(heat_mo: float) -> int:
    return round(16 * (2 ** (heat_mo / 1000) - 1))


# -- what goes in and comes out -------------------------------------------------------------------------------------


def test_without_doses_it_is_what_sums_say() -> None:
    customer = Customer(3)
    customer.come(30)
    prior, decay = Prior(), default_decay()
    plain = heat_state(customer.profile, customer.day, prior, decay)
    assert followed_state(customer.profile, customer.day, prior, decay, ()) == plain
    assert customer.averaged().state == plain


def test_few_doses_that_agree_are_what_sums_say_too() -> None:
    profile, latest = Profile(), []
    for body in (poured(4000), stated(5000), rated(4000, "just_right")):
        profile.fold(contribution(body, "gw-1", TODAY))
        latest.append(dose(body, TODAY))
    followed, summed = read(profile, TODAY, latest=_all(latest)).state, read(profile, TODAY).state
    assert abs(followed.mean_mo - summed.mean_mo) < 50
    assert abs(followed.sd_mo - summed.sd_mo) < 100


def test_doses_of_another_day_than_their_sums_do_no_harm() -> None:
    """As when a day was found to be another one while a customer asked."""
    profile = Profile()
    profile.fold(contribution(poured(4000), "gw-1", TODAY))
    state = read(profile, TODAY, latest=[Dose(TODAY - 1, "poured", 7972, 12)]).state
    assert 7900 <= state.mean_mo <= 8100


def test_a_verdict_shares_the_slip_of_its_pour() -> None:
    before = Belief(8.0, 0.1)
    slip = Seen(14.0, 1.3, again=False)
    rated_well = follow(before, [slip, Seen(14.0, 0.6, again=True)])
    assert abs(rated_well.belief.mean - 8.0) < 0.1
    assert rated_well.belief.mean < follow(before, [slip, Seen(14.0, 0.6, again=False)]).belief.mean


def test_a_scatter_is_learned_from_steps_whatever_the_level() -> None:
    calm = [Seen(8 + 0.1 * (at % 2), 1.3, again=False) for at in range(LATEST)]
    moved = [one if at < 10 else one._replace(octaves=one.octaves + 3) for at, one in enumerate(calm)]
    wild = [Seen(8 + 3 * (at % 2), 1.3, again=False) for at in range(LATEST)]
    assert scatter(calm) == scatter(moved) < 0.6
    assert scatter(wild) == 3.0
    assert scatter([]) == scatter(calm[:1]) == 1.0


_DOSES = st.lists(
    st.one_of(
        SHU.map(poured),
        SHU.map(stated),
        st.builds(rated, SHU, st.sampled_from(("too_hot", "just_right", "more"))),
    ),
    max_size=LATEST - 1,
)


def _all(latest: list[Dose | None]) -> list[Dose]:
    return [one for one in latest if one is not None]


def _read(bodies: list[AnyData]) -> Reading:
    profile = Profile()
    for body in bodies:
        profile.fold(contribution(body, "gw-1", TODAY))
    return read(profile, TODAY, latest=_all([dose(body, TODAY) for body in bodies]))


@given(_DOSES)
def test_a_followed_state_lies_on_the_scale(bodies: list[AnyData]) -> None:
    state = _read(bodies).state
    assert all(type(value) is int for value in (state.mean_mo, state.sd_mo, state.tolerance_mo))
    assert 0 <= state.mean_mo <= state.tolerance_mo <= MAX_MO
    assert state.sd_mo >= 0


@given(_DOSES, st.integers(0, MAX_SHU), st.integers(1, 400))
def test_too_hot_never_raises_what_is_thought_to_be_liked_or_borne(bodies: list[AnyData], shu: int, w: int) -> None:
    before, after = _read(bodies).state, _read([*bodies, rated(shu, "too_hot", w=w)]).state
    # 1 mo for the rounding of floats
    assert after.mean_mo <= before.mean_mo + 1
    assert after.tolerance_mo <= before.tolerance_mo + 1


_DATED = st.lists(
    st.tuples(
        st.one_of(SHU.map(poured), SHU.map(stated), st.builds(rated, SHU, st.sampled_from(("too_hot", "more")))),
        st.integers(TODAY - 100, TODAY),
    ),
    max_size=LATEST // 2 - 1,
)


@given(_DATED, _DATED, st.integers(0, MAX_SHU))
def test_nor_with_what_other_stores_saw_in_between(
    here: list[tuple[AnyData, int]], elsewhere: list[tuple[AnyData, int]], shu: int
) -> None:
    here.sort(key=lambda dated: dated[1])
    profile, latest = Profile(), [dose(body, day) for body, day in here]
    for origin, dated in (("gw-1", here), ("gw-2", elsewhere)):
        for body, day in dated:
            profile.fold(contribution(body, origin, day))
    before = read(profile, TODAY, latest=_all(latest)).state
    assert 0 <= before.mean_mo <= before.tolerance_mo <= MAX_MO
    hurt = rated(shu, "too_hot")
    profile.fold(contribution(hurt, "gw-1", TODAY))
    after = read(profile, TODAY, latest=_all([*latest, dose(hurt, TODAY)])).state
    assert after.mean_mo <= before.mean_mo + 1
    assert after.tolerance_mo <= before.tolerance_mo + 1
