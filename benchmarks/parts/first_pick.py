"""A process that is a recommender and nothing else: a line at its first pick, then its memory.

By then it has made some hundred picks, and made out what a customer said in their own words.
"""

from __future__ import annotations

from benchmarks.parts.tasting import Tasting
from heat.language import parse
from heat.lexicon import default_finder
from heat.scale import default_words
from models.explore import suggest
from models.heat_text import classifier

PICKS = 300
SAUCES = 500


def main() -> None:
    """Say when there is a pick, and then what it took: KiB."""
    tasting = Tasting(SAUCES)
    for number in range(PICKS):
        suggest(tasting.ranker, *tasting.asks[number % len(tasting.asks)], seed=number)
        if not number:
            print("picked", flush=True)
    parse("my mouth tingled all evening", default_finder(), default_words(), classifier())
    with open("/proc/self/status", encoding="ascii") as status:  # noqa: PTH123 -- as the bare processes do
        print(next(line.split()[1] for line in status if line.startswith("VmRSS")))


if __name__ == "__main__":
    main()
