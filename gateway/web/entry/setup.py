"""The first boot: what is asked, kept step by step, until the gateway has a name and an owner.

Steps are kept in access.db as they are answered; a power cut, a kill or another phone goes on where it stopped. At the
end the answers become `setup.toml`, a pseudonym key of the gateway's own is made if the brand's is not there, the code
opens nothing any more, and the daemon starts anew with what was said.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
from collections.abc import Callable, Mapping
from typing import Any, Literal
from zoneinfo import available_timezones

from cloud_sync.settings import addresses
from gateway import setup_file
from gateway.access import secret
from gateway.access.access import Access, write_private
from gateway.access.notes import SETUP
from gateway.access.people import fold
from gateway.access.roles import Role
from gateway.config import Config, own_pseudonym_path, pseudonym_path
from gateway.web.language import Text
from heat.errors import ConfigError, DataError
from heat.identity import check_name

log = logging.getLogger("gateway")

StepName = Literal["store", "time", "technician", "kafka", "done"]
STEPS: tuple[StepName, ...] = ("store", "time", "technician", "kafka", "done")
RESTART_S = 2.0
"""s in which the last page's style and script are still served."""
_SESSION = "setup-session"
_FINISHED = "finished"
"""Among the answers: *Start* was pressed. From then on the setup is over, wherever the power fails."""
_KEYS = {"store": ("store", "region", "id"), "time": ("timezone",), "kafka": ("bootstrap", "tls")}


