"""The lake in SQL, by DuckDB: a view for each table, read only, and nothing else of the machine in reach.

Beside the tables there are two views of `raw`: `dead_letters`, with their reasons in columns, and `context`, what the
weather was at each store and hour, once however often it was told. Streams: what does not fit into
`MEMORY` is sorted and joined on disk.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import duckdb
import pyarrow as pa

from cloud.lake.columns import RAW
from cloud.lake.lake import Lake
from cloud_sync.published import Context
from cloud_sync.topics import CONNECT, CONTEXT, DEAD_LETTERS, EVENT_ID, ORIGIN, REASON
from heat.errors import ConfigError, DataError

Format = Literal["table", "csv", "json", "parquet"]

MEMORY = "1GB"
SPILL = "20GB"
"""On disk, at most, while a query sorts or joins; the disk is the machine's."""
ROWS = 10_000
"""Rows in a batch of a result."""
SHOWN = 1_000
"""Rows of a table on the screen, at most; the other formats have all."""
_VALUE = "decode(list_filter(headers, lambda header: header.key = '{}')[-1].value)"


@contextlib.contextmanager
def connected(lake: Lake) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection that sees the lake as it is now, and nothing else. Raises LakeMissing, SinkUnavailable."""
    with tempfile.TemporaryDirectory(prefix="picante-lake-") as spill, duckdb.connect() as connection:
        found = [table for table in lake.tables.values() if table.read()]
        if not found:
            raise lake.missing()
        for table in found:
            connection.register(table.kind.name, table.delta.to_pyarrow_dataset())
            if table.kind is RAW:
                connection.execute(_dead_letters())
        connection.execute(_CONTEXT if any(table.kind is RAW for table in found) else _NO_CONTEXT)
        connection.execute("SET memory_limit = ?", [MEMORY])
        connection.execute("SET temp_directory = ?", [spill])
        connection.execute("SET max_temp_directory_size = ?", [SPILL])
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        yield connection


_CONTEXT = f"""
CREATE VIEW context AS
WITH told AS (
    SELECT partition, "offset", CASE WHEN json_valid(TRY(decode(value))) THEN decode(value)::JSON END AS said
    FROM raw WHERE topic = '{CONTEXT.name}' AND value IS NOT NULL
)
SELECT said->>'$.data.store' AS store, said->>'$.data.region' AS region,
       make_timestamptz(TRY_CAST(said->>'$.data.hour' AS BIGINT) * 3600000000) AS hour,
       make_timestamptz(TRY_CAST(said->>'$.data.as_of_ms' AS BIGINT) * 1000) AS as_of,
       TRY_CAST(said->>'$.data.centi_celsius' AS INTEGER) / 100 AS celsius,
       TRY_CAST(said->>'$.data.feels_centi_celsius' AS INTEGER) / 100 AS feels_celsius,
       TRY_CAST(said->>'$.data.humidity_percent' AS INTEGER) AS humidity_percent,
       said->>'$.data.weather' AS weather
FROM told WHERE said->>'$.type' = '{Context.type}' AND store IS NOT NULL AND hour IS NOT NULL
QUALIFY row_number() OVER (PARTITION BY store, hour ORDER BY as_of DESC NULLS LAST, partition, "offset" DESC) = 1
"""  # noqa: S608 -- no input
_NO_CONTEXT = """
CREATE VIEW context AS
SELECT NULL::VARCHAR AS store, NULL::VARCHAR AS region, NULL::TIMESTAMPTZ AS hour, NULL::TIMESTAMPTZ AS as_of,
       NULL::DOUBLE AS celsius, NULL::DOUBLE AS feels_celsius, NULL::INTEGER AS humidity_percent,
       NULL::VARCHAR AS weather
WHERE false
"""


def _dead_letters() -> str:
    columns = {"reason": REASON, "event_id": EVENT_ID, "origin": ORIGIN, "detail": f"{CONNECT}exception.message",
               "from_topic": f"{CONNECT}topic"}  # fmt: skip
    named = ", ".join(f"{_VALUE.format(header)} AS {column}" for column, header in columns.items())
    where = f"""make_timestamptz(timestamp_ms * 1000) AS received, partition, "offset", key, value, {named}"""
    return f"CREATE VIEW dead_letters AS SELECT {where} FROM raw WHERE topic = '{DEAD_LETTERS.name}'"  # noqa: S608 -- no input


def select(connection: duckdb.DuckDBPyConnection, sql: str) -> pa.RecordBatchReader:
    """The rows of a query, as they come. Raises DataError with DuckDB's own words."""
    with sql_errors():
        if (relation := connection.sql(sql)) is None:
            raise DataError("that gives no rows", hint="Give a query that begins with SELECT, FROM or WITH")
        return relation.to_arrow_reader(ROWS)


def write(rows: pa.RecordBatchReader, to: Format, out: Path) -> None:
    """Rows into a file, which is there when it is whole. Raises ConfigError, DataError."""
    options = {"csv": "FORMAT csv, HEADER", "json": "FORMAT json", "parquet": "FORMAT parquet, COMPRESSION zstd"}[to]
    half = out.with_name(f".{out.name}.part")
    # another connection: the one that runs a user's SQL may not write
    with sql_errors(), duckdb.connect() as connection:
        connection.register("rows", rows)
        try:
            connection.execute(f"COPY rows TO '{str(half).replace(chr(39), chr(39) * 2)}' ({options})")
            half.replace(out)
        except (duckdb.IOException, OSError) as error:
            raise ConfigError(f"{out}: {error}", hint="--out names a file in a folder that can be written") from error
        finally:
            half.unlink(missing_ok=True)


def show(rows: pa.RecordBatchReader, width: int) -> str:
    """Rows as a table for a person, `SHOWN` at most, in lines of so many characters. Raises DataError."""
    with sql_errors(), duckdb.connect() as connection, contextlib.redirect_stdout(io.StringIO()) as text:
        connection.register("rows", rows)
        connection.execute("SET TimeZone = 'UTC'")
        found = connection.sql(f"FROM rows LIMIT {SHOWN + 1}").to_arrow_table()
        more = found.num_rows > SHOWN
        connection.from_arrow(found.slice(0, SHOWN)).show(max_rows=SHOWN, max_width=width)
        said = text.getvalue().rstrip("\n")
        return f"{said}\nThere are more than {SHOWN:,} rows: --format csv, json or parquet has all" if more else said


@contextlib.contextmanager
def sql_errors() -> Iterator[None]:
    """DuckDB's errors as ours."""
    try:
        yield
    except duckdb.Error as error:
        raise DataError(str(error).strip(), hint="DESCRIBE events lists its columns") from error
