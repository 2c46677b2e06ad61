"""An upload as it comes: the bytes of a request, or of the file in a form, never more than a piece in memory.

Starlette's forms would put the file into /tmp, which is memory on many a Pi.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from fastapi import Request
from python_multipart import MultipartParser
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import parse_options_header

from gateway.web.problems import Problem


async def file_of(request: Request) -> AsyncIterator[bytes]:
    """The file of a multipart form, or else the whole body. Raises a Problem: the form is none."""
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind != b"multipart/form-data":
        async for piece in request.stream():
            yield piece
        return
    pieces: list[bytes] = []
    reader = _FileReader(pieces)
    try:
        parser = MultipartParser(options.get(b"boundary", b""), reader.callbacks())  # type: ignore[arg-type]
        async for chunk in request.stream():
            parser.write(chunk)
            for piece in pieces:
                yield piece
            pieces.clear()
        parser.finalize()
    except MultipartParseError:
        raise Problem(400, "no-form", "the form is cut off, or none", hint="Send the file again") from None


class _FileReader:
    """Collects what stands in the part that is a file."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces
        self._name, self._value = bytearray(), bytearray()
        self._is_file = False

    def callbacks(self) -> dict[str, object]:
        """For the parser."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._name.extend(data[start:end][:100]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end][:1000]),
            "on_header_end": self._header,
            "on_part_data": self._data,
        }

    def _begin(self) -> None:
        self._is_file = False

    def _header(self) -> None:
        if self._name.lower() == b"content-disposition":
            self._is_file = b"filename" in self._value
        self._name.clear()
        self._value.clear()

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._is_file:
            self._pieces.append(data[start:end])
