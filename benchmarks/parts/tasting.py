"""A recommender alone, before a menu of any size: customers of every kind, who all ask for picks."""

from __future__ import annotations

import random

import numpy as np

from heat.catalog import Sauce, default_catalog
from heat.reading import WINDOWS_DAYS, HeatState, Prior, Reading, Window
from heat.scale import default_words, shu
from models.bundle import load, pretrained
from models.features import Context, Menu, features
from models.ranker import OnnxRanker

CUSTOMERS = 64


class Tasting:
    """A menu, customers before it, the bundle that ships in onnxruntime, and what its products are made of."""

    def __init__(self, sauces: int) -> None:
        chance = random.Random(sauces)
        self.ranker = OnnxRanker(load(pretrained()))
        tags = default_catalog().flavours
        self.menu = Menu([_sauce(chance, number, tags) for number in range(sauces)])
        self.asks = [self._ask(chance, tags) for _ in range(CUSTOMERS)]
        self.matrix = features(*self.asks[0])
        self.weights = self.ranker.weights
        deviations = self.ranker.deviations
        assert deviations is not None
        self.deviations = np.ascontiguousarray(deviations.T)

    def _ask(self, chance: random.Random, tags: tuple[str, ...]) -> tuple[Reading, Menu, Context]:
        """One in four knows nobody, one in three turned the dial."""
        pours = 0 if chance.random() < 0.25 else chance.randint(1, 40)
        mean = Prior().mean_mo if not pours else chance.randint(4000, 15_000)
        reading = Reading(
            state=HeatState(mean, round(Prior().sd_mo / (1 + pours) ** 0.5), mean + 2000),
            evidence=pours,
            windows=tuple(Window(days, pours, mean if pours else None) for days in WINDOWS_DAYS),
            flavours={tag: chance.random() / 3 for tag in tags} if pours else {},
        )
        context = Context(
            dial=default_words().dial(chance.randint(0, 100)) if chance.random() < 1 / 3 else None,
            mood=chance.choice((None, "mellow", "bold")),
            last_poured=chance.choice(self.menu.sauces) if pours else None,
            pours={sauce.id: 1.5 for sauce in chance.sample(self.menu.sauces, min(pours, 12))},
            hour=chance.randint(9, 22),
            temperature_c=chance.uniform(-5, 30),
        )
        return reading, self.menu, context


def _sauce(chance: random.Random, number: int, tags: tuple[str, ...]) -> Sauce:
    return Sauce(
        id=f"sauce-{number}",
        name=f"Sauce {number}",
        shu=shu(chance.randint(3000, 16_500)),
        flavours=tuple(sorted(chance.sample(tags, 3))),
        popularity=chance.randint(0, 10),
    )
