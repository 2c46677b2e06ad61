"""What differs between the contract's topics and a cluster's, and what can be done about it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cloud.topic_plan import Brokers, Difference, Found, differences, in_words, wanted_settings
from cloud_sync.topics import ALL, DAY_MS, DEAD_LETTERS, EVENTS, PROFILES, Topic

ALL_THERE = Brokers(there=3, known=3)


def as_wanted(topic: Topic, copies: int = 3) -> Found:
    """A topic that is as it should be, with settings that nobody asked for beside it."""
    settings = {**wanted_settings(topic, copies), "segment.bytes": "1073741824"}
    return Found(topic.partitions, copies, settings)


def only(found: Found, topic: Topic = EVENTS, copies: int = 3) -> Difference:
    [one] = differences([topic], {topic.name: found}, copies, ALL_THERE)
    return one


def changed(topic: Topic, **settings: str) -> Found:
    found = as_wanted(topic)
    return replace(found, settings={**found.settings, **{k.replace("_", "."): v for k, v in settings.items()}})


def test_nothing_differs_where_all_is_as_the_contract_has_it() -> None:
    assert differences(ALL, {topic.name: as_wanted(topic) for topic in ALL}, 3, ALL_THERE) == []


def test_what_is_missing_is_created() -> None:
    found = differences(ALL, {topic.name: as_wanted(topic) for topic in ALL if topic is not PROFILES}, 3, ALL_THERE)
    assert [(one.topic, one.found, one.wanted, one.remedy) for one in found] == [
        (PROFILES, "missing", "4 partitions, 3 copies", "create")
    ]


@pytest.mark.parametrize(("copies", "in_sync"), [(1, "1"), (2, "1"), (3, "2"), (5, "4")])
def test_one_copy_may_be_lost_wherever_there_are_more(copies: int, in_sync: str) -> None:
    assert wanted_settings(EVENTS, copies)["min.insync.replicas"] == in_sync


@pytest.mark.parametrize("there", [1, 2])
def test_a_broker_that_is_away_changes_nothing_of_what_is_wanted(there: int) -> None:
    brokers = Brokers(there, known=3)
    assert differences(ALL, {topic.name: as_wanted(topic) for topic in ALL}, 3, brokers) == []
    [missing] = differences([EVENTS], {}, 3, brokers)
    assert (missing.wanted, missing.remedy) == ("4 partitions, 3 copies", "none"), "it would stay with fewer copies"
    assert missing.why.startswith(brokers.missing)
    assert brokers.missing == {1: "2 of 3 brokers are missing", 2: "1 of 3 brokers is missing"}[there]


def test_a_cluster_of_one_broker_has_one_copy() -> None:
    [missing] = differences([EVENTS], {}, 3, Brokers(1, 1))
    assert (missing.wanted, missing.remedy) == ("4 partitions, 1 copy", "create")
    assert differences([EVENTS], {EVENTS.name: as_wanted(EVENTS, 1)}, 3, Brokers(1, 1)) == []


def test_what_would_lose_records_without_a_word_is_a_difference() -> None:
    assert only(changed(EVENTS, retention_bytes="1000000")).wanted == "-1"
    for topic in (EVENTS, PROFILES):
        assert only(changed(topic, unclean_leader_election_enable="true"), topic).wanted == "false"


def test_no_partition_is_added_where_keys_would_move() -> None:
    one = only(replace(as_wanted(EVENTS), partitions=3))
    assert (one.found, one.wanted, one.remedy) == ("3", "4", "none")
    assert "would move keys" in one.why
    assert "picante lake replay" in one.why
    assert only(replace(as_wanted(DEAD_LETTERS), partitions=0), DEAD_LETTERS).remedy == "add partitions"


@pytest.mark.parametrize("topic", [EVENTS, DEAD_LETTERS], ids=str)
def test_no_partition_is_taken_away(topic: Topic) -> None:
    one = only(replace(as_wanted(topic), partitions=9), topic)
    assert one.remedy == "none"
    assert "takes no partition away" in one.why


def test_copies_are_moved_by_a_person_and_more_of_them_are_fine() -> None:
    fewer = replace(as_wanted(EVENTS, 2), replication=2)
    assert (only(fewer).setting, only(fewer).remedy) == ("copies", "none")
    more = replace(as_wanted(EVENTS), replication=5)
    assert differences([EVENTS], {EVENTS.name: more}, 3, ALL_THERE) == []


def test_a_setting_is_set_and_what_it_would_delete_is_said() -> None:
    longer = only(changed(EVENTS, retention_ms=str(365 * DAY_MS)))
    assert (longer.setting, longer.remedy, longer.why) == ("retention.ms", "set", "what is older will be deleted")
    assert only(changed(EVENTS, retention_ms="-1")).why == "what is older will be deleted"
    assert only(changed(EVENTS, retention_ms="1000")).why == ""
    assert "will be deleted" in only(changed(PROFILES, cleanup_policy="delete"), PROFILES).why
    assert "by age" in only(changed(EVENTS, cleanup_policy="compact")).why


def test_tombstones_outlive_every_reader_that_may_come_back() -> None:
    for topic in ALL:
        if topic.retention_days is None:
            assert topic.settings["delete.retention.ms"] == str(120 * DAY_MS)


def test_days_are_said_beside_milliseconds() -> None:
    assert in_words("retention.ms", str(120 * DAY_MS)) == "10368000000 (120 days)"
    assert in_words("retention.ms", "1000") == "1000"
    assert in_words("cleanup.policy", "") == "not set"
