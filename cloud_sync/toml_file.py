"""A configuration file in TOML -> a pydantic model. Unknown keys are refused, with the line and the nearest right key.

The gateway's and the cloud's configurations are read by this. Relative paths are relative to the file.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from heat.errors import ConfigError, DataError
from heat.identity import check_name


def _named(value: str) -> str:
    try:
        return check_name(value, "value")
    except DataError as error:
        raise ValueError(str(error)) from error


Name = Annotated[str, AfterValidator(_named)]
"""What can be a gateway, a store, a part of the cloud (`heat.identity.check_name`)."""


Complete = Callable[[dict[str, Any], Path], dict[str, Any]]
"""What a file says and where it stands -> the same, with what it leaves out."""


class Section(BaseModel):
    """One table of a file."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Document(Section):
    """A whole file."""

    directory: Path = Field(default=Path(), exclude=True)
    """Where the file stood; not a key of the file."""

    def path(self, text: str) -> Path:
        """A path of the file, made absolute."""
        return self.directory / Path(text).expanduser()

    @classmethod
    def load(cls, path: Path, complete: Complete | None = None) -> tuple[Self, str]:
        """The file's content and its text; `complete` may add what the file leaves out.

        Raises:
            ConfigError: naming file, line, key and the remedy.
        """
        try:
            text = path.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: {error}", hint=f"Give the path of a {cls.file_name()}") from error
        try:
            document = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"{path}: {error}", hint="TOML reads: key = value, texts in quotes") from error
        except RecursionError:
            raise ConfigError(f"{path}: nested too deep", hint="No key takes more than a list") from None
        if "directory" in document:
            raise ConfigError(_unknown(cls, path, text, ("directory",)))
        if complete is not None:
            document = complete(document, path.resolve().parent)
        try:
            # lists of TOML are tuples here: JSON mode accepts them in strict mode
            return cls.model_validate({**_tuples(document), "directory": path.resolve().parent}), text
        except ValidationError as error:
            raise ConfigError("\n".join(_explain(cls, path, text, problem) for problem in error.errors())) from error

    @classmethod
    def file_name(cls) -> str:
        """How such a file is called."""
        raise TypeError(f"{cls.__name__} does not say how its file is called")


def _tuples(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


def _explain(top: type[BaseModel], path: Path, text: str, problem: Any) -> str:
    location = tuple(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return _unknown(top, path, text, location)
    if problem["type"] == "missing":
        section = ".".join(location[:-1])
        where = f"[{section}] needs" if section else "there must be a table"
        return f"{path}: {where} {location[-1] if section else f'[{location[-1]}]'}"
    message = problem["msg"].removeprefix("Value error, ")
    got = "" if isinstance(problem["input"], tuple | dict) else f" (got {problem['input']!r})"
    return f"{path}:{line_of(text, location)}: {'.'.join(location)}: {message}{got}"


def _unknown(top: type[BaseModel], path: Path, text: str, location: tuple[str, ...]) -> str:
    model = top
    for part in location[:-1]:
        if not part.isdigit():  # the number of a table in a list of them
            model = _model_in(model.model_fields[part].annotation)
    known = [name for name in model.model_fields if name != "directory"]
    near = difflib.get_close_matches(location[-1], known, n=1)
    advice = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(known)}"
    return f"{path}:{line_of(text, location)}: unknown key {'.'.join(location)!r}: {advice}"


def _model_in(annotation: Any) -> type[BaseModel]:
    candidates = [annotation, *getattr(annotation, "__args__", ())]
    return next(c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel))


def line_of(text: str, location: tuple[str, ...]) -> int:
    """The line of a key: its own, or that of its table; 1 if neither is written out."""
    table: tuple[str, ...] = ()
    found = 1
    seen: Counter[str] = Counter()
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*(\[\[?)\s*([\w.\-\s]+?)\s*\]", line):
            table = tuple(header[2].split("."))
            if header[1] == "[[":  # one of several tables, which are counted from 0
                table = (*table, str(seen[header[2]]))
                seen[header[2]] += 1
            if table == location[: len(table)] or table[:-1] == location:
                found = number
        elif (key := re.match(r"""\s*["']?([\w.\-]+)["']?\s*=""", line)) is not None:
            full = (*table, *key[1].split("."))
            if full == location[: len(full)]:
                return number
    return found
