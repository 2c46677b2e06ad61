"""Profiles -> picks."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.config import CloudConfig, KafkaSection, RecommenderSection
from cloud.kafka import read_to_end
from cloud.librdkafka import Cluster
from cloud.recommender import Recommender, Shelf, shelf_of
from cloud_sync.published import Profile, ServedPicks, Version, publish, read_published
from cloud_sync.record import Consumed, Record
from heat.catalog import Catalog, default_catalog
from heat.errors import ConfigError
from heat.events import AnyData
from heat.profile import contribution, merge, profile_of_rows
from heat.reading import read
from models.ranker import RuleRanker
from models.safety import MARGIN_MO
from tests.cloud.hot_store.filling import customer, send, tombstone
from tests.servers import KafkaServer, ServerElsewhere
from tests.strategies import EVIDENCE, poured, rated
from tests.waiting import wait_until

Kafka = KafkaServer | ServerElsewhere
MakeTopic = Callable[..., Awaitable[str]]
TODAY = 20_500
NOW_MS = TODAY * 86_400_000
SHELF = Shelf(default_catalog(), RuleRanker(), 10)
LIMIT_S = 30


def _profile(*evidence: tuple[AnyData, str, int], offset: int = 1) -> Profile:
    buckets, flavours = merge(contribution(*part) for part in evidence).rows()
    return Profile(version=Version(1, offset), regions=(), buckets=buckets, flavours=flavours)


def _record(topic: str, subject: str, profile: Profile) -> Record:
    return replace(publish(subject, profile, "/cloud/test", "id", NOW_MS), topic=topic)


def _recommender(bootstrap: str = "127.0.0.1:9", shelf: Shelf = SHELF, **topics: str) -> Recommender:
    return Recommender(Cluster(bootstrap), "test", shelf, lambda: NOW_MS, **topics)


def test_picks_are_those_that_the_customer_likes_best_first() -> None:
    mild = _recommender().picks(_profile(*[(poured(300), "gw-1", TODAY)] * 20), TODAY)
    bold = _recommender().picks(_profile(*[(poured(200_000), "gw-1", TODAY)] * 20), TODAY)
    catalog = default_catalog()
    assert [pick.score for pick in mild.picks] == sorted((pick.score for pick in mild.picks), reverse=True)
    assert catalog[mild.picks[0].sauce].shu < 1_500
    assert catalog[bold.picks[0].sauce].shu > 50_000
    assert mild.version == Version(1, 1)
    assert mild.last_day == TODAY
    assert mild.ranker == "rule"
    assert all(pick.why for pick in mild.picks)


@given(st.lists(EVIDENCE, max_size=8))
def test_nothing_above_the_tolerance_is_picked(evidence: list[tuple[AnyData, str, int]]) -> None:
    profile = _profile(*evidence)
    tolerance = read(profile_of_rows(profile.buckets, profile.flavours), 20_006).state.tolerance_mo
    picks = _recommender().picks(profile, 20_006).picks
    assert len(picks) <= 10
    assert all(pick.milli_octaves <= tolerance + MARGIN_MO for pick in picks)
    known = {sauce.id: sauce.heat.milli_octaves for sauce in default_catalog().values()}
    assert all(known[pick.sauce] == pick.milli_octaves for pick in picks)


def test_whom_all_burns_is_offered_little_and_not_the_mildest_of_what_burns() -> None:
    hurt = _profile(*[(rated(20, "too_hot"), "gw-1", TODAY)] * 40)
    picks = _recommender().picks(hurt, TODAY).picks
    assert len(picks) < 3
    assert all(pick.milli_octaves < 2_000 for pick in picks)


def test_who_opted_out_is_served_nothing() -> None:
    opted_out = msgspec.structs.replace(_profile((poured(300), "gw-1", TODAY)), opted_out=True, consent_ms=1)
    record = _record("profiles", customer(1), opted_out)
    assert record.key is not None
    [answer] = _recommender().answers([Consumed("profiles", 0, 0, NOW_MS, record.key, record.value, ())])
    assert (answer.key, answer.value) == (record.key, None)


def with_adults(sauce: str) -> Catalog:
    """The catalogue, with a sauce that is for adults only."""
    catalog = default_catalog()
    sauces = tuple(msgspec.structs.replace(one, adults_only=one.id == sauce) for one in catalog.values())
    return Catalog(catalog.version, catalog.flavours, sauces)


def test_what_is_for_adults_only_is_picked_for_nobody() -> None:
    shelf = replace(SHELF, catalog=with_adults("table-red"))
    profile = _profile(*[(poured(2200), "gw-1", TODAY)] * 20)
    served = [Recommender(Cluster("127.0.0.1:9"), "test", one, lambda: NOW_MS) for one in (SHELF, shelf)]
    shown, hidden = ({pick.sauce for pick in each.picks(profile, TODAY).picks} for each in served)
    assert shown - hidden == {"table-red"}


def test_another_shelf_is_another_group() -> None:
    catalog = default_catalog()
    groups = {
        SHELF.group,
        Shelf(catalog, RuleRanker(), 9).group,
        shelf_of(CloudConfig(kafka=KafkaSection(bootstrap="k:1"))).group,
        Shelf(type(catalog)(catalog.version, catalog.flavours, tuple(catalog.values())[1:]), RuleRanker(), 10).group,
        Shelf(with_adults("reaper-raw"), RuleRanker(), 10).group,
    }
    assert len(groups) == 5
    assert SHELF.group == Shelf(default_catalog(), RuleRanker(), 10).group
    assert all(group.startswith("picante-recommender-") for group in groups)


def test_a_catalogue_that_is_none_names_its_key(tmp_path: Path) -> None:
    def config(file: str) -> CloudConfig:
        return CloudConfig(
            kafka=KafkaSection(bootstrap="k:1"), recommender=RecommenderSection(catalog=file), directory=tmp_path
        )

    with pytest.raises(ConfigError, match=r"recommender\.catalog"):
        shelf_of(config("nowhere.json"))
    (tmp_path / "odd.json").write_text("{}")
    with pytest.raises(ConfigError, match="catalogue"):
        shelf_of(config("odd.json"))


def test_a_bundle_that_is_none_leaves_the_rule(tmp_path: Path) -> None:
    config = CloudConfig(
        kafka=KafkaSection(bootstrap="k:1"), recommender=RecommenderSection(bundle="nowhere"), directory=tmp_path
    )
    assert shelf_of(config).ranker.name == "rule"
    assert shelf_of(CloudConfig(kafka=KafkaSection(bootstrap="k:1"))).ranker.name != "rule"


# -- on Kafka -----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _running(recommender: Recommender) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=recommender.run, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(20)
    assert not thread.is_alive()


def _published(cluster: Cluster, topic: str) -> list[tuple[str, ServedPicks | None]]:
    found: list[tuple[str, ServedPicks | None]] = []
    for record in (record for batch in read_to_end(cluster, topic) for record in batch):
        said = None if record.value is None else read_published(record.value)
        assert said is None or isinstance(said, ServedPicks)
        found.append(((record.key or b"").decode(), said))
    return found


async def test_each_profile_has_its_picks_and_a_forgotten_customer_none(kafka: Kafka, topic: MakeTopic) -> None:
    profiles, picks = await topic(partitions=2), await topic(partitions=2)
    cluster = Cluster(kafka.bootstrap)
    shelf = replace(SHELF, picks=7)  # a group of this test's own
    pours = [(poured(300), "gw-1", TODAY)]
    send(cluster, *(_record(profiles, customer(n), _profile(*pours * n, offset=n)) for n in range(20)))
    with _running(_recommender(kafka.bootstrap, shelf, profiles=profiles, picks=picks)):
        wait_until(lambda: len(_published(cluster, picks)) == 20, LIMIT_S, "picks for all")
        odd = Record(profiles, customer(1).encode(), b"{}", ())
        send(cluster, odd, tombstone(profiles, customer(2)), _record(profiles, customer(3), _profile(offset=99)))
        wait_until(lambda: len(_published(cluster, picks)) == 22, LIMIT_S, "and for those who changed")
    last = dict(_published(cluster, picks))
    assert last.pop(customer(2)) is None
    versions = {subject: said.version.offset for subject, said in last.items() if said is not None}
    assert versions == {customer(n): 99 if n == 3 else n for n in range(20) if n != 2}
    # another process goes on where this one was: nothing is read again
    send(cluster, _record(profiles, customer(50), _profile(offset=100)))
    with _running(_recommender(kafka.bootstrap, shelf, profiles=profiles, picks=picks)):
        wait_until(lambda: customer(50) in dict(_published(cluster, picks)), LIMIT_S, "picks for one more")
    assert len(_published(cluster, picks)) == 23
    # another ranker begins with all
    with _running(_recommender(kafka.bootstrap, replace(SHELF, picks=6), profiles=profiles, picks=picks)):
        wait_until(lambda: len(_published(cluster, picks)) == 23 + 21, LIMIT_S, "picks of the other shelf for all")
