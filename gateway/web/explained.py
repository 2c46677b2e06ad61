"""What adoption and the queue of commands refuse, as problems."""

from __future__ import annotations

from gateway.adoption import AdoptionRefused
from gateway.commands import CommandRefused
from gateway.web.problems import Problem
from heat.errors import DataError, StoreError


class Explained:
    """Refusals as problems."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, AdoptionRefused):
            status = 404 if error.missing else 409
            raise Problem(status, error.code, str(error.args[0]), hint=error.hint) from error
        if isinstance(error, CommandRefused):
            raise Problem(409, "not-queued", str(error.args[0]), hint=error.hint) from error
        if isinstance(error, DataError):
            raise Problem(400, "bad-request", str(error.args[0]), hint=error.hint) from error
        if isinstance(error, StoreError):
            raise Problem(503, "not-kept", str(error.args[0]), hint=error.hint) from error
