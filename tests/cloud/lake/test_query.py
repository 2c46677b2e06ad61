"""The lake in SQL and by `picante lake`: what comes out, in which form, and what can't be reached by it."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.csv
import pyarrow.parquet
import pytest
from click.testing import CliRunner, Result

from cloud.lake.columns import bucket
from cloud.lake.ddl import athena
from cloud.lake.query import connected, select
from cloud_sync.dead_letter import from_record
from cloud_sync.record import Consumed
from cloud_sync.topics import DEAD_LETTERS, EVENTS
from heat.errors import ConfigError, DataError
from heat.quality import Refusal
from picante.cli import main
from tests.cloud.lake.records import DAY_MS, RECEIVED_MS, consumed, foreign, opened, put
from tests.cloud.lake.weather import HOUR_MS, context, told
from tests.cloud_sync.examples import CUSTOMER, EVERY_TYPE


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration whose lake has an event of nearly every type, and a dead letter."""
    lake = opened(tmp_path / "lake")
    put(lake, [consumed(offset, data) for offset, data in enumerate(EVERY_TYPE[:5])])
    refused = foreign(5, b"{")
    letter = from_record(refused, Refusal("malformed", "it ends too early"))
    put(
        lake,
        [refused, Consumed(DEAD_LETTERS.name, 0, 0, RECEIVED_MS + DAY_MS, letter.key, letter.value, letter.headers)],
    )
    path = tmp_path / "cloud.toml"
    path.write_text('[kafka]\nbootstrap = "127.0.0.1:1"\n')
    return path


def picante(config: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["lake", *arguments, "--config", str(config)])


COUNT = 'SELECT type, count(*) AS n, min(heat_shu) AS "shu" FROM events GROUP BY type ORDER BY type LIMIT 2'


def test_a_table_is_for_people(config: Path) -> None:
    done = picante(config, "query", COUNT)
    assert done.exit_code == 0, done.output
    assert "picante.impression.v1 │     1 │  NULL" in done.output
    assert "picante.poured.v1     │     1 │  2500" in done.output


def test_the_weather_is_there_once_for_each_store_and_hour(tmp_path: Path) -> None:
    lake = opened(tmp_path)
    first = context(RECEIVED_MS, centi_celsius=2_150, humidity_percent=40, weather="Clear")
    later = context(RECEIVED_MS + 600_000, centi_celsius=2_250, weather="Rain")
    elsewhere = context(RECEIVED_MS, "porto-1")
    put(
        lake,
        [
            told(0, later),
            told(1, first),
            told(2, first),
            told(3, elsewhere),
            told(4, first, b"\xff{"),
            told(5, first, b'{"type":"picante.context.v1","data":{"store":"lyon-2","hour":"soon"}}'),
        ],
    )
    sql = "SELECT store, epoch(hour)::BIGINT, celsius, humidity_percent, weather FROM context ORDER BY store"
    with connected(lake) as connection:
        found = select(connection, sql).read_all().to_pylist()
    hour_s = RECEIVED_MS // HOUR_MS * 3_600
    assert [tuple(row.values()) for row in found] == [
        ("lyon-2", hour_s, 22.5, None, "Rain"),
        ("porto-1", hour_s, None, None, None),
    ]


def test_a_table_says_when_it_is_cut(config: Path) -> None:
    done = picante(config, "query", "SELECT 1 AS one FROM range(1001)")
    assert done.output.endswith("There are more than 1,000 rows: --format csv, json or parquet has all\n")
    assert "more than" not in picante(config, "query", "SELECT 1 AS one FROM range(1000)").output


