"""What a report shows, as plain values. Every section may be left out; the page then has no such section.

Times are UTC nanoseconds. Sharpe ratios are annual. Fractions are fractions (0.1 is 10 %). Money
and prices are floats here: a report is looked at, never traded on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mts1b.foundation.errors import InputError
from mts1b.research.accounting import Accounting

Floats = NDArray[np.float64]
Times = NDArray[np.int64]

SURVIVORSHIP = (
    "The universe is survivorship-biased: it holds only names that were still listed years after the period ends, "
    "chosen by later trading volume. Results on it are better than anyone could have had."
)
ADJUSTED = (
    "Prices are adjusted for splits and dividends with factors known only later. Returns are right, but price levels, "
    "share counts and anything that depends on a price's level are not those of the day."
)
PAPER = (
    "Paper fills take no part of the market's volume and move no price: they are at the replayed opening price, plus "
    "the costs stated."
)


@dataclass(frozen=True, slots=True)
class SweepFigures:
    """A sweep and its winner. `params` are the winner's; `sharpe_by_luck` is the best of as many worthless trials.

    `deflated_sharpe`: the probability that the winner is better than that luck. `costs`, `data`, `code` say in words
    or by version what made the figures.
    """

    strategy: str
    formula: str
    params: Mapping[str, float]
    trials: int
    symbols: int
    bars: int
    seconds: float
    sharpe: float
    deflated_sharpe: float
    sharpe_by_luck: float
    costs: str
    data: str
    code: str


@dataclass(frozen=True, slots=True)
class Curves:
    """Net returns a bar of the winner and of holding every name: [T] each, over `ts_ns` [T]."""

    ts_ns: Times
    winner: Floats
    buy_and_hold: Floats

    def __post_init__(self) -> None:
        _same_length("curves", self.ts_ns, self.winner, self.buy_and_hold)


@dataclass(frozen=True, slots=True)
class TopCurves:
    """Worth of 1 after each bar of the best combinations, best first: `worth` [K, T] over `ts_ns` [T], K `labels`."""

    ts_ns: Times
    worth: Floats
    labels: Sequence[str]

    def __post_init__(self) -> None:
        wanted = (len(self.labels), len(self.ts_ns))
        if self.worth.shape != wanted:
            raise InputError("worth", self.worth.shape, "is not [labels, ts_ns]", f"give {wanted}")


@dataclass(frozen=True, slots=True)
class GridMap:
    """Sharpe over two parameters: `sharpe` [len(ys), len(xs)], NaN where not run; `best` is the winner's (x, y).

    With more than two parameters, `held` says what the others were.
    """

    x_name: str
    xs: Floats
    y_name: str
    ys: Floats
    sharpe: Floats
    best: tuple[float, float]
    held: Mapping[str, float]

    def __post_init__(self) -> None:
        if self.sharpe.shape != (len(self.ys), len(self.xs)):
            raise InputError("sharpe", self.sharpe.shape, "is not [ys, xs]", f"give {(len(self.ys), len(self.xs))}")


@dataclass(frozen=True, slots=True)
class FoldRow:
    """One walk-forward fold: first and last session (ISO dates) of each window, the choice, and its Sharpe in both."""

    train_dates: tuple[str, str]
    test_dates: tuple[str, str]
    params: Mapping[str, float]
    train_sharpe: float
    test_sharpe: float


@dataclass(frozen=True, slots=True)
class SymbolFills:
    """One name in the paper session: closes [T] over `ts_ns` [T], and its fills [F], `quantity` signed shares."""

    symbol: str
    ts_ns: Times
    close: Floats
    fill_ts_ns: Times
    fill_price: Floats
    fill_quantity: Floats

    def __post_init__(self) -> None:
        _same_length("close", self.ts_ns, self.close)
        _same_length("fills", self.fill_ts_ns, self.fill_price, self.fill_quantity)


@dataclass(frozen=True, slots=True)
class PaperSession:
    """The paper session: worth `nav` [T] at each close over `ts_ns` [T], from `nav_start`, counts, and the names shown.

    `refusals` counts by gate number, 1 to 7; a gate left out refused none. `audit_links`: links of the verified chain.
    """

    ts_ns: Times
    nav: Floats
    nav_start: float
    sessions: int
    orders: int
    fills: int
    fees: float
    refusals: Mapping[int, int]
    audit_links: int
    symbols: Sequence[SymbolFills] = ()

    def __post_init__(self) -> None:
        _same_length("nav", self.ts_ns, self.nav)


@dataclass(frozen=True, slots=True)
class LatencyRow:
    """One step of the hot path: percentiles of its duration and its target, in ms. `target_ms` None: none is set.

    A step that never ran has count 0 and NaN times. One whose name begins with `Total` is the headline.
    """

    step: str
    count: int
    p50_ms: float
    p99_ms: float
    target_ms: float | None = None

    @property
    def within(self) -> bool | None:
        """Whether p99 meets the target; None without a target or a measurement."""
        return None if self.target_ms is None or not self.count else self.p99_ms <= self.target_ms


@dataclass(frozen=True, slots=True)
class ReportData:
    """One report. `made_ns` is when it was made; `warnings` are shown in full, above the figures."""

    title: str
    made_ns: int
    sweep: SweepFigures | None = None
    accounting: Accounting | None = None
    curves: Curves | None = None
    top: TopCurves | None = None
    grid: GridMap | None = None
    folds: Sequence[FoldRow] = ()
    out_of_sample_sharpe: float | None = None
    paper: PaperSession | None = None
    latency: Sequence[LatencyRow] = ()
    warnings: Sequence[str] = (SURVIVORSHIP, ADJUSTED, PAPER)


def _same_length(field: str, *columns: NDArray[np.generic]) -> None:
    lengths = [len(column) for column in columns]
    if len(set(lengths)) > 1:
        raise InputError(field, lengths, "columns of different lengths", "give one value for each time")
