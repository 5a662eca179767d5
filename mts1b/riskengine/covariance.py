"""Value at risk of a book of exposures from a covariance matrix.

The one place of the order path where money is a binary number: a standard deviation is an estimate, its fifteenth
digit means nothing, and a matrix product in Decimal would take a second. Nothing from here is ever booked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from mts1b.foundation.errors import InputError
from mts1b.foundation.ids import Symbol

Z_99 = 2.3263478740408408
"""99 % quantile of the standard normal."""


class Covariance:
    """Daily covariance of returns [S, S], in the order of `symbols`. InputError on a bad shape or value."""

    def __init__(self, symbols: Sequence[Symbol], matrix: NDArray[np.float64]) -> None:
        array = np.array(matrix, dtype=np.float64)
        if array.shape != (len(symbols), len(symbols)):
            raise InputError(
                "covariance", array.shape, f"want {len(symbols)} x {len(symbols)}", "one row for each name"
            )
        if not np.isfinite(array).all() or not np.allclose(array, array.T) or (np.diag(array) < 0).any():
            raise InputError("covariance", "matrix", "must be finite and symmetric, no negative variance")
        self.matrix = array
        self.index = {symbol: i for i, symbol in enumerate(symbols)}
        self._exposure = np.zeros(len(symbols))
        self._product = np.zeros(len(symbols))

    def __contains__(self, symbol: Symbol) -> bool:
        return symbol in self.index

    def load(self, exposures: Mapping[Symbol, Decimal]) -> None:
        """Forget all exposures and take these (signed money by name; names without a row are left out)."""
        self._exposure[:] = 0.0
        for symbol, amount in exposures.items():
            if symbol in self.index:
                self._exposure[self.index[symbol]] = np.float64(amount)
        self._product = self.matrix @ self._exposure

    def move(self, symbol: Symbol, amount: Decimal) -> None:
        """Set one name's exposure."""
        at = self.index.get(symbol)
        if at is None:
            return
        change = np.float64(amount) - self._exposure[at]
        if change != 0.0:
            self._exposure[at] += change
            self._product += change * self.matrix[at]

    def value_at_risk(self, symbol: Symbol, change: Decimal) -> Decimal:
        """One day, 99 % value at risk in money, were `symbol`'s exposure changed by `change`. KeyError: no such row."""
        at, delta = self.index[symbol], np.float64(change)
        now = self._exposure @ self._product
        variance = now + 2.0 * delta * self._product[at] + delta * delta * self.matrix[at, at]
        return Decimal(repr(Z_99 * sqrt(max(variance, 0.0)))).quantize(Decimal("0.01"))
