"""The cloud half in the demo: `picante cloud run` as a process, and what can be seen of it from outside.

Its profiles come back through Kafka into a hot store in this process, and are compared with what the gateway has on
disk: digest by digest, customer by customer. Customers that the gateway knew before the demo began are left out, since
the embedded Kafka begins empty each time.
"""

from __future__ import annotations

import shutil
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from cloud.config import CloudConfig, load_cloud_config
from cloud.hot_store.entries import Key
from cloud.hot_store.filler import Filler
from cloud.hot_store.memory import MemoryStore
from cloud.hot_store.settings import lifetimes
from cloud.librdkafka import cluster_of
from cloud.pipeline.fold import DUPLICATE, FOLDED
from cloud.pipeline.reading import StateReader, state_files
from cloud_sync.published import Profile as Published
from cloud_sync.published import read_published
from cloud_sync.topics import EVENTS
from gateway.transaction import read_profile
from heat.errors import StoreError, SyncError
from heat.identity import is_session
from heat.profile import Profile, profile_of_rows
from picante.demo.children import python_module
from picante.demo.numbers import CloudNumbers

LOOK_S = 1.0
"""s between two looks: each computes some dozens of digests."""
AGAIN_S = 0.5

_CONFIG = """\
[cloud]
name = "demo"
data_dir = "cloud"
parts = ["clock", "pipeline", "lake"]

[kafka]
bootstrap = "{bootstrap}"
replication = 1

[lake]
path = "lake"
commit_seconds = 1
"""


@dataclass(frozen=True, slots=True)
class Customer:
    """A customer at the edge and in the cloud, and of what the gateway took alone."""

    subject: str
    edge: Profile
    cloud: Profile
    origin: str

    @property
    def pieces(self) -> int:
        """Pieces of evidence at the edge."""
        return sum(sums.n for key, sums in self.edge.buckets.items() if key.origin == self.origin)

    @property
    def digests(self) -> tuple[str, str]:
        """At the edge, and in the cloud."""
        return self.edge.digest(self.origin), self.cloud.digest(self.origin)


class CloudHalf:
    """Made before its process; looks from threads of its own, once `watch` was called."""

    def __init__(self, state: Path, bootstrap: str, gateway: str) -> None:
        """What an earlier demo left of a cloud in the demo's own state directory is removed: its Kafka is gone."""
        self._state = state
        self._gateway = gateway
        for name in ("cloud", "lake"):
            shutil.rmtree(state / name, ignore_errors=True)
        (state / "cloud.toml").write_text(_CONFIG.format(bootstrap=bootstrap))
        self._config = load_cloud_config(state / "cloud.toml")
        self._known = frozenset(self._subjects())
        self.store = MemoryStore()
        """What came back through Kafka."""
        self._numbers = CloudNumbers()
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    @property
    def command(self) -> list[str]:
        """What runs it, in the state directory."""
        return python_module("picante", "cloud", "run", "--config", "cloud.toml")

    def watch(self) -> None:
        """Look, from now on."""
        for work in (self._fill, self._watch):
            thread = threading.Thread(target=work, name=f"cloud{work.__name__}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """End the threads."""
        self._stop.set()
        for thread in self._threads:
            thread.join(3)

    @property
    def numbers(self) -> CloudNumbers:
        """As of the last look."""
        return self._numbers

    def look(self) -> CloudNumbers:
        """Look now. Any thread may."""
        outcomes = self._outcomes()
        customers = list(self.customers())
        pairs = [customer.digests for customer in customers]
        self._numbers = CloudNumbers(
            events=outcomes[FOLDED],
            duplicates=outcomes[DUPLICATE],
            customers=len(customers),
            profiles=sum(bool(customer.cloud.buckets) for customer in customers),
            equal=sum(edge == cloud for edge, cloud in pairs),
            lake_rows=lake_rows(self._config),
        )
        return self._numbers

    def customers(self) -> Iterator[Customer]:
        """Those that came since the demo began."""
        with suppress(sqlite3.Error), closing(self._database()) as edge:
            for subject in self._subjects():
                if subject not in self._known:
                    yield Customer(subject, read_profile(edge, subject), self._profile(subject), self._gateway)

    # -- looking ----------------------------------------------------------------------------------------------------

    def _fill(self) -> None:
        cluster, kept = cluster_of(self._config), lifetimes(self._config)
        while not self._stop.is_set():
            with suppress(SyncError):  # the Internet is cut
                Filler(cluster, self.store, kept).run(self._stop)
            self._stop.wait(AGAIN_S)

    def _watch(self) -> None:
        while not self._stop.wait(LOOK_S):
            self.look()

    def _outcomes(self) -> Counter[str]:
        found: Counter[str] = Counter()
        for path in state_files(self._state / "cloud" / "pipeline", EVENTS.name):
            with suppress(StoreError), StateReader.open(path) as state:
                found += state.outcomes(self._gateway)
        return found

    def _database(self) -> sqlite3.Connection:
        return sqlite3.connect(f"file:{self._state}/gateway/gateway.db?mode=ro", uri=True)

    def _subjects(self) -> list[str]:
        """Customers of whom the gateway has evidence of its own."""
        with suppress(sqlite3.Error), closing(self._database()) as edge:
            rows = edge.execute("SELECT DISTINCT subject FROM buckets WHERE origin = ?", (self._gateway,)).fetchall()
            return [subject for (subject,) in rows if not is_session(subject)]
        return []

    def _profile(self, subject: str) -> Profile:
        [value] = self.store.get_many([Key("profile", subject)])
        found = None if value is None else read_published(value)
        return profile_of_rows(found.buckets, found.flavours) if isinstance(found, Published) else Profile()


def lake_rows(config: CloudConfig) -> int:
    """Events in the lake; 0 while there is none."""
    from cloud.lake.info import look  # it takes seconds
    from cloud.lake.settings import lake_of
    from cloud.lake.table import LakeMissing

    with suppress(SyncError, LakeMissing):
        return sum(table.rows for table in look(lake_of(config)) if table.name == "events")
    return 0
