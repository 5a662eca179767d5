"""One combination over a history that is never held: bars go by in order, a few numbers for each name stay.

The result is that of `evaluate` on a panel of the same bars: the same decisions, the same accounting, returns added up
over names in another, but fixed, order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from mts1b.backtester.collect import summary_filler
from mts1b.backtester.evaluation import METRICS, RETURN_METRICS, check_finite
from mts1b.backtester.execution import Execution
from mts1b.backtester.stream_kernel import BOOK, TARGET, compares_names, stream_kernel
from mts1b.backtester.summary import BARS_PER_YEAR, SPREAD_MIN, SUMMARY_ROWS
from mts1b.foundation.errors import InputError
from mts1b.strategy.definition import Strategy, Values
from mts1b.strategy.ops import Kind
from mts1b.strategy.panel import SECTOR, sector_codes
from mts1b.strategy.program import FIELD_KEYS, Progress, program_of
from mts1b.strategy.scalars import scalar_value

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]


class Stream:
    """One set of parameter values on its way through the bars of `symbols`.

    `advance` takes consecutive stretches of the history, for some of the names at a time, or for all of them where
    `together` says that they are compared; calls for different names may run at once (the kernel lets go of Python's
    lock). `fields` are the bars it reads, the open and close it trades and counts at among them. InputError for an
    execution of more than costs in basis points.
    """

    def __init__(
        self,
        strategy: Strategy,
        values: Values,
        symbols: Sequence[str],
        execution: Execution,
        sectors: Sequence[str] = (),
    ) -> None:
        if not execution.is_plain:
            problem = "a stream trades at the next open and pays costs in basis points, nothing else"
            raise InputError("execution", execution, problem, "use a sweep of one combination")
        self.strategy, self.values, self.names = strategy, strategy.resolve(values), len(symbols)
        self.execution = execution
        self.together = compares_names(strategy.root)
        program = program_of(strategy.root)
        units = (*program.units, program.decide)
        nodes = {n.key: str(n.value) for unit in units for n in unit.reads if n.spec.kind is Kind.FIELD}
        self._sectors = sector_codes(tuple(sectors))[:, None] if SECTOR in nodes.values() else None
        self.fields = tuple(dict.fromkeys(("open", "close", *(f for f in nodes.values() if f != SECTOR))))
        self._progress = Progress(program, self.values, self.names) if self.together else None
        self._kernel = stream_kernel(TARGET if self.together else strategy.root)
        self._takes = [float(scalar_value(node, self.values, self.names)) for node in self._kernel.takes]
        self._memory = [unit.new_state(self.values, self.names) for unit in self._kernel.units]
        self._book = np.zeros((self.names, len(BOOK)))
        self._book[:, [BOOK.index("last_close"), BOOK.index("last_open")]] = np.nan
        self._book[:, BOOK.index("seen")] = 1.0

    def advance(self, which: Numbers, bars: Mapping[str, Floats]) -> Floats:
        """The sum over the names `which` [G] (row numbers in `symbols`) of their returns in these bars, [T].

        `bars[field]` is [G, T], each of `fields`, NaN where a name has no bar; prices above 0.
        """
        earned = np.zeros(bars["close"].shape[1])
        tables = {FIELD_KEYS[name]: bars[name] for name in self.fields}
        if self._sectors is not None:
            tables[FIELD_KEYS[SECTOR]] = np.array(np.broadcast_to(self._sectors[which], bars["close"].shape))
        if self._progress is not None:
            tables[TARGET.key] = self._progress.advance(tables)
        reads = (tables[node.key] for node in self._kernel.reads)
        self._kernel.run(
            *reads,
            bars["open"],
            bars["close"],
            which,
            *self._memory,
            *self._takes,
            self._book,
            self.execution.cost,
            earned,
        )
        return earned

    def metrics(self, returns: Floats) -> dict[str, float]:
        """Every one of METRICS. `returns` [T]: the sums over all names that `advance` gave, for the whole history.

        InputError when the history is shorter than a window, or weights were not finite.
        """
        self.strategy.check_history(self.values, len(returns))
        traded, changed, gross = (float(self._book[:, BOOK.index(name)].sum()) for name in BOOK[-3:])
        chosen = {name: np.array([value]) for name, value in self.values.items()}
        check_finite(self.strategy.name, chosen, np.isfinite([gross]))
        summary = np.empty((SUMMARY_ROWS, 1))
        column = (returns / self.names).reshape(-1, 1)
        summary_filler()(column, 0, len(returns), float(BARS_PER_YEAR), SPREAD_MIN, summary)
        found = dict(zip(RETURN_METRICS, summary[:, 0].tolist(), strict=True)) | {
            "turnover": traded / self.names / len(returns) * BARS_PER_YEAR,
            "trades": changed,
            "exposure": gross / self.names / len(returns),
            "costs": traded / self.names * self.execution.cost,
        }
        return {name: found[name] for name in METRICS}
