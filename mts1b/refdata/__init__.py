"""What risk goes by, stored with a version: who set a fund's limits or loaded master data, when, why.

Versions are added, never changed. The stores, which bring Postgres along, are `store` and `master_store`.
"""

from mts1b.refdata.limits import StoredLimits, changed, complete, document

__all__ = ["StoredLimits", "changed", "complete", "document"]
