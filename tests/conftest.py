"""Fixtures that every package's tests share: real servers, topics on them, and a browser.

Servers start when the first test asks for one, and end with the session; each of several workers has its own. What
can't be had on a machine is skipped with a reason; under CI=true a skip is a failure, so that no promise goes unproved
in silence.
"""

import asyncio
import contextlib
import functools
import os
import signal
from collections.abc import Awaitable, Callable, Generator, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests import parallel
from tests.chromium import FLAGS, chromium
from tests.faults.loop_image import mount_for_ourselves
from tests.secure_kafka import SecureKafka
from tests.servers import KafkaServer, MosquittoServer, RedisServer, ServerElsewhere, create_topic, mqtt_accepts
from tests.serving import serving
from tests.waiting import LONG_S

IN_CI = os.environ.get("CI", "").lower() in {"1", "true"}
MAY_SKIP = (
    "tests/firmware_bridge/test_torn_vectors.py::test_no_line_that_speaks_otherwise_has_a_frame",
    "tests/cloud/test_open_weather.py::test_what_services_answered_elsewhere_is_weather",
    "tests/heat/test_labels.py::test_each_label_is_of_a_sentence",
    "tests/models/test_heat_text.py::test_the_goals_are_met_on_the_sentences_that_were_held_out",
    "tests/models/test_heat_text.py::test_sentences_that_gave_the_lexicon_nothing_are_understood_nearly_as_well",
    "tests/models/test_off_policy.py::test_on_its_own_policy_a_real_log_is_judged_as_it_was",
    "tests/models/test_real_data.py::",
)
"""Tests that skip in CI, too: what they read may not be handed on with the checkout."""


def pytest_configure() -> None:
    """Let SIGTERM, which a CI's time limit sends, unwind like Ctrl-C: the fixtures then end their servers.

    After a SIGKILL, mounts that stayed would fail the next run, which clears old temporary directories away. A shell
    that runs us in the background has Ctrl-C ignored, for us and for all that we start: not here.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    mount_for_ourselves()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> parallel.WholeFiles | None:
    """Spread tests over workers as `parallel` has it, but where --dist asks for another way."""
    return parallel.scheduler(config, log) if config.option.dist == "load" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Bring tests into the order in which workers take them."""
    parallel.slowest_first(items)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI, turn a skipped test into a failed one."""
    report = yield
    if not hasattr(report, "wasxfail"):
        _forbid_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """In CI, turn a skipped module into an error."""
    report = yield
    _forbid_skip(report)
    return report


def _forbid_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if IN_CI and report.skipped and not report.nodeid.startswith(MAY_SKIP):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        # by name: what two modules report in the same words, several workers would tell once
        report.longrepr = f"CI=true allows no skip: {report.nodeid}: {reason}"


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer | ServerElsewhere]:
    """One Apache Kafka for the session; clients take its `.bootstrap`. To kill a broker, ask for `killable_kafka`."""
    if address := os.environ.get("PICANTE_TEST_KAFKA"):
        yield ServerElsewhere.parse(address)
    else:
        yield from serving(KafkaServer, tmp_path_factory.mktemp("kafka"))


@pytest.fixture(scope="session")
def secure_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureKafka]:
    """One Kafka with logins, certificates and rights for the session; see `tests/secure_kafka.py`."""
    yield from serving(SecureKafka, tmp_path_factory.mktemp("secure-kafka"))


@pytest.fixture
def killable_kafka(kafka: KafkaServer | ServerElsewhere) -> Iterator[KafkaServer]:
    """The session's Kafka, if it is our own process; it runs again after the test, whatever the test did to it."""
    if isinstance(kafka, ServerElsewhere):
        pytest.skip("PICANTE_TEST_KAFKA is a broker of someone else's: it is not ours to kill")
    yield kafka
    if not kafka.alive:
        kafka.start()


@pytest.fixture(scope="session")
def mqtt(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MosquittoServer | ServerElsewhere]:
    """One Mosquitto for the session, for tests that name their own client ids and topics: `.host`, `.port`."""
    if address := os.environ.get("PICANTE_TEST_MQTT"):
        elsewhere = ServerElsewhere.parse(address)
        assert mqtt_accepts(elsewhere.host, elsewhere.port), f"PICANTE_TEST_MQTT={address} refuses an anonymous client"
        yield elsewhere
    else:
        yield from serving(MosquittoServer, tmp_path_factory.mktemp("mosquitto"))


@pytest.fixture
def killable_mqtt(tmp_path: Path) -> Iterator[MosquittoServer]:
    """A fresh Mosquitto for one test, to kill(), start(), stop() and save()."""
    if "PICANTE_TEST_MQTT" in os.environ:
        pytest.skip("PICANTE_TEST_MQTT is a broker of someone else's: it is not ours to kill")
    yield from serving(MosquittoServer, tmp_path / "mosquitto")


@pytest.fixture(scope="session")
def _redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One Redis for the session."""
    yield from serving(RedisServer, tmp_path_factory.mktemp("redis"))


@pytest.fixture
def redis(_redis: RedisServer) -> Iterator[RedisServer]:
    """The session's Redis, empty: `.url`. A test may kill, empty and start it; it runs again after the test."""
    _redis.kill()
    _redis.empty()
    _redis.start()
    yield _redis
    if not _redis.alive:
        _redis.start()


@pytest.fixture
def topic(kafka: KafkaServer | ServerElsewhere) -> Callable[..., Awaitable[str]]:
    """What makes a topic on the session's Kafka, as `create_topic` does, and returns its random name."""
    return functools.partial(create_topic, kafka.bootstrap)


@pytest.fixture(scope="session")
def _chromium() -> Iterator[tuple[Browser, asyncio.AbstractEventLoop]]:
    """One headless Chromium for the session, and the event loop of the Playwright that drives it."""
    executable = chromium()
    if executable is None:
        pytest.skip("no chromium: run scripts/test-setup")
    expect.set_options(timeout=1000 * LONG_S)
    with sync_playwright() as playwright:
        program = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        loop = asyncio.get_running_loop()
        try:
            with _beside(loop, runs=False):
                yield program, loop
        finally:
            program.close()


@pytest.fixture
def browser(_chromium: tuple[Browser, asyncio.AbstractEventLoop]) -> Iterator[Browser]:
    """The session's Chromium under Playwright's synchronous API, for tests that are not `async`."""
    program, loop = _chromium
    with _beside(loop, runs=True):
        yield program


@contextlib.contextmanager
def _beside(loop: asyncio.AbstractEventLoop, *, runs: bool) -> Iterator[None]:
    """Playwright's loop stays "running" in this thread as long as it lives: say so only to tests with a browser.

    Otherwise no other loop could start in this thread, and each browser test would pay a second for its own Chromium.
    """
    asyncio._set_running_loop(loop if runs else None)
    try:
        yield
    finally:
        asyncio._set_running_loop(None if runs else loop)
