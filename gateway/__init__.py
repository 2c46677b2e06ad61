"""The daemon on the Pi: ingest, store, picks, clock, supervision, web."""
