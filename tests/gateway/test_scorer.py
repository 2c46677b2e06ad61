"""Whatever onnxruntime does to whoever loads it, the gateway makes picks from the first moment on."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from gateway import scorer
from heat.errors import ModelError, ScorerError
from models.bundle import load, pretrained
from models.export import onnx_model
from tests.gateway.web.conftest import Shop, open_shop
from tests.waiting import wait_until

DEADLY = {
    "abort": ("import os; os.abort()", "it died by signal 6"),
    "segfault": ("import ctypes; ctypes.string_at(0)", "it died by signal 11"),
    "missing": ("raise ImportError('built for another board')", "ImportError: built for another board"),
    "hang": ("import time\nwhile True: time.sleep(1)", None),
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with open_shop(tmp_path_factory.mktemp("scorer")) as opened:
        yield opened


def scores(shop: Shop, with_: str) -> bool:
    """Whether page and metrics say that this is what scores."""
    ranker = shop.json("/api/v1/status")["gateway"]["ranker"]
    said: bool = shop.json("/api/v1/status")["gateway"]["scorer"] == with_
    return said and f'picante_ranker_info{{ranker="{ranker}",scorer="{with_}"}} 1.0' in shop.get("/metrics").text


def contradicting(directory: Path) -> Path:
    """A bundle whose model has the right hash and the opposite of the manifest's weights."""
    bundle = shutil.copytree(pretrained(), directory / "bundle")
    model = onnx_model([-weight for weight in load(bundle).manifest.weights])
    (bundle / "model.onnx").write_bytes(model)
    manifest = json.loads((bundle / "manifest.json").read_bytes())
    manifest["files"]["model.onnx"] = hashlib.sha256(model).hexdigest()
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    return bundle


def check_config(shop: Shop) -> subprocess.CompletedProcess[str]:
    config = str(shop.directory / "gateway.toml")
    return subprocess.run(
        [sys.executable, "-m", "picante", "gateway", "check-config", "--config", config],
        env=os.environ | shop.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def fallback(shop: Shop) -> dict[str, Any] | None:
    """What the page says is wrong with the model."""
    repairs = shop.json("/api/v1/status")["repairs"]
    return next((repair for repair in repairs if repair["code"] == "model_fallback"), None)


def test_onnxruntime_takes_over_where_it_works(shop: Shop) -> None:
    assert len(shop.visit()["picks"]) == 3
    wait_until(lambda: scores(shop, "onnx"), 60, "onnxruntime scores")
    assert fallback(shop) is None
    assert len(shop.visit()["picks"]) == 3


@pytest.mark.parametrize("kind", DEADLY)
def test_numpy_scores_where_onnxruntime_kills_or_hangs(shop: Shop, kind: str, tmp_path: Path) -> None:
    code, why = DEADLY[kind]
    (tmp_path / "onnxruntime").mkdir()
    (tmp_path / "onnxruntime" / "__init__.py").write_text(code)
    shop.gateway.stop()
    shop.environment = {"PYTHONPATH": str(tmp_path)}
    shop.start_gateway()
    gateway = psutil.Process(shop.gateway.process.pid)
    assert shop.get("/readyz").is_success
    assert len(shop.visit()["picks"]) == 3
    assert scores(shop, "numpy")
    if why is None:
        (probe,) = gateway.children()
        assert shop.gateway.stop() == 0
        assert not probe.is_running()
        return
    told = wait_until(lambda: fallback(shop), 60, "the page tells")
    assert told is not None
    assert why in told["what"]
    assert scores(shop, "numpy")
    assert gateway.children() == []


def test_a_configuration_is_good_where_onnxruntime_is_not(shop: Shop, tmp_path: Path) -> None:
    shop.environment = {}
    checked = check_config(shop)
    assert "scored by onnxruntime\n" in checked.stdout
    (tmp_path / "onnxruntime.py").write_text(DEADLY["abort"][0])
    shop.environment = {"PYTHONPATH": str(tmp_path)}
    checked = check_config(shop)
    assert checked.returncode == 0
    assert "scored by NumPy: onnxruntime does not work here: it died by signal 6. Picks are the same" in checked.stdout


def test_the_rule_ranks_where_a_bundle_contradicts_itself(shop: Shop, tmp_path: Path) -> None:
    bundle = contradicting(tmp_path)
    config = shop.directory / "gateway.toml"
    whole = config.read_text()
    shop.gateway.stop()
    shop.environment = {}
    try:
        config.write_text(f'{whole}[picks]\nbundle = "{bundle}"\n')
        shop.start_gateway()
        wait_until(lambda: scores(shop, "rule"), 60, "the rule ranks")
        told = wait_until(lambda: fallback(shop), 10, "the page tells")  # of a moment before, maybe
        checked = check_config(shop)
        assert shop.visit()["picks"]
        assert shop.json("/api/v1/picks?dispenser=hot-bar-1")["ranker"] == "rule"
    finally:
        config.write_text(whole)
    what = f"{bundle}/model.onnx: does not score as the weights in {bundle}/manifest.json do"
    assert told is not None
    assert told["what"] == f"Picks are made by rule: {what}"
    assert told["steps"][0].startswith("Copy the bundle again,")
    assert (checked.returncode, checked.stdout) == (2, "")
    assert checked.stderr.startswith(f"error: {what}. Copy the bundle again")


async def test_what_the_shipped_bundle_fails_with_too_is_onnxruntime_s_fault(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bundle = contradicting(tmp_path)
    with pytest.raises(ModelError, match="does not score as the weights") as raised:
        await scorer.probe(bundle)
    assert not isinstance(raised.value, ScorerError)
    # an onnxruntime that gets every sum wrong
    (tmp_path / "sitecustomize.py").write_text(
        "import models.ranker as r; right = r.OnnxRanker.scores; r.OnnxRanker.scores = lambda *a: -right(*a)"
    )
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{Path.cwd()}")
    for one in (shutil.copytree(pretrained(), tmp_path / "good"), pretrained()):
        with pytest.raises(
            ScorerError, match=r"onnxruntime does not work here: .*pretrained/model\.onnx: does not score"
        ):
            await scorer.probe(one)


async def test_a_hanging_probe_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scorer, "PROBE_TIMEOUT_S", 0.5)
    monkeypatch.setattr(scorer, "PROBE", ("-c", "import time; time.sleep(600)"))
    before = psutil.Process().children()
    with pytest.raises(ScorerError, match="did not load in"):
        await scorer.open_onnx(pretrained())
    assert psutil.Process().children() == before
