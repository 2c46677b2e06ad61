"""A second, naive way from events to profile rows, digests and heat states: nothing of Picante's is imported here.

An event is `{"subject", "origin", "day", "type", "data"}` with `data` as in its CloudEvent; other keys are ignored.
Every piece of evidence is kept in a list and summed at the end; divisions are exact fractions, rounded down once. Slow
and short, so that a reader can hold it against the definition:

- a bucket row is [origin, day, kind, n, sum w, sum w*q, sum w*q*q, counts per band of 2,000 milli-octaves];
- a flavour row is [origin, day, kind, tag, n, sum w];
- kind is `stated`, `poured`, or a rating's verdict; other events say nothing of taste;
- a pour that was taken back counts minus one, on the pour's own day; sums of nothing are no row;
- a claimed session brings rows of its own.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from math import isqrt
from typing import Any

Row = list[Any]


def profiles(events: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Every subject's `buckets`, `flavours` (rows, sorted) and `digest`. Subjects without evidence are absent."""
    events = list(events)
    result = {}
    for subject in {event["subject"] for event in events if event["subject"] is not None}:
        buckets, flavours = rows([event for event in events if event["subject"] == subject])
        if buckets or flavours:
            result[subject] = {"buckets": buckets, "flavours": flavours, "digest": digest(buckets, flavours)}
    return result


def rows(events: Iterable[Mapping[str, Any]]) -> tuple[list[Row], list[Row]]:
    """Bucket rows and flavour rows of the events of one subject, each sorted by its key."""
    bucket_parts: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    flavour_parts: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for event in events:
        buckets, flavours = _evidence(event)
        for row in buckets:
            bucket_parts[tuple(row[:3])].append(row[3:])
        for row in flavours:
            flavour_parts[tuple(row[:4])].append(row[4:])
    summed_buckets = []
    for key in sorted(bucket_parts):
        parts = bucket_parts[key]
        sums = [sum(part[i] for part in parts) for i in range(4)]
        bands = [sum(part[4][band] for part in parts) for band in range(10)]
        if sums[0]:
            summed_buckets.append([*key, *sums, bands])
    summed_flavours = [
        [*key, sum(part[0] for part in flavour_parts[key]), sum(part[1] for part in flavour_parts[key])]
        for key in sorted(flavour_parts)
        if sum(part[0] for part in flavour_parts[key])
    ]
    return summed_buckets, summed_flavours


def digest(buckets: Iterable[Sequence[Any]], flavours: Iterable[Sequence[Any]]) -> str:
    """SHA-256 of the rows as lines of tab-separated text, bucket lines first, each kind of line sorted as bytes."""
    bucket_lines = []
    for row in buckets:
        text = "\t".join(["b", *map(str, row[:-1]), ",".join(map(str, row[-1]))])
        bucket_lines.append(f"{text}\n".encode())
    flavour_lines = [("\t".join(["f", *map(str, row)]) + "\n").encode() for row in flavours]
    return hashlib.sha256(b"".join(sorted(bucket_lines) + sorted(flavour_lines))).hexdigest()


def heat_state(
    buckets: Iterable[Sequence[Any]], today: int, decay_weights: Sequence[int], prior: tuple[int, int] = (8000, 2500)
) -> tuple[int, int, int]:
    """(mean, deviation, tolerance) in milli-octaves of a subject with these bucket rows, read on the day `today`."""
    unit = decay_weights[0]
    prior_mean, prior_sd = prior
    pieces: list[tuple[str, int, Fraction]] = []  # (kind, decayed weight, mean heat)
    for _, day, kind, n, w, wq, *_ in buckets:
        age = max(today - day, 0) if day >= 0 else 0
        decay = decay_weights[age] if age < len(decay_weights) else 0
        if n and decay:
            pieces.append((kind, decay * w, Fraction(wq, w)))
    believed = [(16_000_000 * unit // prior_sd**2, Fraction(prior_mean))]
    believed += [(w, q) for kind, w, q in pieces if kind in {"stated", "poured", "just_right"}]
    hot = [(w, _below(q, 2000)) for kind, w, q in pieces if kind == "too_hot"]
    more = [(w, q + 1200) for kind, w, q in pieces if kind == "more"]
    believed += _counted(believed, hot, more)
    mean = min(_mean(believed), 19_932)
    usual = min(mean + 2000, 19_932)
    pain = [(16 * unit, Fraction(usual))]
    pain += _counted(pain, [(w, _below(q, 500)) for kind, w, q in pieces if kind == "too_hot"], [])
    return mean, isqrt(16_000_000 * unit // sum(w for w, _ in believed)), max(_mean(pain), mean)


Weighted = list[tuple[int, Fraction]]


def _counted(believed: Weighted, hot: Weighted, more: Weighted) -> Weighted:
    """The verdicts that lie on their side of the mean which they make with the rest: there is one such set."""
    for bound in [*sorted({q for _, q in hot + more}), Fraction(10**9)]:
        for closed in (False, True):
            counted = [(w, q) for w, q in hot if q < bound or (closed and q == bound)]
            counted += [(w, q) for w, q in more if q > bound or (not closed and q == bound)]
            whole = believed + counted
            middle = sum(w * q for w, q in whole) / Fraction(sum(w for w, _ in whole))
            if all((q < middle) == ((w, q) in counted) for w, q in hot) and all(
                (q > middle) == ((w, q) in counted) for w, q in more
            ):
                return counted
    raise AssertionError("no set of verdicts agrees with its own mean")


def _mean(weighted: Sequence[tuple[int, Fraction]]) -> int:
    return int(sum(w * q for w, q in weighted) // sum(w for w, _ in weighted))


def _below(q: Fraction, margin: int) -> Fraction:
    return max(q - margin, Fraction(0))


def _evidence(event: Mapping[str, Any]) -> tuple[list[Row], list[Row]]:
    data, origin, day, one = event["data"], event["origin"], event["day"], 1
    match event["type"]:
        case "picante.poured.v1":
            kind = "poured"
        case "picante.pour-voided.v1":
            kind, day, one = "poured", data["day"], -1
        case "picante.rated.v1":
            kind = data["verdict"]
        case "picante.stated.v1":
            kind = "stated"
        case "picante.session-claimed.v1":
            return [row for row in data["buckets"] if row[3]], [row for row in data["flavours"] if row[4]]
        case _:
            return [], []
    w, q = one * data["w"], data["heat"]["milli_octaves"]
    bands = [0] * 10
    bands[min(q // 2000, 9)] = one
    tags = [] if kind == "stated" else data["flavours"]
    return [[origin, day, kind, one, w, w * q, w * q * q, bands]], [[origin, day, kind, tag, one, w] for tag in tags]
