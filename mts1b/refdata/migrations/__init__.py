"""Numbered migrations of reference data, applied in order by `mts1b.platform.db.migrate`."""
