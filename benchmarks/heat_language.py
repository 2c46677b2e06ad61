"""How well what people say of heat is understood, and what a sentence costs: lexicon, classifier, both, a word list.

The sentences are of reviews, and not ours to hand on: their labels are here by digest (docs/heat-language.md), the
texts in a folder beside the checkout. Without it the time alone is measured, on the classifier's own sentences.
"""

from __future__ import annotations

import csv
import hashlib
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from heat.language import Scores, parse
from heat.lexicon import Wish, default_finder
from heat.scale import default_words
from heat.wording import normalise, words_of
from models.heat_text import buckets, classifier, data, load, score

ROOT = Path(__file__).parents[1]
LABELS = ROOT / "tests/vectors/heat_language"
WISHES: tuple[Wish, ...] = ("more", "right", "less", "none")
ROUNDS = 5
KEYWORDS = frozenset(
    [
        "hot",
        "hotter",
        "spicy",
        "spicier",
        "heat",
        "kick",
        "zip",
        "zing",
        "mild",
        "milder",
        "burn",
        "fire",
        "pepper",
        "chili",
        "jalapeno",
    ]
)
"""What somebody would look for who had ten minutes."""
SIGNS: dict[Wish, set[str]] = {
    "less": {"too", "less"},
    "more": {"more", "extra"},
    "right": {"love", "great", "good", "perfect"},
}
"""And what they would take for a wish."""

Verdict = tuple[bool, Wish]
Way = Callable[[str], Verdict]
"""A text -> whether it is about heat, and its wish."""


class Labelled(NamedTuple):
    """A sentence, and what it was found to say."""

    text: str
    split: str
    source: str
    about: bool
    wish: str
    trap: bool


def main() -> int:
    """Measure and print."""
    sentences = labelled()
    ways = {"word list": by_keywords, "lexicon": by_lexicon, "classifier": by_classifier, "both": by_both}
    if sentences:
        for split in ("dev", "held-out", "later", "second"):
            print(f"\n{split}: F1 of about heat / macro-F1 of the wish")
            of_split = [one for one in sentences if one.split == split]
            groups = {"all": of_split}
            groups |= {name: [one for one in of_split if one.source == name] for name in {o.source for o in of_split}}
            for name, group in sorted(groups.items()):
                cells = "".join(f"{key:>12} {_cell(way, group)}" for key, way in ways.items())
                print(f"{name:24}{len(group):>5}{cells}")
            traps = [one for one in of_split if one.trap]
            wrong = ", ".join(f"{key} {sum(way(one.text)[0] for one in traps)}" for key, way in ways.items())
            print(f"traps taken for heat, of {len(traps)}: {wrong}")
    else:
        print("quality: not measured, no sentences at shared/data/text beside the checkout")
    speed([one.text for one in sentences] or [text for text, *_ in _own()])
    return 0


def by_keywords(text: str) -> Verdict:
    """About heat if one of a few words is there; the wish by *too*, *more*, *less*, *love*."""
    words = set(words_of(normalise(text).text))
    if words.isdisjoint(KEYWORDS):
        return False, "none"
    return True, next((wish for wish, signs in SIGNS.items() if words & signs), "none")


def by_lexicon(text: str) -> Verdict:
    """As the gateway, without a classifier."""
    said = parse(text, default_finder(), default_words())
    return said.about_heat, said.wish


def by_classifier(text: str) -> Verdict:
    """By the classifier alone: its likeliest class."""
    scores = classifier()(normalise(text).text)
    best = Scores._fields[max(range(len(scores)), key=lambda at: scores[at])]
    wish: Wish = next((wish for wish in WISHES if wish == best), "none")
    return best != "not_about", wish


def by_both(text: str) -> Verdict:
    """As the gateway."""
    said = parse(text, default_finder(), default_words(), classifier())
    return said.about_heat, said.wish


def labelled() -> list[Labelled]:
    """The sentences that were labelled and are here; none without the folder."""
    found = [path for folder in ROOT.parents for path in (folder / "shared/data/text").glob("heat_sentences.csv")]
    if not found:
        return []
    texts = {hashlib.sha256(row["sentence"].encode()).hexdigest()[:16]: row["sentence"] for row in _rows(found[0])}
    rows = [row for name in ("labels.csv", "labels_later.csv", "labels_second.csv") for row in _rows(LABELS / name)]
    return [
        Labelled(
            texts[row["sha256"]],
            row["split"],
            row["source"],
            row["about_heat"] == "1",
            row["wish"],
            row["trap"] == "1",
        )
        for row in rows
        if row["sha256"] in texts
    ]


def f1(pairs: Iterable[tuple[bool, bool]]) -> float:
    """Of (found, true)."""
    counted = list(pairs)
    hits = sum(found and true for found, true in counted)
    wrong = sum(found != true for found, true in counted)
    return 2 * hits / (2 * hits + wrong) if hits else 0.0


def _cell(way: Way, group: Sequence[Labelled]) -> str:
    verdicts = [way(one.text) for one in group]
    about = f1((found, one.about) for (found, _), one in zip(verdicts, group, strict=True))
    wishes = [
        f1((found == wish, one.wish == wish) for (_, found), one in zip(verdicts, group, strict=True))
        for wish in WISHES
    ]
    return f"{about:.2f}/{sum(wishes) / len(wishes):.2f}"


def speed(texts: Sequence[str]) -> None:
    """µs a sentence; onnxruntime's bare run of the classifier beside NumPy's."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(data() / "heat_text.onnx", options, providers=["CPUExecutionProvider"])
    weights = load(data() / "heat_text.npy")
    plain = [normalise(text).text for text in texts]
    rows = [buckets(text) for text in plain]
    ways: dict[str, Callable[[], object]] = {
        "word list": lambda: [by_keywords(text) for text in texts],
        "lexicon": lambda: [by_lexicon(text) for text in texts],
        "classifier": lambda: [classifier()(text) for text in plain],
        "both": lambda: [by_both(text) for text in texts],
        "bare NumPy": lambda: [score(weights, some) for some in rows],
        "bare onnxruntime": lambda: [session.run(None, {"buckets": some}) for some in rows],
    }
    print(f"\nµs a sentence of {sum(map(len, texts)) / len(texts):.0f} characters, best of {ROUNDS} rounds")
    for name, run in ways.items():
        print(f"{name:24}{_best_s(run) / len(texts) * 1e6:>8.0f}")


def _best_s(run: Callable[[], object]) -> float:
    best = float("inf")
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - begun)
    return best


def _own() -> list[tuple[str, ...]]:
    return [tuple(row.values()) for row in _rows(data() / "heat_sentences.csv")]


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


if __name__ == "__main__":
    sys.exit(main())
