"""Commands that ask the running daemon on this machine, by the console's socket in its data directory."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from cloud_sync.unix_http import UnixConnection
from gateway.config import Config, load_draft
from heat.errors import ConfigError, DataError, PicanteError
from heat.identity import check_name
from picante.errors import exit_with_hint
from picante.installed import config_option

DAEMON_S = 10.0
"""s that a daemon may take for an answer."""
SOCKET = "gateway.sock"
"""As `gateway.web.server` has it, whose imports take a second."""


class Refused(PicanteError):
    """The daemon's answer is a problem: its `code`, and what is wrong `where` in the request."""

    def __init__(self, problem: dict[str, Any]) -> None:
        super().__init__(problem["detail"], hint=problem["hint"])
        self.code: str = problem["type"].rpartition(":")[2]
        self.faults: list[tuple[str, str]] = [(fault["where"], fault["what"]) for fault in problem["errors"]]


DAEMON = config_option("gateway.toml", "The gateway's configuration, which says where its daemon's data is")


def dispenser_id(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    """An argument that is a dispenser's id: what is none makes no path of the API either. Raises BadParameter."""
    try:
        return check_name(value, "dispenser")
    except DataError as error:
        raise click.BadParameter(str(error)) from None


def ask(config_path: Path, method: str, path: str, body: object = None) -> Any:
    """The daemon's answer, or the end of this command: status 2 for the configuration, 1 for everything else."""
    try:
        return call(load_draft(config_path)[0], method, path, body)
    except ConfigError as error:
        exit_with_hint(error, 2)
    except PicanteError as error:
        exit_with_hint(error, 1)


def stream(config: Config, path: str, body: object) -> Iterator[bytes]:
    """The lines with which the running daemon answers, as they come. Raises PicanteError as `call` does."""
    socket = socket_of(config)
    connection = UnixConnection(socket, DAEMON_S)
    begun = False
    try:
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        if response.status >= 300:
            answer = json.loads(response.read())
            raise PicanteError(answer["detail"], hint=answer["hint"])
        if connection.sock is not None:
            connection.sock.settimeout(None)  # nothing may happen on the links for a long time
        begun = True
        yield from response
    except (OSError, http.client.HTTPException, ValueError) as error:
        if begun:
            raise PicanteError(f"the gateway at {socket} went away", hint="What was written by then is good") from error
        raise _no_answer(socket, error) from error
    finally:
        connection.close()


def call(config: Config, method: str, path: str, body: object = None) -> Any:
    """The running daemon's answer to a request; `body` is sent as JSON.

    Raises:
        Refused: it does not do that.
        PicanteError: there is no daemon, or its socket is another user's.
    """
    socket = socket_of(config)
    connection = UnixConnection(socket, DAEMON_S)
    try:
        if body is None:
            connection.request(method, path)
        else:
            connection.request(method, path, json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        content = response.read()
        answer: Any = json.loads(content) if content else None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _no_answer(socket, error) from error
    finally:
        connection.close()
    if response.status >= 300:
        raise Refused(answer)
    return answer


def socket_of(config: Config) -> Path:
    """The console's socket."""
    return config.path(config.gateway.data_dir) / SOCKET


def _no_answer(socket: Path, error: Exception) -> PicanteError:
    if isinstance(error, PermissionError):
        return PicanteError(f"{socket}: {error.strerror}", hint="Run this as root, or as the gateway's user")
    return PicanteError(f"no gateway answers at {socket}: {error}", hint="Is it running, here?")
