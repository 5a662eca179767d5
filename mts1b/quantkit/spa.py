"""Hansen, "A Test for Superior Predictive Ability" (2005), as `arch` computes it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

REPETITIONS = 1_000
"""Bootstrap samples: a p-value near 0.05 is known to about 0.007."""


@dataclass(frozen=True, slots=True)
class Superiority:
    """p-values of the hypothesis that no model beats the benchmark; `lower` and `upper` bound the consistent one."""

    p_value: float
    lower: float
    upper: float
    models: int
    repetitions: int


def superior_predictive_ability(
    benchmark: Floats, models: Floats, seed: int = 0, repetitions: int = REPETITIONS
) -> Superiority:
    """Test whether the best of `models` [N, T] has a higher mean return than `benchmark` [T], all N tries counted.

    Stationary bootstrap with blocks of sqrt(T) bars on average, studentised, from `seed`. A model equal to the
    benchmark on every bar has nothing to test and is left out; when none is left the p-values are 1.
    """
    differs = (models != benchmark).any(axis=1)
    if not differs.any():
        return Superiority(1.0, 1.0, 1.0, len(models), repetitions)
    from arch.bootstrap import SPA  # brings scipy, pandas and statsmodels: seconds, for this test only

    test = SPA(-benchmark, -models[differs].T, reps=repetitions, seed=seed)
    test.compute()
    found = test.pvalues
    return Superiority(
        float(found["consistent"]), float(found["lower"]), float(found["upper"]), len(models), repetitions
    )
