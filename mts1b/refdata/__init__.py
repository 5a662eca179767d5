"""What risk goes by, stored with a version: who set a fund's limits or loaded master data, when, why.

Versions are added, never changed.
"""

from mts1b.refdata.limits import StoredLimits, changed, complete, document
from mts1b.refdata.master_store import MasterStore
from mts1b.refdata.store import MIGRATIONS, LimitsStore

__all__ = ["MIGRATIONS", "LimitsStore", "MasterStore", "StoredLimits", "changed", "complete", "document"]
