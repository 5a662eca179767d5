"""Hansen's test: a model that is better is found, luck is not, the seed decides."""

from __future__ import annotations

import numpy as np

from mts1b.quantkit.spa import superior_predictive_ability

RNG = np.random.default_rng(8)
BENCHMARK = RNG.normal(0.0, 0.01, 750)
NOISE = RNG.normal(0.0, 0.01, (20, 750))


def test_luck_is_not_superiority() -> None:
    found = superior_predictive_ability(BENCHMARK, NOISE, repetitions=300)
    assert found.lower <= found.p_value <= found.upper and found.p_value > 0.1


def test_a_better_model_is_found_among_many() -> None:
    models = NOISE.copy()
    models[7] += 0.003
    assert superior_predictive_ability(BENCHMARK, models, repetitions=300).p_value < 0.01


def test_the_seed_decides() -> None:
    one, other = (superior_predictive_ability(BENCHMARK, NOISE, seed=3, repetitions=100) for _ in range(2))
    assert one == other


def test_models_that_are_the_benchmark() -> None:
    assert superior_predictive_ability(BENCHMARK, np.tile(BENCHMARK, (2, 1))).p_value == 1.0
