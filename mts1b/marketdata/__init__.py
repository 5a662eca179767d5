"""Market data as it is delivered: from a provider, or replayed from the lake."""