def test_a_table_is_no_wider_than_the_terminal(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    lines = picante(config, "query", "SELECT * FROM events").output.splitlines()
    assert max(map(len, lines)) <= 100


def test_csv_and_json_go_to_standard_output(config: Path) -> None:
    csv = picante(config, "query", COUNT, "--format", "csv")
    assert csv.output == "type,n,shu\npicante.impression.v1,1,\npicante.poured.v1,1,2500\n"
    lines = [json.loads(line) for line in picante(config, "query", COUNT, "--format", "json").output.splitlines()]
    assert lines[1] == {"type": "picante.poured.v1", "n": 1, "shu": 2500}


def test_a_file_is_of_the_kind_that_its_name_says(config: Path, tmp_path: Path) -> None:
    for name in ("it's.parquet", "rows.csv", "rows.json"):
        done = picante(config, "query", "SELECT * FROM raw", "--out", str(tmp_path / name))
        assert (done.exit_code, done.output) == (0, "")
    rows = pyarrow.parquet.read_table(tmp_path / "it's.parquet").sort_by("offset").to_pylist()
    assert [row["value"] for row in rows if row["offset"] == 5] == [b"{"]
    assert pyarrow.csv.read_csv(tmp_path / "rows.csv").num_rows == len(rows) == 7
    assert len((tmp_path / "rows.json").read_text().splitlines()) == 7
    assert not list(tmp_path.glob(".*.part"))


@pytest.mark.parametrize(
    ("sql", "options", "said"),
    [
        ("SELECT nothing FROM events", (), 'Referenced column "nothing" not found'),
        ("SELECT 1/", (), "syntax error"),
        ("SELECT * FROM read_text('/etc/passwd')", (), "disabled by configuration"),
        ("COPY (SELECT 1) TO '/tmp/out.csv'", (), "disabled by configuration"),
        ("SET memory_limit = '900GB'", (), "configuration has been locked"),
        ("SELECT error('in the midst') FROM events", (), "in the midst"),
        ("SELECT 1", ("--out", "rows.txt"), "ends in .csv, .json or .parquet"),
        ("SELECT 1", ("--out", "no/such/folder/rows.csv"), "in a folder that can be written"),
    ],
)
def test_what_can_not_be_is_said_in_a_line(config: Path, sql: str, options: tuple[str, ...], said: str) -> None:
    done = picante(config, "query", sql, *options)
    assert done.exit_code in {1, 2}
    assert isinstance(done.exception, SystemExit)
    assert said in done.output


def test_dead_letters_have_their_reasons_in_columns(config: Path) -> None:
    sql = "SELECT reason, detail, from_topic, value, received::DATE AS day FROM dead_letters"
    with connected(opened(config.parent / "lake")) as connection:
        [row] = select(connection, sql).read_all().to_pylist()
    assert (row["reason"], row["detail"], row["value"]) == ("malformed", "it ends too early", b"{")
    assert (row["from_topic"], row["day"].isoformat()) == (EVENTS.name, "2026-11-26")


def test_a_customers_rows_are_found_by_their_bucket(config: Path) -> None:
    with connected(opened(config.parent / "lake")) as connection:
        rows = (
            select(connection, "SELECT DISTINCT subject, subject_bucket FROM events WHERE subject LIKE 'p%'")
            .read_all()
            .to_pylist()
        )
    assert rows == [{"subject": CUSTOMER, "subject_bucket": bucket(CUSTOMER.encode())}]


def test_info_says_what_there_is_and_how_far(config: Path) -> None:
    done = picante(config, "info")
    assert done.exit_code == 0, done.output
    assert [line.split()[:2] for line in done.output.splitlines()[1:4]] == [
        ["raw", "7"],
        ["events", "5"],
        ["samples", "0"],
    ]
    document = json.loads(picante(config, "info", "--json").output)
    assert document["raw"]["positions"] == {EVENTS.name: {"0": 6}, DEAD_LETTERS.name: {"0": 1}}
    assert (document["events"]["rows"], document["events"]["positions"]) == (5, {EVENTS.name: {"0": 6}})
    assert (document["raw"]["oldest"], document["raw"]["newest"]) == ("2026-11-25", "2026-11-26")
    assert document["raw"]["size_bytes"] > 1000
    assert document["samples"]["oldest"] is None


def test_maintain_melts_and_drops_and_says_so(config: Path) -> None:
    lake = opened(config.parent / "lake")
    put(lake, [consumed(6)])
    config.write_text(config.read_text() + "[lake]\nraw_days = 1\n")
    before = picante(config, "info").output
    assert picante(config, "maintain", "--dry-run").exit_code == 0
    assert picante(config, "info").output == before
    done = picante(config, "maintain")
    assert done.output.splitlines()[2].split() == ["events", "2", "0", "0"]
    assert picante(config, "info").output != before


@pytest.mark.parametrize("command", [("query", "SELECT 1"), ("info",), ("training-rows",)])
def test_where_no_lake_is_one_is_told_so(tmp_path: Path, command: tuple[str, ...]) -> None:
    config = tmp_path / "cloud.toml"
    config.write_text('[kafka]\nbootstrap = "127.0.0.1:1"\n')
    done = picante(config, *command)
    assert done.exit_code == 2
    assert f"{tmp_path}/lake: no lake there yet" in done.output


def test_ddl_tells_athena_where_the_tables_are(tmp_path: Path) -> None:
    config = tmp_path / "cloud.toml"
    config.write_text('[kafka]\nbootstrap = "127.0.0.1:1"\n[lake]\npath = "s3://brand/its lake/"\n')
    done = picante(config, "ddl", "--athena", "--database", "brand")
    assert done.output.count("TBLPROPERTIES ('table_type' = 'DELTA');") == 3
    assert "CREATE EXTERNAL TABLE IF NOT EXISTS `brand`.`events`\nLOCATION 's3://brand/its lake/events/'" in done.output
    with pytest.raises(ConfigError, match="Athena reads S3 alone"):
        athena("/var/lib/lake", "picante")
    with pytest.raises(DataError, match="no database of Glue"):
        athena("s3://brand/lake", "x`; drop")


def test_storage_options_are_private_texts(config: Path) -> None:
    options = config.parent / "lake-storage.toml"
    config.write_text(config.read_text() + '[lake]\nstorage_options = "lake-storage.toml"\n')
    for text, mode, said in (
        ('AWS_SECRET_ACCESS_KEY = "hidden"\n', 0o644, "others may read it"),
        ("AWS_SECRET_ACCESS_KEY = hidden\n", 0o600, "not TOML"),
        ("AWS_SECRET_ACCESS_KEY = 5\n", 0o600, "AWS_SECRET_ACCESS_KEY is no text"),
    ):
        options.write_text(text)
        options.chmod(mode)
        done = picante(config, "info")
        assert done.exit_code == 2
        assert said in done.output
        assert "hidden" not in done.output
