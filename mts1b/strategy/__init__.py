"""The language: one definition of a strategy for every use."""
