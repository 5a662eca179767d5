"""Chaos: the real processes of a live fund, killed and stopped under load, judged by the venue's own log."""
