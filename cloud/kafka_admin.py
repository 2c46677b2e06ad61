"""What an administrator asks of Kafka: topics with their settings, and rights. Blocks."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # its stubs re-export nothing
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourcePatternType,
    ResourceType,
)

from cloud.librdkafka import REQUEST_S, Cluster, Trouble, connection
from cloud.rights import CLUSTER, Resource, Right
from cloud.topic_plan import Brokers, Difference, Found, wanted_settings

_RESOURCES: dict[Resource, ResourceType] = {
    "topic": ResourceType.TOPIC,
    "group": ResourceType.GROUP,
    "transactional-id": ResourceType.TRANSACTIONAL_ID,
    "cluster": ResourceType.BROKER,
}
_OPERATIONS = {one.name.replace("_", "").lower(): one for one in AclOperation}
_WORDS = {"DESCRIBECONFIGS": "DescribeConfigs", "ALTERCONFIGS": "AlterConfigs", "IDEMPOTENTWRITE": "IdempotentWrite"}


class Admin:
    """An administrator. Each call raises SinkUnavailable or SinkRefused where Kafka is not there for us."""

    def __init__(self, cluster: Cluster) -> None:
        self._trouble = Trouble(cluster)
        self._admin = AdminClient(connection(cluster, self._trouble))

    # -- topics -----------------------------------------------------------------------------------------------------

    def brokers(self) -> Brokers:
        """Those that are there, and those that topics which we may see have copies on."""
        with self._trouble.told("the cluster can't be looked at"):
            cluster = self._admin.list_topics(timeout=REQUEST_S)
        parts = (part for topic in cluster.topics.values() for part in topic.partitions.values())
        there = set(cluster.brokers)
        return Brokers(len(there), len(there.union(*(part.replicas for part in parts))))

    def topics(self, names: Collection[str]) -> dict[str, Found]:
        """Those of the topics that there are."""
        with self._trouble.told("topics can't be looked at"):
            there = self._admin.list_topics(timeout=REQUEST_S).topics
            present = [name for name in names if name in there and there[name].error is None]
            asked = [ConfigResource(ResourceType.TOPIC, name) for name in present]
            answers = self._admin.describe_configs(asked, request_timeout=REQUEST_S) if asked else {}
            settings = {resource.name: found for resource, answer in answers.items() if (found := _if_there(answer))}
        return {
            name: Found(
                partitions=len(there[name].partitions),
                replication=min(len(one.replicas) for one in there[name].partitions.values()),
                settings={key: str(entry.value or "") for key, entry in settings[name].items()},
            )
            for name in settings
        }

    def mend(self, differences: Sequence[Difference], replication: int) -> None:
        """Do what the differences' remedies say; those without one are left as they are."""
        new = [
            NewTopic(one.topic.name, one.topic.partitions, replication, config=wanted_settings(one.topic, replication))
            for one in differences
            if one.remedy == "create"
        ]
        more = [
            NewPartitions(one.topic.name, one.topic.partitions) for one in differences if one.remedy == "add partitions"
        ]
        changed: dict[str, list[ConfigEntry]] = {}
        for one in differences:
            if one.remedy == "set":
                entry = ConfigEntry(one.setting, one.wanted, incremental_operation=AlterConfigOpType.SET)
                changed.setdefault(one.topic.name, []).append(entry)
        altered = [
            ConfigResource(ResourceType.TOPIC, name, incremental_configs=entries) for name, entries in changed.items()
        ]
        with self._trouble.told("topics can't be changed"):
            if new:
                _all_done(self._admin.create_topics(new, request_timeout=REQUEST_S))
            if more:
                _all_done(self._admin.create_partitions(more, request_timeout=REQUEST_S))
            if altered:
                _all_done(self._admin.incremental_alter_configs(altered, request_timeout=REQUEST_S))

    def members(self, group: str) -> int:
        """How many members a consumer group has now; one that never was has none."""
        with self._trouble.told(f"the group {group} can't be looked at"):
            [answer] = self._admin.describe_consumer_groups([group], request_timeout=REQUEST_S).values()
            try:
                return len(_done(answer).members)
            except KafkaException as error:
                if error.args[0].code() == KafkaError.GROUP_ID_NOT_FOUND:
                    return 0
                raise

    # -- rights -----------------------------------------------------------------------------------------------------

    def rights(self, principal: str) -> set[Right]:
        """What a principal is allowed, from whatever host; what is forbidden to it is not looked at."""
        with self._trouble.told("rights can't be looked at"):
            ours = _done(self._admin.describe_cluster(include_authorized_operations=True, request_timeout=REQUEST_S))
            # to one who may not ask, it tells of no rights
            if AclOperation.DESCRIBE not in (ours.authorized_operations or ()):
                raise KafkaException(KafkaError(KafkaError.CLUSTER_AUTHORIZATION_FAILED))
            found = _done(self._admin.describe_acls(_filter(principal), request_timeout=REQUEST_S))
        allowed = AclPermissionType.ALLOW
        return {_right(one) for one in found if one.permission_type == allowed and one.host == "*"}

    def grant(self, principal: str, rights: Iterable[Right]) -> None:
        """Allow these, too."""
        if bindings := [_binding(principal, right) for right in rights]:
            with self._trouble.told("rights can't be given"):
                _all_done(self._admin.create_acls(bindings, request_timeout=REQUEST_S))

    def revoke(self, principal: str, rights: Iterable[Right]) -> None:
        """Allow these no more."""
        if filters := [_filter(principal, right) for right in rights]:
            with self._trouble.told("rights can't be taken"):
                _all_done(self._admin.delete_acls(filters, request_timeout=REQUEST_S))


