"""Names, their totals and money: the part of risk's state that positions, working orders and prices make up."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeVar

from mts1b.foundation.changing import changed
from mts1b.foundation.events import CashMoved, SharesSplit
from mts1b.foundation.fill import Fill
from mts1b.foundation.ids import IdempotencyKey, OrderId, StrategyId, Symbol
from mts1b.foundation.instrument import BASE_CURRENCY
from mts1b.foundation.order import Side
from mts1b.riskengine.covariance import Covariance
from mts1b.riskengine.exposure import EMPTY, ONE, ZERO, Name, Totals
from mts1b.riskengine.master import MasterData

K = TypeVar("K", IdempotencyKey, OrderId)


@dataclass(frozen=True, slots=True)
class Working:
    """The open part of an order, in unsigned shares. `limit_price` None: it takes any price; `stop_price`: it is not in
    the market before that; `sized_price`: what a share was expected to cost. `has_traded`: some of it was filled."""

    symbol: Symbol
    side: Side
    quantity: Decimal
    limit_price: Decimal | None
    stop_price: Decimal | None
    sized_price: Decimal
    strategy_id: StrategyId
    has_traded: bool = False


@dataclass(frozen=True, slots=True)
class Quoted:
    """A price, in the name's currency, with the market's time of it and the time it came here."""

    price: Decimal
    ts_ns: int
    received_ns: int


class Positions:
    """What a fund holds, works and is worth. One owner changes it in place; totals are kept as it goes."""

    def __init__(self) -> None:
        self.currency = BASE_CURRENCY
        self.cash = ZERO
        self.foreign: dict[str, Decimal] = {}
        self.names: dict[Symbol, Name] = {}
        self.totals = Totals()
        self.sectors: dict[str, Decimal] = {}
        self.unmarked: set[Symbol] = set()
        self.uncovered: set[Symbol] = set()
        self.quoted: dict[Symbol, Quoted] = {}
        self.market_ns = 0
        self.master = MasterData()
        self.covariance: Covariance | None = None
        self._currencies: set[str] = set()
        self._at_work: dict[Symbol, dict[IdempotencyKey | OrderId, Working]] = {}
        self._splits: dict[Symbol, list[SharesSplit]] = {}

    @property
    def worth(self) -> Decimal | None:
        """Cash and the shares held at the marks; None with a name unmarked or a currency without a rate."""
        if self.unmarked:
            return None
        worth = self.cash + self.totals.held
        for currency, amount in self.foreign.items():
            rate = self.rate(currency)
            if amount and rate is None:
                return None
            worth += amount * (rate or ZERO)
        return worth

    @property
    def all_cash(self) -> Decimal:
        """Cash of every currency in the fund's own; what has no rate counts nothing when owned, and bars NAV."""
        return self.cash + sum((amount * (self.rate(c) or ZERO) for c, amount in self.foreign.items()), ZERO)

    def name(self, symbol: Symbol) -> Name:
        return self.names.get(symbol) or self._fresh(symbol)

    def sector(self, symbol: Symbol) -> str:
        """The name's sector, "" when none is known: those together count as one."""
        instrument = self.master.instruments.get(symbol)
        return "" if instrument is None else instrument.sector

    def rate(self, currency: str) -> Decimal | None:
        """The fund's currency for one of `currency`, from the mark of the pair; None without one."""
        if currency in (self.currency, ""):
            return ONE
        found = self.quoted.get(fx_pair(currency, self.currency))
        return None if found is None else found.price

    def at_work(self, symbol: Symbol) -> Iterator[Working]:
        """The open orders of a name."""
        return iter(self._at_work.get(symbol, {}).values())

    def hold(self, symbol: Symbol, quantity: Decimal) -> None:
        """Set the signed shares held."""
        self._set(symbol, changed(self.name(symbol), held=quantity))

    def quote(self, prices: Mapping[Symbol, Decimal], ts_ns: int, received_ns: int) -> None:
        """Take prices, pairs of currencies among them; totals follow. `reload_covariance` when done."""
        self.market_ns = max(self.market_ns, ts_ns)
        for symbol, price in prices.items():
            self.quoted[symbol] = Quoted(price, ts_ns, received_ns)
            self._set(symbol, changed(self.name(symbol), price=price))
        if any(fx_base(symbol, self.currency) in self._currencies for symbol in prices):
            self._recount()

    def filled(self, fill: Fill) -> None:
        """Shares and cash of one fill, in the shares of today."""
        self.pay(fill.currency, fill.cash_change)
        for split in self._splits.get(fill.symbol, ()):
            if fill.ts_ns < split.ts_ns:
                fill = fill.in_shares_after(split.numerator, split.denominator)
        name = self.name(fill.symbol)
        self._set(fill.symbol, changed(name, held=name.held + fill.side.sign * fill.quantity))

    def pay(self, currency: str, amount: Decimal) -> None:
        """Cash of one currency changes."""
        if currency in (self.currency, ""):
            self.cash += amount
        else:
            self.foreign[currency] = self.foreign.get(currency, ZERO) + amount
            self._currencies.add(currency)

    def moved(self, event: CashMoved) -> None:
        self.pay(event.currency, event.amount)

    def split(self, event: SharesSplit) -> None:
        """Shares and price after a split; fills from before it are counted in the new shares from now on."""
        self.remember_split(event)
        self.pay(event.currency, event.cash)
        name, quoted = self.name(event.symbol), self.quoted.get(event.symbol)
        if quoted is not None:
            price = quoted.price * event.denominator / event.numerator
            self.quoted[event.symbol] = changed(quoted, price=price)
            name = changed(name, price=price)
        self._set(event.symbol, changed(name, held=event.quantity))

    def remember_split(self, event: SharesSplit) -> None:
        self._splits.setdefault(event.symbol, []).append(event)

    def work(self, table: dict[K, Working], key: K, now: Working | None) -> None:
        """Set the open part of one order; None when it has none."""
        before = table.pop(key, None)
        if before is not None:
            del self._at_work[before.symbol][key]
        if now is not None:
            table[key] = now
            self._at_work.setdefault(now.symbol, {})[key] = now
        self._exchange(before, now)

    def received(
        self,
        reserved: dict[IdempotencyKey, Working],
        key: IdempotencyKey,
        table: dict[OrderId, Working],
        order_id: OrderId,
        now: Working,
    ) -> None:
        """What was reserved under its key is open as an order: the same shares, so that mostly nothing is added up."""
        self.work(table, order_id, None)
        before = reserved.pop(key, None)
        if before is not None:
            del self._at_work[before.symbol][key]
        table[order_id] = now
        self._at_work.setdefault(now.symbol, {})[order_id] = now
        self._exchange(before, now)

    def _exchange(self, before: Working | None, now: Working | None) -> None:
        """Exposure after one open part took the other's place."""
        if before == now:
            return
        if before is not None and now is not None and before.symbol == now.symbol:
            self._set(now.symbol, _with(_with(self.name(now.symbol), before, -1), now, 1))
            return
        for sign, part in ((-1, before), (1, now)):
            if part is not None:
                self._set(part.symbol, _with(self.name(part.symbol), part, sign))

    def set_master(self, master: MasterData) -> None:
        """New master data: currencies, sectors and margins of every name are looked up again."""
        self.master = master
        self._currencies = {item.currency for item in master.instruments.values()} | set(self.foreign)
        self._recount()
        self.reload_covariance()

    def set_covariance(self, covariance: Covariance | None) -> None:
        self.covariance = covariance
        self._recount()
        self.reload_covariance()

    def reload_covariance(self) -> None:
        """Start the running product of exposures and covariance anew: what a long sum rounds off is gone."""
        if self.covariance is not None:
            self.covariance.load({s: _exposure(name) for s, name in self.names.items() if not name.is_idle})

    def _fresh(self, symbol: Symbol) -> Name:
        instrument = self.master.instruments.get(symbol)
        if instrument is None:
            return EMPTY
        return Name(rate=self.rate(instrument.currency), margin_rate=instrument.margin_rate)

    def _set(self, symbol: Symbol, name: Name) -> None:
        old = self.name(symbol)
        self.totals = self.totals.exchange(old, name)
        sector = self.sector(symbol)
        change = name.widest * (name.mark or ZERO) - old.widest * (old.mark or ZERO)
        if change:
            self.sectors[sector] = self.sectors.get(sector, ZERO) + change
        self.names[symbol] = name
        _mark_in(self.unmarked, symbol, name.mark is None and not name.is_idle)
        if self.covariance is not None:
            self.covariance.move(symbol, _exposure(name))
            _mark_in(self.uncovered, symbol, symbol not in self.covariance and not name.is_idle)

    def _recount(self) -> None:
        names, self.names = self.names, {}
        self.totals, self.sectors = Totals(), {}
        self.unmarked, self.uncovered = set(), set()
        for symbol, name in names.items():
            fresh = self._fresh(symbol)
            self._set(symbol, changed(name, rate=fresh.rate, margin_rate=fresh.margin_rate))