class Setup:
    """What was answered so far. `restart` has the daemon start anew."""

    def __init__(self, access: Access, config: Config, restart: Callable[[], None]) -> None:
        self.access = access
        self.config = config
        self._restart = restart

    # -- whoever has the code --------------------------------------------------------------------------------------

    async def open(self) -> str:
        """Begin, or go on: a browser's cookie. The one before opens nothing any more."""
        cookie = secret.make()
        await self.access.notes.put(_SESSION, secret.digest(cookie).hex())
        return cookie

    def is_open(self, cookie: str) -> bool:
        """Whether a browser may go on."""
        kept = self.access.notes.get(_SESSION)
        shown = secret.digest(cookie).hex()
        return self.access.setup_open and kept is not None and secrets.compare_digest(kept, shown)

    # -- what was answered ------------------------------------------------------------------------------------------

    def kept(self) -> dict[str, dict[str, Any]]:
        """The answers, by step; `technician` has the name alone."""
        note = self.access.notes.get(SETUP)
        return {} if note is None else json.loads(note)

    def step(self) -> StepName:
        """The first that is not answered."""
        kept = self.kept()
        return next((step for step in STEPS if step != "done" and step not in kept), "done")

    def shown(self, step: str) -> dict[str, Any]:
        """What a step's fields hold: what was answered, else what is so far."""
        kept, section = self.kept(), self.config.gateway
        match step:
            case "store":
                found = {key: "" if (value := getattr(section, key)) == "new" else value for key in _KEYS[step]}
                found["id"] = found["id"] or f"gw-{secrets.token_hex(3)}"
            case "time":
                found = {"timezone": section.timezone or ""}
            case "kafka":
                kafka = self.config.kafka
                found = {"bootstrap": kafka.bootstrap if kafka else "", "tls": kafka.tls if kafka else False}
            case _:
                found = {"name": ""}
        return found | {
            key: value
            for key, value in kept.get(step, {}).items()
            if value is not None and not self._is_fixed(step, key)
        }

    def fixed(self, step: str) -> frozenset[str]:
        """The fields of a step that gateway.toml itself answers: it wins."""
        return frozenset(key for key in _KEYS.get(step, ()) if self._is_fixed(step, key))

    def _is_fixed(self, step: str, key: str) -> bool:
        if step not in _KEYS:
            return False
        return self.config.is_fixed(("kafka." if step == "kafka" else "gateway.") + key)

    async def answer(self, step: str, said: Mapping[str, str]) -> dict[str, Text | str]:
        """Keep a step; what is wrong with it, by field. Nothing is kept of what is wrong."""
        wrong: dict[str, Text | str] = {}
        match step:
            case "store":
                values: dict[str, Any] = {key: said.get(key, "").strip() for key in _KEYS[step]}
                _check_names(values, self.fixed(step), wrong)
            case "time":
                values = {"timezone": said.get("timezone", "")}
                if values["timezone"] not in available_timezones() and not self.fixed(step):
                    wrong["timezone"] = Text("Choose one of the list")
            case "technician":
                await self._let_in(said, wrong)
                person = self.access.people.get(said.get("name", ""))
                values = {"name": person.name if person is not None else ""}
            case _:
                values = {"bootstrap": said.get("bootstrap", "").strip() or None, "tls": said.get("tls") == "yes"}
                try:
                    if values["bootstrap"] is not None:
                        addresses(values["bootstrap"])
                except (ValueError, DataError, ConfigError) as error:
                    wrong["bootstrap"] = str(error.args[0])
        if not wrong:
            kept = {name: answered for name, answered in self.kept().items() if name != _FINISHED}
            await self.access.notes.put(SETUP, json.dumps(kept | {step: values}))
        return wrong

    async def _let_in(self, said: Mapping[str, str], wrong: dict[str, Text | str]) -> None:
        """The first owner; who was answered before is replaced."""
        name, password = said.get("name", ""), said.get("password", "")
        before = self.kept().get("technician", {}).get("name")
        same = before is not None and fold(before) == fold(name)  # however it is written
        if password != said.get("again", password):
            wrong["again"] = Text("This is not the same")
            return
        try:
            if same and not password:
                return  # looked at again, and left as it was
            if self.access.people.get(name) is not None:
                await self.access.set_password(name, password)
                await self.access.people.set_role(name, Role.OWNER)
            else:
                await self.access.add_person(name, password, Role.OWNER)
        except DataError as error:
            wrong["password" if "password" in error.args[0] else "name"] = str(error.args[0])
            return
        if before is not None and not same and self.access.people.get(before):
            await self.access.people.remove(before)

    # -- the end ----------------------------------------------------------------------------------------------------

    async def finish(self) -> None:
        """Write what was said, and have the daemon start with it. Twice does the same. Raises StoreError."""
        await self.access.notes.put(SETUP, json.dumps(self.kept() | {_FINISHED: {}}))
        await self._close()
        asyncio.get_running_loop().call_later(RESTART_S, self._restart)

    async def go_on(self) -> bool:
        """At a start: end what a power cut broke off after *Start*, and whether there was any. Raises StoreError."""
        if _FINISHED not in self.kept():
            return False
        await self._close()
        log.warning(
            "the setup was over when the gateway stopped: what it still had to write is written, and it is closed"
        )
        return True

    async def _close(self) -> None:
        kept = self.kept()
        said: dict[str, dict[str, Any]] = {"gateway": {}}
        for step in ("store", "time"):
            fixed = self.fixed(step)
            said["gateway"] |= {key: value for key, value in kept[step].items() if key not in fixed and value}
        if kept["kafka"].get("bootstrap") and not self.fixed("kafka"):
            said["kafka"] = kept["kafka"]
        if not pseudonym_path(self.config).exists():
            text = f'version = 1\nkey = "{secrets.token_hex(32)}"\n'
            write_private(own_pseudonym_path(self.config), text)
        write_private(self.access.directory / setup_file.FILE, setup_file.as_text(said))
        self.access.close_setup()
        await self.access.notes.put(_SESSION, None)
        await self.access.notes.put(SETUP, None)  # last: until then a start does all of it again


def _check_names(values: Mapping[str, str], fixed: frozenset[str], wrong: dict[str, Text | str]) -> None:
    for key, value in values.items():
        if key in fixed:
            continue
        try:
            check_name(value, key)
            if value == setup_file.UNNAMED[key]:
                raise DataError("is what a gateway is called that has no name yet")
        except DataError as error:
            wrong[key] = str(error.args[0])
