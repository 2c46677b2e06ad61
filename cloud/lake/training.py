"""The lake -> rows that a ranker learns from, each as of its pick: what was known then, and what came of it.

An impression keeps all that its features were made of (`models.logged`), so they are computed from the event alone: no
profile as it is now, no catalogue of today. What was poured and rated because of a pick names it by its `pick_id`, or
follows it on the same visit (`models.outcomes`). A row is a candidate: one of the sauces that could have been shown.

A pour that was taken back is nobody's choice. Events that the lake has twice count once; of two with one identity and
other content the one counts that counts for profiles, whatever their order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from cloud.lake.columns import MOMENT
from cloud.lake.query import ROWS, sql_errors
from heat.events import Impression, Poured, PourVoided, Rated, read_data
from models.features import FEATURES, SCHEMA, Matrix, features
from models.logged import asked
from models.outcomes import VISIT_MS, outcome

_FIXED = [
    ("pick_id", pa.string()),
    ("time", MOMENT),
    ("subject", pa.string()),
    ("store", pa.string()),
    ("region", pa.string()),
    ("dispenser", pa.string()),
    ("ranker", pa.string()),
    ("experiment", pa.string()),  # that the customer was part of, and which of its rankers answered; null: of none
    ("arm", pa.string()),
    ("catalog", pa.string()),
    ("sauce", pa.string()),
    ("slot", pa.int32()),  # where it was shown, from 1 on; null: it was not
    ("propensity", pa.float64()),  # the chance with which it was shown there
    ("score", pa.float64()),
    ("slate_propensity", pa.float64()),  # the chance with which all of this slate was shown; null: not kept
    ("policy", pa.string()),
    ("poured_ul", pa.int64()),  # because of this pick, or on this visit after it; 0: nothing
    ("verdict", pa.string()),  # the last one, of this sauce, on this pick
    ("outcome", pa.string()),  # of the slate: poured, tasted, elsewhere, abandoned; null: not known yet
    ("celsius", pa.float64()),  # at the store in the pick's hour; null: nobody knows
    ("humidity_percent", pa.int32()),
    ("weather", pa.string()),
]
COLUMNS = pa.schema(
    [*_FIXED, *((f"f_{name}", pa.float32()) for name in FEATURES)], metadata={"picante.features": SCHEMA}
)
"""`f_...` are the features, in the order of `models.features.FEATURES`; the metadata names their version."""
_NONE: Matrix = np.empty((0, len(FEATURES)), dtype=np.float32)

_SQL = f"""
WITH once AS (
    SELECT * FROM events WHERE id NOT IN (SELECT voided FROM events WHERE type = '{PourVoided.type}')
    AND type IN ('{Impression.type}', '{Poured.type}', '{Rated.type}')
    QUALIFY row_number() OVER (PARTITION BY id ORDER BY content_hash, topic, partition, "offset") = 1
), shown AS (
    SELECT * FROM once WHERE type = '{Impression.type}'
), after AS (
    SELECT done.id, done.type, done.time, done.sauce, done.volume_ul, done.verdict,
        CASE WHEN done.pick_id IS NOT NULL THEN done.pick_id
        WHEN done.time < shown.time + INTERVAL {VISIT_MS} MILLISECOND THEN shown.pick_id END AS of_pick
    FROM (SELECT * FROM once WHERE type IN ('{Poured.type}', '{Rated.type}')) AS done
    ASOF LEFT JOIN (SELECT pick_id, time, store, subject FROM shown) AS shown
    ON done.store = shown.store AND done.subject = shown.subject AND done.time >= shown.time
), poured AS (
    SELECT of_pick, list({{'sauce': sauce, 'ul': volume_ul}} ORDER BY id) AS poured
    FROM after WHERE type = '{Poured.type}' AND of_pick IS NOT NULL GROUP BY of_pick
), rated AS (
    SELECT of_pick, list({{'sauce': sauce, 'verdict': verdict}} ORDER BY time, id) AS rated
    FROM after WHERE type = '{Rated.type}' AND of_pick IS NOT NULL GROUP BY of_pick
), heard AS (
    SELECT store, max(time) AS last FROM events GROUP BY store
)
SELECT shown.subject, shown.time, shown.data, poured.poured, rated.rated,
       heard.last >= shown.time + INTERVAL {VISIT_MS} MILLISECOND AS over,
       context.celsius, context.humidity_percent, context.weather
