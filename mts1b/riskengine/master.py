"""Master data as the gates read them: held in memory, replaced as a whole, never fetched while an order waits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from mts1b.foundation.ids import Symbol
from mts1b.foundation.instrument import ALWAYS, Instrument, Session
from mts1b.riskengine.limits import RiskLimits


@dataclass(frozen=True, slots=True)
class Borrow:
    """What can be borrowed of one name: shares, what it costs a year as a fraction, how many are located for the fund.

    `located` None: the name needs no locate. `is_restricted`: a short-sale restriction (Regulation SHO, rule 201) is
    on: it may be sold short only above the best bid.
    """

    quantity: Decimal
    rate: Decimal
    located: Decimal | None = None
    is_restricted: bool = False


@dataclass(frozen=True, slots=True)
class MasterData:
    """Instruments, their sessions, and average daily volume in shares. What a name lacks here, the gates refuse."""

    instruments: Mapping[Symbol, Instrument] = field(default_factory=dict)
    adv: Mapping[Symbol, Decimal] = field(default_factory=dict)
    sessions: Mapping[str, Session] = field(default_factory=lambda: {ALWAYS.name: ALWAYS})

    @classmethod
    def of(
        cls,
        instruments: Iterable[Instrument],
        adv: Mapping[Symbol, Decimal] | None = None,
        sessions: Iterable[Session] = (),
    ) -> MasterData:
        """From rows; the session `always` is there without being named."""
        named = {session.name: session for session in (ALWAYS, *sessions)}
        return cls({item.symbol: item for item in instruments}, dict(adv or {}), named)


@dataclass(frozen=True, slots=True)
class Reference:
    """All that risk goes by and did not happen to the fund: limits with their version, master data, what can be
    borrowed as known at `borrow_ns`. A newer one takes its place between two orders.

    `versions`: of the stored tables that master data and borrow are out of; none of what was handed in.
    """

    limits: RiskLimits
    limits_version: int = 0
    master: MasterData = field(default_factory=MasterData)
    borrow: Mapping[Symbol, Borrow] = field(default_factory=dict)
    borrow_ns: int | None = None
    versions: Mapping[str, int] = field(default_factory=dict)