def fx_pair(currency: str, base: str) -> Symbol:
    """What a rate is quoted under: `EUR/USD` is dollars for one euro."""
    return Symbol(f"{currency}/{base}")


def fx_base(symbol: Symbol, base: str) -> str | None:
    """The currency that a symbol quotes in `base`; None when it is no such pair."""
    currency, slash, quoted_in = symbol.partition("/")
    return currency if slash and quoted_in == base else None


def _with(name: Name, part: Working, sign: int) -> Name:
    """`name` with one more open order, or with one less."""
    change = sign * part.quantity
    if part.side is Side.SELL:
        return changed(name, sells=name.sells + change)
    if part.limit_price is not None:
        return changed(name, buys=name.buys + change, bounded=name.bounded + change * part.limit_price)
    return changed(name, buys=name.buys + change, unbounded=name.unbounded + change * part.sized_price)


def with_working(name: Name, parts: Iterable[Working]) -> Name:
    """`name` with these open orders more."""
    for part in parts:
        name = _with(name, part, 1)
    return name


def _exposure(name: Name) -> Decimal:
    """Signed money, were all open orders filled."""
    return (name.held + name.buys - name.sells) * (name.mark or ZERO)


def _mark_in(names: set[Symbol], symbol: Symbol, belongs: bool) -> None:
    if belongs:
        names.add(symbol)
    else:
        names.discard(symbol)
