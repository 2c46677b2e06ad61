"""The one registry of repairs: each kind by its code, whether it can wait, and what it costs while it lasts.

Codes travel in the heartbeat and stand in alert rules: they keep their names. docs/web-ui.md has all of them, and
tests/gateway/web/test_every_repair.py provokes each.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.web.language import Text


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of repair."""

    code: str
    urgent: bool
    """False: it will do until there is time."""
    cost: Text


_ALL = (
    # the machine and its files
    Kind("config_invalid", True, Text("The gateway does not run: dispensers keep their events, and show no picks")),
    Kind("store_unusable", True, Text("The gateway does not run: dispensers keep their events, and show no picks")),
    Kind("daemon_down", True, Text("Dispensers keep their events, and show no picks")),
    Kind("store_broken", True, Text("Nothing is taken in: dispensers keep their events")),
    Kind("store_full", True, Text("Nothing is taken in: dispensers keep their events, until their memory is full")),
    Kind("store_quarantined", True, Text("What Kafka did not have is in the damaged file alone")),
    Kind("store_filling", True, Text("When it is full, nothing is taken in")),
    Kind("disk_low", True, Text("When it is full, nothing is taken in")),
    Kind("disk_fills", False, Text("When it is full, nothing is taken in")),
    Kind("flash_worn", False, Text("A worn card fails without warning, and takes with it what Kafka does not have")),
    Kind("under_voltage", True, Text("The machine may stop at any moment, and cards are damaged that way")),
    Kind("throttled", False, Text("Picks take longer")),
    Kind("access_broken", True, Text("Nobody can sign in but at the machine itself")),
    Kind("setup_incomplete", False, Text("Customers are not known again in other stores")),
    Kind("restored", False, Text("What happened after the backup was made is in Kafka alone")),
    Kind("part_failing", True, Text("What this part does is not done meanwhile")),
    Kind("part_stopped", True, Text("What this part does is not done any more")),
    # time
    Kind("clock_unknown", True, Text("Events wait for their day, and do not go to Kafka")),
    Kind("clock_jumped", True, Text("Events wait for their day, and do not go to Kafka")),
    # the way to Kafka
    Kind("sync_unreachable", True, Text("The cloud does not see this store; nothing is lost while there is room")),
    Kind("sync_refused", True, Text("The cloud does not see this store; nothing is lost while there is room")),
    Kind("sync_foreign", True, Text("Nothing goes to Kafka: two gateways of one name would mix their events")),
    Kind("heartbeat_failing", False, Text("The cloud believes this gateway to be silent")),
    Kind("dead_letters", False, Text("They count in no profile until somebody mends them")),
    Kind("certificate_expires", False, Text("From that day on the way is shut")),
    Kind("certificate_expired", True, Text("The way that it opens is shut")),
    # what decides
    Kind("model_fallback", False, Text("Picks fit customers less well")),
    Kind("release_refused", False, Text("This store goes on with what it had")),
    Kind("unknown_sauce", True, Text("It is never among the picks, and its pours are refused")),
    Kind("limit_unconfirmed", True, Text("A customer can burn their mouth by mistake")),
    # dispensers
    Kind("dispenser_offline", True, Text("It shows no picks; its events are kept on it until its memory is full")),
    Kind("dispenser_unadopted", True, Text("It shows no picks; its events are kept on it until its memory is full")),
    Kind("dispensers_wait", True, Text("They show no picks, and their events are kept on them")),
    Kind("dispenser_turned_away", True, Text("It shows no picks; its events are kept on it until its memory is full")),
    Kind("planogram_differs", False, Text("Picks may name a sauce that is not there")),
    Kind("key_not_taken", False, Text("Whoever has the old key can still speak for it")),
    Kind("provisioning_invalid", False, Text("New dispensers are not let in by themselves")),
    Kind("home_untold", False, Text("Home Assistant does not show it")),
    Kind("command_failed", False, Text("What was asked for was not done, or nobody knows")),
    Kind("events_lost", False, Text("These events are missing from profiles and sales")),
    # serial ports
    Kind("no_serial_port", True, Text("No dispenser can be reached by cable")),
    Kind("port_missing", True, Text("Its dispenser shows no picks, and keeps its events")),
    Kind("port_in_use", True, Text("Its dispenser shows no picks, and keeps its events")),
    Kind("port_forbidden", True, Text("Its dispenser shows no picks, and keeps its events")),
    Kind("port_unreachable", True, Text("Its dispenser shows no picks, and keeps its events")),
    Kind("port_unusable", True, Text("Its dispenser shows no picks, and keeps its events")),
    Kind("port_silent", False, Text("If a dispenser is there, it shows no picks, and keeps its events")),
    Kind("port_foreign", False, Text("If a dispenser is there, it shows no picks, and keeps its events")),
    # bottles and sensors
    Kind("bottle_recalled", True, Text("It is never picked; whoever presses its button still gets it")),
    Kind("bottle_expired", False, Text("It is never picked; whoever presses its button still gets it")),
    Kind("bottle_low", False, Text("Customers soon do not get it, and it is not among the picks")),
    Kind("bottle_ending", False, Text("Customers soon do not get it, and it is not among the picks")),
    Kind("bottle_leaks", True, Text("Sauce runs into the cabinet")),
    Kind("meter_drifts", False, Text("Customers get other amounts than they see, and so do profiles")),
    Kind("level_sensor_stuck", False, Text("Leaks go unseen, and levels are counted alone")),
    Kind("thermometer_stuck", False, Text("Nobody sees when the cabinet is too warm")),
    Kind("cabinet_too_warm", True, Text("Sauces spoil")),
    Kind("cabinet_too_cold", True, Text("Thick sauces do not flow")),
    Kind("door_open", False, Text("The cabinet gets warm")),
    Kind("drip_tray_full", False, Text("It runs over")),
    Kind("samples_held", False, Text("Charts have a gap, and leaks and drift are found later")),
    Kind("samples_begun_anew", False, Text("The charts begin anew")),
)

KINDS = {kind.code: kind for kind in _ALL}
"""All there are."""
