"""What the tests of kills share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cluster import KafkaCluster
from tests.serving import serving


@pytest.fixture(scope="package")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaCluster]:
    """Three brokers of our own, whatever Kafka the other tests use: they are killed.

    They end with these tests: idle, each takes some hundredths of a processor.
    """
    yield from serving(KafkaCluster, tmp_path_factory.mktemp("cluster"))
