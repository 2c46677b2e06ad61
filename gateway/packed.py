"""The `data` of stored events: JSON, deflated where it is long, so that a card holds a month of impressions.

Raw deflate (RFC 1951) with a dictionary, behind one byte that no JSON begins with; another dictionary is another byte.
"""

from __future__ import annotations

import zlib

LONG_BYTES = 512
"""bytes; shorter ones, the pours and ratings, gain less than the time that it takes."""
MAX_BYTES = 1_000_000
"""bytes of any event's data, unpacked; more comes of a damaged disk alone."""
_MARK = b"\x01"
_WINDOW = -13
"""8 KiB, without zlib's header."""
_DICTIONARY = (
    b'"type":"picante.session-claimed.v1","session":"s-","buckets":[["poured",],["stated","just_right","too_hot","more",'
    b'0,0,0,0,0,0,0,0,0]]],"flavours":[["fruity","citrus"],["garlic","umami"],["vinegar","earthy"],["smoky","sweet"]]'
    b'{"store":"","region":"","channel":"gateway","consent":"session","consent":"profile","flags":[],"pick_id":"",'
    b'"dispenser":"","picks":[{"slot":1,"nozzle":1,"sauce":"","milli_octaves":7000,"score":0.7,"propensity":1.0},'
    b'{"slot":2,"nozzle":2,"sauce":"","milli_octaves":8000,"score":0.5,"propensity":1.0},'
    b'{"slot":3,"nozzle":3,"sauce":"","milli_octaves":6000,"score":-0.3,"propensity":1.0}],"candidates":["",""],'
    b'"ranker":"","latency_us":1000,"catalog":"2026-1","offered":[[1000,600,5.0,["sweet"]],[2000,600,3.0,["garlic",'
    b'"umami"]],[50000,600,1.0,["smoky","earthy"]],[100000,600,2.0,["fruity","citrus"]]],"known":{"mean_mo":8000,'
    b'"sd_mo":2500,"tolerance_mo":10000,"evidence":0,"windows":[[7,0,null],[30,0,null],[90,0,null]],"flavours":[],'
    b'"dial":null,"mood":null,"last_sauce":null,"last_shu":null,"last_verdict":null}}'
)
"""What impressions and claims are made of, the commonest last. Never changed: what is on a card was packed with it."""


def pack(data: bytes) -> bytes:
    """What is stored of an event's JSON."""
    if len(data) <= LONG_BYTES:
        return data
    deflating = zlib.compressobj(wbits=_WINDOW, zdict=_DICTIONARY)
    return _MARK + deflating.compress(data) + deflating.flush()


def unpack(stored: bytes) -> bytes:
    """The JSON again. What can't be unpacked is given back as it is, and whoever reads it finds no event there."""
    if not stored.startswith(_MARK):
        return stored
    try:
        inflating = zlib.decompressobj(_WINDOW, zdict=_DICTIONARY)
        data = inflating.decompress(stored[len(_MARK) :], MAX_BYTES)
    except zlib.error:
        return stored
    return data if inflating.eof else stored