def _done(answer: Future[Any]) -> Any:
    try:
        return answer.result(REQUEST_S)
    except TimeoutError as error:
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT)) from error  # noqa: SLF001 -- its name


def _if_there(answer: Future[Any]) -> Any:
    """None where the broker that was asked has not heard of a topic yet, or not any more: others may have."""
    try:
        return _done(answer)
    except KafkaException as error:
        if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
            raise
        return None


def _all_done(answers: Mapping[Any, Future[Any]]) -> None:
    for answer in answers.values():
        try:
            _done(answer)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:  # an uplink was quicker
                raise


def _operation(word: str) -> AclOperation:
    return _OPERATIONS[word.lower()]


def _word(operation: AclOperation) -> str:
    plain = operation.name.replace("_", "")
    return _WORDS.get(plain, plain.capitalize())


def _place(right: Right) -> tuple[ResourceType, str, ResourcePatternType]:
    pattern = ResourcePatternType.PREFIXED if right.prefix else ResourcePatternType.LITERAL
    return _RESOURCES[right.resource], CLUSTER if right.resource == "cluster" else right.name, pattern


def _right(found: AclBinding) -> Right:
    kind = next(name for name, number in _RESOURCES.items() if number == found.restype)
    return Right(
        kind,
        found.name,
        found.resource_pattern_type == ResourcePatternType.PREFIXED,
        _word(AclOperation(found.operation)),
    )


def _binding(principal: str, right: Right) -> AclBinding:
    return AclBinding(*_place(right), principal, "*", _operation(right.operation), AclPermissionType.ALLOW)


def _filter(principal: str, right: Right | None = None) -> AclBindingFilter:
    place: Any = (ResourceType.ANY, None, ResourcePatternType.ANY) if right is None else _place(right)
    operation = AclOperation.ANY if right is None else _operation(right.operation)
    permission = AclPermissionType.ANY if right is None else AclPermissionType.ALLOW
    anywhere: Any = None  # as above: its stub knows no None, which stands for any name and host
    return AclBindingFilter(place[0], place[1], place[2], principal, anywhere, operation, permission)
