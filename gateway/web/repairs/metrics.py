"""How many repairs there are, for Prometheus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from gateway.web.repairs.board import Board


class Figures(Collector):
    """Counts anew at each scrape."""

    def __init__(self, board: Board) -> None:
        self._board = board

    def collect(self) -> Iterator[Metric]:
        """By code; what somebody lets be is counted, too."""
        family = GaugeMetricFamily("picante_repairs", "What should be mended, by code.", labels=("code",))
        for code, count in sorted(Counter(repair.code for repair in self._board.repairs).items()):
            family.add_metric((code,), count)
        yield family

    def describe(self) -> list[Metric]:
        """Nothing is looked at when this is registered."""
        return [GaugeMetricFamily("picante_repairs", "What should be mended, by code.", labels=("code",))]
