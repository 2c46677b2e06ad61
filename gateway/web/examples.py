"""Examples of `/openapi.json`: of an error by its status, and of requests and answers, put together from fields."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

_ERRORS: dict[int, tuple[str, str, str]] = {
    400: ("bad-request", "a name has 1 to 40 characters", "Take a first name"),
    401: ("not-signed-in", "this needs a sign-in", "Sign in, or send a token"),
    403: ("not-allowed", "Vera may not do this", "Ask somebody who is technician here"),
    404: ("no-such-dispenser", "there is no dispenser of this name", "/api/v1/dispensers lists those that there are"),
    408: ("stalled", "the file stopped coming", "Send it again"),
    409: ("not-now", "this does not fit what the gateway is about", "Look at what it is now, and try again"),
    412: (
        "changed-meanwhile",
        "somebody else has changed this meanwhile",
        "Look at what it is now, and send the change again if it is still right",
    ),
    413: ("too-large", "the body is too large, or of unknown length", "Send at most 65,536 bytes"),
    415: ("not-json", "the body is said to be no JSON", "Send it with Content-Type: application/json"),
    422: (
        "invalid-parameters",
        "query.limit: Input should be less than or equal to 1000",
        "Mend these parameters; /openapi.json says what each may be",
    ),
    429: ("too-many-requests", "this was asked too often", "Try again in 2 s, and send less at once"),
    503: ("not-stored", "the disk is full", "Free space, and try again"),
    507: ("no-room", "it can't be written: No space left on device", "Free some space"),
}
_BY_FORMAT = {"date-time": "2026-05-01T09:30:00Z", "date": "2026-05-01"}


def error(status: int) -> dict[str, Any]:
    """The problem details of an error with this status, as one may look. Raises KeyError: there is none yet."""
    code, detail, hint = _ERRORS[status]
    where, _, what = detail.partition(": ")
    return {
        "type": f"urn:picante:problem:{code}",
        "title": code.replace("-", " ").capitalize(),
        "status": status,
        "detail": detail,
        "hint": hint,
        "errors": [{"where": where, "what": what}] if status == 422 else [],
    }


def as_text(media_type: str, sample: str) -> dict[str, Any]:
    """The description of an answer that is text of this kind."""
    return {"content": {media_type: {"schema": {"type": "string"}, "example": sample}}}


def as_bytes(media_type: str) -> dict[str, Any]:
    """The description of an answer that is a file of this kind."""
    return {"content": {media_type: {"schema": {"type": "string", "format": "binary"}}}}


def composed(schema: Mapping[str, Any], document: Mapping[str, Any]) -> Any:
    """What fits a schema, put together from the examples of its fields. Raises KeyError: one of them has none."""
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    for said in ("examples", "enum"):
        if said in schema:
            return schema[said][0]
    for said in ("const", "default"):
        if schema.get(said, []) != []:
            return schema[said]
    for option in schema.get("anyOf") or schema.get("oneOf") or ():
        with contextlib.suppress(KeyError):  # what may be null, too, needs no example
            return composed(option, document)
    return _of_type(schema, document)


def _of_type(schema: Mapping[str, Any], document: Mapping[str, Any]) -> Any:
    match schema.get("type"):
        case "object" if "properties" in schema:
            return {name: composed(each, document) for name, each in schema["properties"].items()}
        case "array":
            return [composed(schema["items"], document)]
        case "boolean":
            return True
        case "null":
            return None
        case "string" if schema.get("format") in _BY_FORMAT:
            return _BY_FORMAT[schema["format"]]
    raise KeyError(f"this has no example: {schema}")
