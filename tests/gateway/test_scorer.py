"""Whatever onnxruntime does to whoever loads it, the gateway makes picks from the first moment on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from gateway import scorer
from heat.errors import ModelError
from models.bundle import pretrained
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


def fallback(shop: Shop) -> dict[str, Any] | None:
    """What the page says is wrong with the model."""
    warnings = shop.json("/api/v1/status")["warnings"]
    return next((warning for warning in warnings if warning["code"] == "model_fallback"), None)


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
    wait_until(lambda: fallback(shop), 60, "the page tells")
    told = fallback(shop)
    assert told is not None
    assert why in told["what"]
    assert scores(shop, "numpy")
    assert gateway.children() == []


async def test_a_hanging_probe_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scorer, "PROBE_TIMEOUT_S", 0.5)
    monkeypatch.setattr(scorer, "PROBE", "import time; time.sleep(600)")
    before = psutil.Process().children()
    with pytest.raises(ModelError, match="did not load in"):
        await scorer.open_onnx(pretrained())
    assert psutil.Process().children() == before
