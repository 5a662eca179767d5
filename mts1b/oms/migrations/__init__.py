"""Numbered migrations of the trading database, applied in order by `mts1b.platform.db.migrate`."""
