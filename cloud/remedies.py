"""What to do about each reason for which events are refused: the words of `picante cloud dlq show`."""

from __future__ import annotations

from heat.quality import Reason

REMEDIES: dict[Reason, str] = {
    "unknown_type": "Its writer is newer than this reader: bring the cloud up to date, then replay.",
    "malformed": "Its writer is at fault, or it is no event at all: mend whoever wrote it.",
    "impossible_heat": "Nobody can have meant it: look at what sent it. Nothing is to be replayed.",
    "impossible_volume": "No dispenser can have poured it: look at the meter of its nozzle.",
    "unknown_sauce": "Add the sauce to the catalogue. Events that come later pass.",
    "unknown_word": "Add the word to the table of words. Events that come later pass.",
    "too_large": "It holds more than Kafka takes: mend its writer.",
    "contradictory": "It says two things at once: mend its writer.",
    "impossible_sums": "Its sums can't come from events: mend its writer.",
    "wrong_key": "Readers don't look for its customer in this partition: its writer has to use the subject as key.",
    "too_old": "It came more than 90 days late: it is in the lake, and in no profile. Nothing is to be done.",
    "damaged": "The gateway's disk gave back something else than was written: check that disk.",
    "internal_error": "A bug of ours: the log of who wrote it has the traceback. Once it is mended, replay.",
}
