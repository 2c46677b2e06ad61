"""Whether what an event says can be true: what its schema can't tell, and no two readers should judge apart. Pure.

Every reader of the topic asks `contradiction` after the schema (`cloud_sync.envelope`), and the gateway before it
sends, so that edge and cloud fold the same events. The rules are functions of the event alone: neither the catalogue
nor a clock is asked, and what is merely odd passes (`heat.quality` flags it at the door).
"""

from __future__ import annotations

from functools import lru_cache

from heat.events import (
    AnyData,
    BucketRow,
    Consent,
    ConsentChanged,
    FlavourRow,
    Impression,
    Poured,
    PourVoided,
    Rated,
    Refilled,
    Sampled,
    SensorRow,
    SequenceGap,
    SessionClaimed,
    Stated,
)
from heat.identity import is_session
from heat.profile import MAX_W
from heat.quality import Refusal, refuse_volume
from heat.scale import MAX_MO, Heat, milli_octaves, shu

LAST_DAY = 2_932_896
"""The UTC day number of 9999-12-31: the last day that RFC 3339 can write."""
SLACK_DAYS = 1
"""Days that a claim's sums may lie ahead of the claim: a clock that is set back at midnight does that."""
BAND_MO = 2000


def contradiction(data: AnyData, subject: str | None, origin: str, day: int) -> Refusal | None:
    """Why the event can't be true, or None. `origin` is who took it, `day` its UTC day (negative: not known)."""
    if isinstance(data, ConsentChanged):
        return _of_change(data.consent, subject)
    return _of_consent(data.consent, subject) or _of_data(data, subject, origin, day)


def _of_change(consent: Consent, subject: str | None) -> Refusal | None:
    if subject is None or is_session(subject) or consent == "session":
        return _contradictory("a consent that no pseudonym gave or took back")
    return None


def _of_consent(consent: Consent, subject: str | None) -> Refusal | None:
    """Nobody is profiled who did not allow it: no subject without consent, and no pseudonym for a session alone."""
    if subject is None or consent == "profile" or (consent == "session" and is_session(subject)):
        return None
    return _contradictory("a subject that its consent does not allow")


def _of_data(data: AnyData, subject: str | None, origin: str, day: int) -> Refusal | None:
    match data:
        case Poured():
            return refuse_volume(data.volume_ul) or _of_heat(data.heat) or _of_tags(data.flavours)
        case PourVoided():
            return _of_void(data, day)
        case Rated():
            return _of_heat(data.heat) or _of_tags(data.flavours)
        case Stated():
            return _of_heat(data.heat)
        case Refilled() | ConsentChanged():
            return None
        case Impression():
            return _of_impression(data)
        case SessionClaimed():
            return _of_claim(data, subject, origin, day)
        case SequenceGap():
            return None if 1 <= data.first <= data.last else _contradictory("a gap that ends before it begins")
        case Sampled():
            return next((refusal for row in data.sensors if (refusal := _of_sensor(row))), None)


def _of_void(data: PourVoided, day: int) -> Refusal | None:
    if not (data.day == day or 0 <= data.day <= (day + SLACK_DAYS if day >= 0 else LAST_DAY)):
        return _contradictory("a pour that was taken back before it happened")
    return refuse_volume(data.volume_ul) or _of_heat(data.heat) or _of_tags(data.flavours)


def _contradictory(detail: str) -> Refusal:
    return Refusal("contradictory", detail)


def _of_heat(heat: Heat) -> Refusal | None:
    if not _is_one_heat(heat.shu, heat.milli_octaves):
        return Refusal("impossible_heat", f"{heat.shu} SHU are not {heat.milli_octaves} milli-octaves")
    if (heat.source in {"word", "dial"}) and heat.table is None:
        return _contradictory(f"a heat made from a {heat.source} without the table's version")
    return None


