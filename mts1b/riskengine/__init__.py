"""Pre-trade risk: gates 1 to 6 as pure functions, the chain that runs them, the state they read."""

from mts1b.riskengine.limits import RiskLimits
from mts1b.riskengine.master import Borrow, MasterData, Reference
from mts1b.riskengine.service import RiskService
from mts1b.riskengine.snapshot import RiskSnapshot
from mts1b.riskengine.verdict import ACCEPTED, Accepted, Decision, Mode, Refused, Standing, Verdict

__all__ = [
    "ACCEPTED",
    "Accepted",
    "Borrow",
    "Decision",
    "MasterData",
    "Mode",
    "Reference",
    "Refused",
    "RiskLimits",
    "RiskService",
    "RiskSnapshot",
    "Standing",
    "Verdict",
]
