"""The running daemon's parts, as the web looks at them. Made by `app`."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from dataclasses import dataclass, field
from pathlib import Path

from cloud_sync.downlink import Downlink
from cloud_sync.supervisor import Supervisor
from cloud_sync.uplink import Uplink
from firmware_bridge.link import Link
from firmware_bridge.mqtt_link import MqttLink
from firmware_bridge.serial_link import SerialLink
from gateway.access.access import Access
from gateway.adoption import Adoption
from gateway.clock import Clock
from gateway.commands import Commands
from gateway.config import Config
from gateway.dispensers import Dispensers
from gateway.ingest import Ingest
from gateway.kiosk import Kiosk
from gateway.looking import Looking
from gateway.lots import Lots
from gateway.outbox import StoreOutbox
from gateway.picks import Recommender
from gateway.plans import Plans
from gateway.provisioning import Provisioning
from gateway.releases import Releases
from gateway.samples import Samples
from gateway.site_prior import SitePriors
from gateway.store import Store
from gateway.summaries import Summaries
from gateway.tracing import Tracer
from heat.catalog import Catalog
from heat.errors import ModelError


@dataclass(slots=True)
class GatewayState:
    """Everything that pages, API and metrics read. Nothing in here is written by them."""

    config: Config
    access: Access
    """Who may come in."""
    store: Store
    reader: sqlite3.Connection
    """A read-only connection of the event loop's thread."""
    clock: Clock
    outbox: StoreOutbox
    catalog: Catalog
    words: str
    """The version of the table of heat words."""
    ingest: Ingest
    recommender: Recommender
    priors: SitePriors
    commands: Commands
    kiosk: Kiosk
    dispensers: Dispensers
    plans: Plans
    adoption: Adoption
    lots: Lots
    provisioning: Provisioning | None
    """None where no file adopts dispensers."""
    samples: Samples
    looking: Looking
    summaries: Summaries
    supervisor: Supervisor
    uplink: Uplink | None
    """None where no Kafka is configured."""
    downlink: Downlink | None
    """The same."""
    model_error: ModelError | None
    """Why picks come from something less than the configured bundle."""
    boot: int
    """This kernel boot's number in the store."""
    stopping: asyncio.Event
    tracer: Tracer
    releases: Releases
    bundle: Path
    """The directory of the ranker's bundle."""
    restart: bool = False
    """Whether the daemon is to start anew once it has stopped."""
    serial: dict[str, SerialLink] = field(default_factory=dict)
    mqtt: MqttLink | None = None
    untold: set[str] = field(default_factory=set)
    """Dispensers that Home Assistant is not told of: more of each than a broker takes in a packet."""
    started_s: float = field(default_factory=time.monotonic)
    """When the daemon started, by the monotonic clock."""

    @property
    def up_s(self) -> float:
        """s since the daemon started, whatever was done to wall time meanwhile."""
        return time.monotonic() - self.started_s

    @property
    def started(self) -> float:
        """Unix time, s, of the start, by what wall time is now."""
        return time.time() - self.up_s

    @property
    def links(self) -> list[Link]:
        """All links, serial and MQTT, open or not."""
        return [serial.link for serial in self.serial.values()] + (self.mqtt.links if self.mqtt else [])
