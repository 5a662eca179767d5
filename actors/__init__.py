"""Thin Ray shells around plain classes. `wiring.py` is the only place that makes them actors."""