FROM shown JOIN heard USING (store)
LEFT JOIN poured ON poured.of_pick = shown.pick_id LEFT JOIN rated ON rated.of_pick = shown.pick_id
LEFT JOIN context ON context.store = shown.store AND context.hour = date_trunc('hour', shown.time)
WHERE shown.time >= ?::DATE AND shown.time < ?::DATE
ORDER BY shown.time, shown.id
"""  # noqa: S608 -- names of ours alone


class TrainingRows:
    """The rows of the impressions of a time; `skipped` counts those that did not keep what was known."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, since: date, until: date) -> None:
        """`since` is the first day, `until` the one after the last."""
        self.skipped = 0
        self._connection = connection
        self._days = [since.isoformat(), until.isoformat()]

    def reader(self) -> pa.RecordBatchReader:
        """The rows, in the order of their picks, as they are made; columns as in `COLUMNS`."""
        return pa.RecordBatchReader.from_batches(COLUMNS, self._batches())

    def _batches(self) -> Iterator[pa.RecordBatch]:
        with sql_errors():
            found = self._connection.sql(_SQL, params=self._days).to_arrow_reader(ROWS // 10)
            for batch in found:
                made = [rows for shown in batch.to_pylist() if (rows := self._rows(shown)) is not None]
                others = pa.Table.from_pylist([row for rows, _ in made for row in rows], schema=pa.schema(_FIXED))
                known = np.concatenate([_NONE, *(values for _, values in made)])
                columns = [column.combine_chunks() for column in others.columns]
                yield pa.RecordBatch.from_arrays([*columns, *map(pa.array, known.T.copy())], schema=COLUMNS)

    def _rows(self, shown: Mapping[str, Any]) -> tuple[list[dict[str, Any]], Matrix] | None:
        """A row a candidate, and the features of all of them; None if the impression did not keep what was known."""
        impression = read_data(Impression.type, shown["data"].encode())
        question = asked(impression) if isinstance(impression, Impression) else None
        if not isinstance(impression, Impression) or question is None:
            self.skipped += 1
            return None
        picks = {pick.sauce: pick for pick in impression.picks}
        poured: dict[str, int] = {}
        for pour in shown["poured"] or ():
            poured[pour["sauce"]] = poured.get(pour["sauce"], 0) + pour["ul"]
        said = [(rating["sauce"], rating["verdict"]) for rating in shown["rated"] or ()]
        verdicts = dict(said)
        came = outcome(impression, poured, said).kind
        rows = []
        for sauce in impression.candidates:
            pick = picks.get(sauce)
            row = {
                "pick_id": impression.pick_id,
                "time": shown["time"],
                "subject": shown["subject"],
                "store": impression.store,
                "region": impression.region,
                "dispenser": impression.dispenser,
                "ranker": impression.ranker,
                "experiment": impression.experiment,
                "arm": impression.arm,
                "catalog": impression.catalog,
                "sauce": sauce,
                "slot": pick and pick.slot,
                "propensity": pick and pick.propensity,
                "score": pick and pick.score,
                "slate_propensity": impression.slate_propensity,
                "policy": impression.policy,
                "poured_ul": poured.get(sauce, 0),
                "verdict": verdicts.get(sauce),
                "outcome": came if shown["over"] or came == "poured" else None,
                "celsius": shown["celsius"],
                "humidity_percent": shown["humidity_percent"],
                "weather": shown["weather"],
            }
            rows.append(row)
        return rows, features(*question)
