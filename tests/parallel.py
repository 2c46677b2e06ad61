"""How a run is spread over its workers (`make test` has four): whole files, and those that take long go first.

Each worker has servers of its own, so what shares a module's or a package's server stays on one worker. A worker takes
another unit when it has nearly done its last one: with the longest first, no worker ends long after the others.
"""

from __future__ import annotations

import pytest
from xdist.scheduler import LoadScopeScheduling

TOGETHER = ("tests/cloud_sync/test_uplink", "tests/faults/test_kills")
"""Files that begin so share a server: one Kafka, with a gateway that rests from the first of them to the last; three
brokers that are killed."""

SLOWEST_FIRST = (
    *TOGETHER,
    "tests/cloud/test_equality.py",
    "tests/mutants/test_mutants.py",
    "tests/flow/test_fleet.py",
    "tests/flow/test_bad_input.py",
    "tests/benchmarks/test_road.py",
    "tests/benchmarks/test_cloud_half.py",
    "tests/flow/test_down_again.py",
    "tests/gateway/web/test_calibrating.py",
    "tests/gateway/web/test_nozzles.py",
    "tests/gateway/web/test_repairs_page.py",
    "tests/gateway/web/test_every_repair.py",
    "tests/gateway/web/test_first_boot.py",
    "tests/gateway/web/test_restore.py",
    "tests/gateway/web/test_records_pages.py",
    "tests/gateway/web/test_letter_roads.py",
    "tests/gateway/web/test_kiosk_page.py",
    "tests/gateway/web/test_dispensers_in_browser.py",
    "tests/cloud/test_pipeline.py",
    "tests/cloud/test_rights.py",
    "tests/cloud/lake/test_writer.py",
    "tests/flow/test_demo.py",
    "tests/flow/test_main_road.py",
    "tests/faults/test_clock.py",
    "tests/faults/test_edge.py",
    "tests/gateway/web/test_system_page.py",
    "tests/gateway/web/test_schema.py",
    "tests/gateway/web/test_live_page.py",
    "tests/gateway/web/test_tabs.py",
    "tests/benchmarks/test_web.py",
    "tests/benchmarks/test_pages.py",
    "tests/gateway/web/test_axe.py",
    "tests/flow/test_commands.py",
    "tests/flow/test_adoption.py",
    "tests/gateway/web/test_sensors.py",
    "tests/faults/test_corruption.py",
    "tests/benchmarks/test_link.py",
    "tests/faults/test_freezes.py",
    "tests/faults/test_power_cut.py",
    "tests/flow/test_refused_by_kafka.py",
    "tests/flow/test_secured_broker.py",
    "tests/deploy/test_squeezed.py",
    "tests/cloud/hot_store/test_filler.py",
    "tests/cloud_sync/test_log.py",
    "tests/gateway/test_scorer.py",
    "tests/contract/test_skips.py",
)
"""What takes more than twenty seconds on two cores that are kept busy; `make test ARGS=--durations=50` tells."""


class WholeFiles(LoadScopeScheduling):  # type: ignore[misc]  # xdist carries no types
    """Hands out units."""

    def _split_scope(self, nodeid: str) -> str:
        return unit(nodeid)


def unit(nodeid: str) -> str:
    """What a test is handed out with: its file, or the files that belong together."""
    return next((begin for begin in TOGETHER if nodeid.startswith(begin)), nodeid.partition("::")[0])


def slowest_first(items: list[pytest.Item]) -> None:
    """Bring the units into their order, and leave a unit's tests in theirs."""
    ranks = {name: rank for rank, name in enumerate(SLOWEST_FIRST)}
    items.sort(key=lambda item: ranks.get(unit(item.nodeid), len(ranks)))


def scheduler(config: pytest.Config, log: object) -> WholeFiles:
    """The scheduler of a run; it keeps the order that the tests are in."""
    config.option.loadscopereorder = False
    return WholeFiles(config, log)
