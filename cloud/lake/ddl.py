"""The lake's tables for Amazon Athena and the Glue catalogue. Pure.

Athena reads Delta tables as they are: columns and parts come from the table's own log, so a statement needs no more
than the place, and stays right when columns come. See Athena's documentation of `table_type` `DELTA`.
"""

from __future__ import annotations

import re

from cloud.lake.columns import TABLES
from heat.errors import ConfigError, DataError

_DATABASE = re.compile(r"[a-z_][a-z0-9_]{0,254}\Z")


def athena(folder: str, database: str) -> str:
    """The statements that make the tables known to Athena, each ended by a semicolon.

    Raises:
        ConfigError: the lake is no S3 bucket's. DataError: no database can be called so.
    """
    if not folder.startswith("s3://"):
        raise ConfigError(f"Athena reads S3 alone, and the lake is {folder}", hint="[lake] path is s3://BUCKET/PREFIX")
    if not _DATABASE.match(database):
        raise DataError(f"no database of Glue is called {database[:40]!r}", hint="Use a-z, 0-9 and _")
    place = folder.rstrip("/").replace("'", "''")
    tables = "\n\n".join(
        f"CREATE EXTERNAL TABLE IF NOT EXISTS `{database}`.`{kind.name}`\n"
        f"LOCATION '{place}/{kind.name}/'\n"
        "TBLPROPERTIES ('table_type' = 'DELTA');"
        for kind in TABLES
    )
    return f"CREATE DATABASE IF NOT EXISTS `{database}`;\n\n{tables}"
