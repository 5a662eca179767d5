"""What a strategy is: a name, its parameters with their bounds, and one expression."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mts1b.foundation.errors import InputError, unknown_name
from mts1b.foundation.ids import digest
from mts1b.strategy.checks import check_definition, check_scalars
from mts1b.strategy.describe import describe
from mts1b.strategy.expr import Node, lift
from mts1b.strategy.ops import Kind
from mts1b.strategy.panel import Panel
from mts1b.strategy.parameters import Param
from mts1b.strategy.scalars import scalar_value
from mts1b.strategy.stepper import Stepper

Floats = NDArray[np.float64]
Values = Mapping[str, Any]
"""Parameter values by name: numbers, or arrays with one entry for each combination."""


@dataclass(frozen=True)
class Strategy:
    """One definition for every use. Plain data: picklable, comparable, hashed alike in every process.

    The value of `root` at the close of a bar is the target: the fraction of the name's equal share of NAV to hold
    from the next open on (1.0 in each of S names is fully invested). Not known (NaN) is 0.
    """

    name: str
    params: Mapping[str, Param]
    root: Node
    summary: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "params", MappingProxyType(dict(self.params)))

    def __reduce__(self) -> tuple[Any, ...]:
        return Strategy, (self.name, dict(self.params), self.root, self.summary)

    def __hash__(self) -> int:
        return hash(self.hash)

    @property
    def hash(self) -> str:
        """Digest of the expression, the names of its parameters and their bounds; not of the strategy's name."""
        return digest("strategy", self.root.key, *(f"{name}={bound}" for name, bound in self.params.items()))

    def resolve(self, values: Values) -> dict[str, float]:
        """One value for each parameter, defaults filled in, checked. InputError for what is unknown or out of range."""
        for name in values:
            if name not in self.params:
                raise unknown_name(f"{self.name} parameter", name, self.params)
        chosen = {
            name: float(bound.check(name, values.get(name, bound.default))) for name, bound in self.params.items()
        }
        check_scalars(self.root, chosen)
        return chosen

    def check_combos(self, combos: Values) -> dict[str, NDArray[np.float64]]:
        """Arrays [C] for every parameter, in the strategy's order, checked; parameters not named keep their default."""
        for name in combos:
            if name not in self.params:
                raise unknown_name(f"{self.name} parameter", name, self.params)
        sizes = {len(np.atleast_1d(values)) for values in combos.values()} or {1}
        if len(sizes) > 1 or sizes == {0}:
            raise InputError("combos", sorted(sizes), "every parameter needs the same number of values", "align them")
        count = sizes.pop()
        columns = {
            name: np.ascontiguousarray(np.broadcast_to(bound.check(name, combos.get(name, bound.default)), (count,)))
            for name, bound in self.params.items()
        }
        check_scalars(self.root, columns)
        return columns

    def lookback(self, values: Values, names: int = 1) -> Any:
        """Bars of a name before its first target: an int, or an array when `values` are arrays.

        Exponential averages and latches remember longer than this; it is when the first value appears.
        """
        return _lookback(self.root, values, names)

    def stepper(self, values: Values, symbols: Sequence[str], sectors: Sequence[str] = ()) -> Stepper:
        """The live form: `.warm(panel)`, then `.step(open, high, low, close, volume)` of rows [S] -> targets [S].

        `sectors` [S] where the strategy reads them.
        """
        return Stepper(self.root, self.resolve(values), symbols, sectors)

    def step(self, state: Stepper, bars: Floats) -> tuple[Floats, Stepper]:
        """Take in one bar of every name: `bars` [5, S], open to volume (a sixth row: vwap), NaN where there is none.

        The targets [S] decided on its close, and the state for the next bar: the one given, moved on. Begin with
        `stepper(values, symbols)`, warmed with the history.
        """
        return state.step(*bars), state

    def check_fields(self, panel: Panel) -> None:
        """InputError for a field that the strategy reads and the panel does not have: vwap, sectors."""
        for node in self.root.walk():
            if node.spec.kind is Kind.FIELD:
                panel.field(str(node.value))

    def check_history(self, values: Values, bars: int) -> None:
        """InputError, naming parameter, value and need, when the first target would come after the last of `bars`."""
        need = np.asarray(self.lookback(values))
        if not bool(np.any(need >= bars)):
            return
        worst = int(np.argmax(need))
        node = max(
            (node for node in self.root.walk() if node.spec.window >= 0 and node.spec.kind is Kind.SERIES),
            key=lambda node: np.max(np.asarray(node.spec.warm(*_scalars(node, values, 1)))),
        )
        window = node.args[node.spec.inputs + node.spec.window]
        field = ", ".join(sorted(window.parameters)) or str(node)
        chosen = np.broadcast_to(np.asarray(scalar_value(window, values, 1)), need.shape or (1,))
        raise InputError(
            field,
            float(chosen.flat[worst if need.shape else 0]),
            f"window longer than history: {self.name} needs {int(need.flat[worst]) + 1} bars, there are {bars}",
            "lower it or give a longer date range",
        )

    def describe(self) -> str:
        """The definition in words: target, parameters, nodes, what combinations share, look-back at the defaults."""
        lines = [f"{self.name}: {self.summary or 'no summary'}", f"  target    {self.root}", f"  hash      {self.hash}"]
        lines += describe(self.root, self.params)
        lines.append(f"  look-back {int(self.lookback(self.resolve({})))} bars at the defaults")
        return "\n".join(lines)


def strategy(definition: Callable[..., Any]) -> Strategy:
    """Turn a function of parameters into a Strategy: `@strategy def name(fast=param(5, 255), ...): return expression`.

    InputError, naming the argument or the node, when an argument has no `param(...)`, is not used, or the expression
    is wrong.
    """
    name = definition.__name__
    bounds: dict[str, Param] = {}
    for argument in inspect.signature(definition).parameters.values():
        if not isinstance(argument.default, Param):
            raise InputError(f"{name}.{argument.name}", argument.default, "must be param(low, high)", "give its bounds")
        bounds[argument.name] = argument.default
    root = lift(definition(**{key: Node("param", (), key) for key in bounds}))
    if not root.is_series:
        raise InputError(name, str(root), "does not look at any bar", "use open, high, low, close or volume")
    unused = [key for key in bounds if key not in root.parameters]
    if unused:
        raise InputError(f"{name}.{unused[0]}", unused[0], "no node uses this parameter", "use it or remove it")
    check_definition(root, bounds)
    summary = re.split(r"\n\s*\n|(?<=\.)\s", inspect.getdoc(definition) or "", maxsplit=1)[0]
    made = Strategy(name, bounds, root, " ".join(summary.split()))
    made.resolve({})
    return made


def _scalars(node: Node, values: Values, names: int) -> list[Any]:
    return [scalar_value(arg, values, names) for arg in node.args[node.spec.inputs :]]


def _lookback(node: Node, values: Values, names: int) -> Any:
    if not node.is_series:
        return 0
    need: Any = 0
    for arg in node.args[: node.spec.inputs]:
        need = np.maximum(need, _lookback(arg, values, names))
    need = need + node.spec.warm(*_scalars(node, values, names))
    return need if isinstance(need, np.ndarray) and need.ndim else int(need)
