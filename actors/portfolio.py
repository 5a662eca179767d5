"""From targets to orders: how many whole shares each target means, and what to trade to hold them. Pure, exact."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_DOWN, Decimal
from math import isfinite

from mts1b.foundation.commands import SubmitOrder
from mts1b.foundation.ids import FundId, StrategyId, Symbol, idempotency_key
from mts1b.foundation.order import Side

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Holdings:
    """What a fund is worth and holds. `working`: signed shares of orders that may still fill."""

    nav: Decimal
    positions: Mapping[Symbol, Decimal]
    working: Mapping[Symbol, Decimal] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Mandate:
    """For whom orders are made, and the lot they come in, in shares."""

    fund_id: FundId
    strategy_id: StrategyId
    lot: Decimal = Decimal(1)


def target_shares(target: float, nav: Decimal, names: int, close: Decimal, lot: Decimal) -> Decimal:
    """Signed shares of a target: `target` times the name's equal share of NAV, cut towards zero to the lot.

    The target is taken at its shortest decimal text, so that 0.1 means a tenth. A target that is not finite, and a NAV
    or a price that is not positive, mean none.
    """
    if not isfinite(target) or nav <= 0 or close <= 0:
        return ZERO
    worth = Decimal(repr(float(target))) * nav / names
    return (worth / close / lot).to_integral_value(ROUND_DOWN) * lot


def rebalance(
    mandate: Mandate,
    symbols: Sequence[Symbol],
    targets: Sequence[float],
    closes: Mapping[Symbol, Decimal],
    holdings: Holdings,
    decided_ns: int,
) -> tuple[SubmitOrder, ...]:
    """Orders for the next opening that bring the fund to its targets, decided on the bar `decided_ns`.

    `targets` [S] in the order of `symbols`. Sells come first, since they free what buys need; then by symbol. A name
    without a close at this bar is left alone: it can be neither sized nor valued.
    """
    orders = list(_orders(mandate, symbols, targets, closes, holdings, decided_ns))
    return tuple(sorted(orders, key=lambda order: (order.side is Side.BUY, order.symbol)))


def _orders(
    mandate: Mandate,
    symbols: Sequence[Symbol],
    targets: Sequence[float],
    closes: Mapping[Symbol, Decimal],
    holdings: Holdings,
    decided_ns: int,
) -> Iterator[SubmitOrder]:
    for symbol, target in zip(symbols, targets, strict=True):
        close = closes.get(symbol)
        if close is None:
            continue
        wanted = target_shares(target, holdings.nav, len(symbols), close, mandate.lot)
        change = wanted - holdings.positions.get(symbol, ZERO) - holdings.working.get(symbol, ZERO)
        if change == 0:
            continue
        yield SubmitOrder(
            idempotency_key=idempotency_key(mandate.fund_id, mandate.strategy_id, symbol, decided_ns),
            fund_id=mandate.fund_id,
            strategy_id=mandate.strategy_id,
            symbol=symbol,
            side=Side.BUY if change > 0 else Side.SELL,
            quantity=abs(change),
            reference_price=close,
            decided_ns=decided_ns,
        )
