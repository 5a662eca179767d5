"""Pre-trade risk: gates 1 to 6 as pure functions, the chain that runs them, the state they read."""

from mts1b.riskengine.limits import RiskLimits
from mts1b.riskengine.service import RiskService
from mts1b.riskengine.state import Borrow, RiskSnapshot
from mts1b.riskengine.verdict import ACCEPTED, Accepted, Decision, Mode, Refused, Verdict

__all__ = [
    "ACCEPTED",
    "Accepted",
    "Borrow",
    "Decision",
    "Mode",
    "Refused",
    "RiskLimits",
    "RiskService",
    "RiskSnapshot",
    "Verdict",
]
