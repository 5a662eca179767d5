"""The formulas of the field: sizing, metrics of returns, what many trials do to the best of them."""
