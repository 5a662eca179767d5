"""From targets to orders: what a row of decisions asks for, cut down to what the account and the bar can bear."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mts1b.backtester.account import Account
from mts1b.backtester.costs import commission, most_shares, slippage
from mts1b.backtester.holdings import BAND_MIN
from mts1b.backtester.ledger import Ledger

Floats = NDArray[np.float64]
Truths = NDArray[np.bool_]

FITTING_ROUNDS = 12
"""Rounds of scaling orders down; each leaves an excess smaller by the costs' share of a trade. Then they lapse."""

TOLERANCE = 1e-9
"""Excess over the leverage limit, as a fraction of NAV, that counts as rounding."""


@dataclass(frozen=True, slots=True)
class Market:
    """What one bar offers, rows [S]: fill prices, whether a name trades, and what is known about its liquidity.

    `volume` is the bar's own; `mean_volume` and `volatility` are of the bars up to the decision.
    """

    price: Floats
    tradable: Truths
    volume: Floats
    mean_volume: Floats
    volatility: Floats


@dataclass(frozen=True, slots=True)
class Orders:
    """Signed shares [S], their costs in money [S], and which names could not get all they asked for [S]."""

    shares: Floats
    costs: Floats
    unfinished: Truths


def decide_orders(
    targets: Floats, changed: Truths, ledger: Ledger, market: Market, account: Account, unfinished: Truths
) -> Orders:
    """Orders that bring holdings to `targets` [S], fractions of each name's equal share of NAV at the fill prices.

    `changed` [S]: names with another target than before, which trade whatever the band says, as do those that are
    `unfinished` [S]: whose last order was cut by the volume.
    """
    marks = np.where(market.tradable, market.price, ledger.last)
    share = np.maximum(ledger.nav(marks), 0.0) / (1 if ledger.sleeves else len(targets))
    price = np.where(market.tradable, market.price, 1.0)
    wanted = share * targets / price
    if account.whole_shares:
        wanted = np.trunc(wanted)
    moved = changed | unfinished | _drifted(targets, share, ledger, marks, account.band)
    orders = np.where(moved, wanted - ledger.quantity, 0.0)
    orders[~market.tradable] = 0.0
    most = most_shares(market.volume, account)
    cut = np.abs(orders) > most
    orders = np.clip(orders, -most, most)
    orders, costs = _fitted(orders, ledger, marks, market, account)
    waiting = np.where(market.tradable, cut, unfinished)
    return Orders(orders, costs, waiting)


def order_costs(orders: Floats, market: Market, account: Account) -> Floats:
    """Commission and slippage of each order [S], in money."""
    quantity = np.abs(orders)
    price = np.where(quantity > 0.0, market.price, 0.0)
    slipped = slippage(quantity, price, account, market.mean_volume, market.volatility)
    return commission(quantity, price, account) + slipped * quantity * price


def _drifted(targets: Floats, share: Floats, ledger: Ledger, marks: Floats, band: float) -> Truths:
    """Names on another side than their target (one that was closed for them), or further from it than the band."""
    turned = np.sign(targets) != np.sign(ledger.quantity)
    if band == np.inf:
        return turned
    return turned | (np.abs(ledger.value(marks) - share * targets) > max(band, BAND_MIN) * share)


def _fitted(orders: Floats, ledger: Ledger, marks: Floats, market: Market, account: Account) -> tuple[Floats, Floats]:
    """Orders and their costs, what opens scaled down until gross exposure is within the limit once all is paid."""
    costs = order_costs(orders, market, account)
    if account.leverage_max == np.inf:
        return orders, costs
    nav = ledger.nav(marks)
    held = ledger.quantity
    for round_ in range(FITTING_ROUNDS):
        after = held + orders
        gross = ledger.total(np.where(after != 0.0, np.abs(after) * marks, 0.0))
        room = np.maximum(nav - ledger.total(costs), 0.0)
        excess = gross - account.leverage_max * room
        over = excess > TOLERANCE * np.maximum(nav, 0.0)
        if not over.any():
            break
        closing = np.where(held * orders < 0.0, np.minimum(np.abs(orders), np.abs(held)), 0.0)
        opening = np.abs(orders) - closing
        money = ledger.total(np.where(opening > 0.0, opening * marks, 0.0))
        if not (over & (money > 0.0)).any():
            break
        keep = np.where(over, 1.0 - excess / np.where(money > 0.0, money, 1.0), 1.0)
        keep = np.clip(keep, 0.0, 1.0) if round_ < FITTING_ROUNDS - 1 else np.where(over, 0.0, 1.0)
        opening = opening * keep
        if account.whole_shares:
            opening = np.floor(opening)
        orders = np.sign(orders) * (closing + opening)
        costs = order_costs(orders, market, account)
    return orders, costs
