"""MTS1B: one strategy definition, swept, validated, paper-traded and traded live on Ray."""

__version__ = "0.1.0"
