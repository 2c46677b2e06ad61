"""A scenario's dispensers with certificates: each has its own, and what is missing is told at the start."""

from __future__ import annotations

from pathlib import Path

import pytest

from heat.errors import ConfigError
from hw_sim.scenario import parse_scenario
from hw_sim.simulation import Simulation

HEAD = '[mqtt]\n{tls}\n[[dispensers]]\nid = "bar-1"\nlink = "mqtt"\n'


def test_trust_and_identity_go_together() -> None:
    with pytest.raises(ConfigError, match=r"mqtt\.ca and mqtt\.certificates go together\. TLS wants both"):
        parse_scenario(HEAD.format(tls='ca = "ca.pem"'))


async def test_a_certificate_that_is_missing_is_named(tmp_path: Path) -> None:
    scenario = parse_scenario(HEAD.format(tls='ca = "ca.pem"\ncertificates = "own"'))
    with pytest.raises(ConfigError, match=r"own/bar-1\.pem or .*own/bar-1\.key: .*No such file") as caught:
        async with Simulation(scenario, tmp_path):
            pass
    assert "picante gateway pki" in str(caught.value)
