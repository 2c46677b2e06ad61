"""One target under libFuzzer, whose arguments follow the target's name; `make fuzz` has a process for each."""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["firmware_bridge", "gateway.door", "heat", "hw_sim"]):
    from tests.fuzz.targets import TARGETS

atheris.Setup([sys.argv[0], *sys.argv[2:]], TARGETS[sys.argv[1]])
atheris.Fuzz()
