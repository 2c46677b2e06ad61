"""The classifier of heat text: one training, one set of numbers, whoever computes them."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from benchmarks.heat_language import f1, labelled
from heat.errors import DataError, ModelError
from heat.language import Scores, parse
from heat.lexicon import default_finder
from heat.scale import default_words
from heat.wording import normalise
from models.heat_text import BUCKETS, CLASSES, buckets, classifier, data, load, score
from models.train_heat_text import read_sentences, save, train
from tests.shared_data import heat_sentences

WORDS = [
    "hot",
    "spicy",
    "kick",
    "mild",
    "oven",
    "too",
    "not",
    "milk",
    "zing",
    "please",
    "heat",
    "jalapeño",
    "12k",
    "SHU",
]
TEXTS = 1_000


def _texts() -> list[str]:
    """The sentences of the training, and words in any order, as many as are read."""
    chance = np.random.default_rng(7)
    made = [" ".join(chance.choice(WORDS, size=int(chance.integers(0, 120)))) for _ in range(TEXTS)]
    with (data() / "heat_sentences.csv").open(encoding="utf-8", newline="") as file:
        return [*made[:-1], "", *(row["text"] for row in csv.DictReader(file))]


def test_numpy_and_onnx_give_the_same_scores_to_the_bit() -> None:
    session = onnxruntime.InferenceSession(data() / "heat_text.onnx", providers=["CPUExecutionProvider"])
    weights = load(data() / "heat_text.npy")
    texts = _texts()
    assert len(texts) > TEXTS
    for text in texts:
        rows = buckets(normalise(text).text)
        (got,) = session.run(["scores"], {"buckets": rows})
        assert got.dtype == np.int32
        assert Scores(*got.tolist()) == score(weights, rows), text


def test_the_same_sentences_give_what_ships_bit_for_bit(tmp_path: Path) -> None:
    save(tmp_path, train(read_sentences(data() / "heat_sentences.csv")))
    assert np.array_equal(load(tmp_path / "heat_text.npy"), load(data() / "heat_text.npy"))
    assert (tmp_path / "heat_text.onnx").read_bytes() == (data() / "heat_text.onnx").read_bytes()


def test_the_model_is_small() -> None:
    assert (data() / "heat_text.onnx").stat().st_size < 1_000_000


def test_it_learned_its_sentences_and_hears_what_the_lexicon_does_not() -> None:
    classify = classifier()
    examples = read_sentences(data() / "heat_sentences.csv")
    right = sum(int(np.argmax(classify(example.text))) == example.label for example in examples)
    assert right / len(examples) > 0.98
    finder, words = default_finder(), default_words()
    text = "my taste buds are tingling, wonderful"
    assert not parse(text, finder, words).about_heat
    assert parse(text, finder, words, classify).about_heat


def test_scores_are_of_named_classes() -> None:
    assert Scores._fields == CLASSES == ("not_about", "none", "more", "right", "less")


@pytest.mark.parametrize(
    "content",
    [b"", b"nonsense", np.zeros((BUCKETS, 5), dtype=np.int16), np.zeros((BUCKETS + 1, 5), dtype=np.float32)],
    ids=["empty", "no array", "a row less", "other numbers"],
)
def test_weights_that_are_none_are_refused_with_their_place(tmp_path: Path, content: bytes | np.ndarray) -> None:
    path = tmp_path / "heat_text.npy"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        np.save(path, content)
    with pytest.raises(ModelError, match=r"heat_text\.npy"):
        load(path)


@pytest.mark.parametrize(
    "row", ["hot,2,more", "hot,1,maybe", ",1,more", "hot"], ids=["about", "wish", "no text", "columns"]
)
def test_a_sentence_that_is_not_labelled_is_refused_with_its_line(tmp_path: Path, row: str) -> None:
    path = tmp_path / "sentences.csv"
    path.write_text(f"text,about_heat,wish\nfine,0,none\n{row}\n")
    with pytest.raises(DataError, match="line 3"):
        read_sentences(path)


def _understood(splits: set[str]) -> tuple[float, float]:
    """F1 of *about heat*, and macro-F1 of the wish."""
    ours = [one for one in labelled() if one.split in splits]
    finder, words, classify = default_finder(), default_words(), classifier()
    said = [(parse(one.text, finder, words, classify), one) for one in ours]
    wishes = [
        f1((got.wish == wish, one.wish == wish) for got, one in said) for wish in ("more", "right", "less", "none")
    ]
    return f1((got.about_heat, one.about) for got, one in said), sum(wishes) / 4


def test_the_goals_are_met_on_the_sentences_that_were_held_out() -> None:
    heat_sentences()
    about, wish = _understood({"held-out"})
    assert about >= 0.85
    assert wish >= 0.7


def test_sentences_that_gave_the_lexicon_nothing_are_understood_nearly_as_well() -> None:
    heat_sentences()
    about, wish = _understood({"later", "second"})
    assert about >= 0.85
    assert wish >= 0.66, "the goal is 0.7, and docs/benchmarks.md says that it is missed"
