"""Picante's tests. They mirror the packages; what they share lives in `servers`, `waiting` and `conftest`."""
