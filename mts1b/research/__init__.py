"""Grids, the streaming ladder over them, walk-forward validation, and where results are kept."""