@lru_cache(4096)
def _is_one_heat(heat_shu: int, heat_mo: int) -> bool:
    """Whether one was made from the other. Another language's logarithm may round a half the other way."""
    return abs(milli_octaves(heat_shu) - heat_mo) <= 1 or abs(shu(heat_mo) - heat_shu) <= 1


def _of_tags(flavours: tuple[str, ...]) -> Refusal | None:
    return _contradictory("a flavour twice") if len(set(flavours)) < len(flavours) else None


def _of_impression(data: Impression) -> Refusal | None:
    slots = [pick.slot for pick in data.picks]
    shown = [pick.sauce for pick in data.picks]
    if len(set(data.candidates)) < len(data.candidates):
        return _contradictory("a candidate twice")
    if slots != list(range(1, len(slots) + 1)) or len(set(shown)) < len(shown):
        return _contradictory("a sauce in two slots, or slots out of order")
    if not set(shown) <= set(data.candidates):
        return _contradictory("a sauce was shown that was no candidate")
    if data.offered and len(data.offered) != len(data.candidates):
        return _contradictory("not a row a candidate")
    if (known := data.known) is None:
        return None
    if (known.last_sauce is None) != (known.last_shu is None):
        return _contradictory("a last sauce without its label, or a label without its sauce")
    return _of_heat(known.dial) if known.dial is not None else None


def _of_sensor(row: SensorRow) -> Refusal | None:
    in_order = row.least <= row.last <= row.most and row.n * row.least <= row.sum <= row.n * row.most
    return None if row.n >= 1 and in_order else Refusal("impossible_sums", f"no {row.n} values of {row.sensor} sum so")


def _of_claim(data: SessionClaimed, subject: str | None, origin: str, day: int) -> Refusal | None:
    if subject is None or is_session(subject):
        return _contradictory("a session that no pseudonym claims")
    sums: dict[tuple[str, int, str], BucketRow] = {}
    for bucket in data.buckets:
        key = (bucket.origin, bucket.day, bucket.kind)
        if key in sums:
            return Refusal("impossible_sums", "a bucket twice")
        sums[key] = bucket
        if refusal := _of_place(bucket, origin, day) or _of_bucket(bucket):
            return refusal
    seen: set[tuple[str, int, str, str]] = set()
    for row in data.flavours:
        if (place := (row.origin, row.day, row.kind, row.tag)) in seen:
            return Refusal("impossible_sums", "a flavour twice")
        seen.add(place)
        if row.kind == "stated" or not _is_part(row, sums.get(place[:3])):
            return Refusal("impossible_sums", "a flavour of which there is no evidence")
    return None


def _of_place(bucket: BucketRow, origin: str, day: int) -> Refusal | None:
    if bucket.origin != origin:
        return _contradictory("sums that another origin took")
    over = 0 <= bucket.day <= (day + SLACK_DAYS if day >= 0 else LAST_DAY) or bucket.day == day
    return None if over else _contradictory("sums of a day that was not over when they were claimed")


def _of_bucket(row: BucketRow) -> Refusal | None:
    """Whether there are n weights of 1..400 and n heats, in these bands, that add up to these sums."""
    if row.n < 1 or sum(row.bands) != row.n or not row.n <= row.w <= row.n * MAX_W:
        return Refusal("impossible_sums", "counts and weights that don't add up")
    held = [band for band, count in enumerate(row.bands) if count]
    low, high = held[0] * BAND_MO, min(held[-1] * BAND_MO + BAND_MO - 1, MAX_MO)
    # each heat lies in low..high, so the squares lie below the chord over these, and by Cauchy-Schwarz above the
    # mean's; both can hold only where the mean lies in low..high, too
    chord = (low + high) * row.wq - low * high * row.w
    if not row.wq * row.wq <= row.wqq * row.w <= chord * row.w:
        return Refusal("impossible_sums", "sums of heat that no such heats have")
    return None


def _is_part(row: FlavourRow, bucket: BucketRow | None) -> bool:
    return bucket is not None and 1 <= row.n <= bucket.n and row.n <= row.w <= min(row.n * MAX_W, bucket.w)
