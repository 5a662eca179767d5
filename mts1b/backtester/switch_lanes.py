"""The fused kernel of strategies that switch (`mts1b.backtester.switch`): float64 decisions, float32 sums of a tile.

The shape of its loops was measured. A tile is a few bars of one job over all names of the group: its rows of returns
stay in the first-level cache, the keys of the tile, which all jobs share, in the second. Inside, a few bars are
unrolled within one loop over lanes. Returns are added up group by group in float32, all other sums in float64.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from mts1b.backtester.switch_terms import TERM_NAMES
from mts1b.strategy.codegen import kernel_module, leaves, scalars, truth
from mts1b.strategy.expr import Node
from mts1b.strategy.jit import load

LANES_MAX = 256
"""Widest block. What is the same for all lanes is spread over more of them than in `lanes`; there is less state."""

TILE_BARS = 16

GROUP_NAMES = 32
"""Names worked on together: their keys of one tile and block fill half of a second-level cache, and adding the rows of
returns of a tile to those of the job costs little beside them."""

COUNT = 4096
"""Bars in the market are counted in multiples of this, so that one float32 sum counts two things; no tile has as
many (TILE_BARS * GROUP_NAMES), and their sum stays below 2**24, where float32 counts exactly."""

UNROLLED_BARS = 2

SINGLE_ENTRY = (
    '@njit(error_model="numpy", cache=True, nogil=True, no_cfunc_wrapper=True, fastmath={"contract", "nsz"})\n'
)

SERIES, NUMBER, FLAG = "series", "number", "flag"
"""Kinds of conditions: keys by bar and lane, keys by lane, a truth by bar that all lanes share. A node is a kind too:
a comparison that is worked out as it stands, in float64."""

Kind = str | Node

PER_BAR = ("leave", "enter", "stay", "bought", "resized")
PER_BAR_MOVING = ("gross", "begun", "kept")


@dataclass(frozen=True)
class Form:
    """All that the source of a kernel depends on.

    `entry`, `leave`: the kinds of conditions; `inner`: parameters that vary along lanes; `moving`: the weight does
    between bars; `scaled`: between lanes.
    """

    lanes: int
    moving: bool
    entry: tuple[Kind, ...]
    leave: tuple[Kind, ...]
    inner: frozenset[str] = frozenset()
    scaled: bool = False

    @property
    def kinds(self) -> tuple[Kind, ...]:
        return (*self.entry, *self.leave)

    @property
    def terms(self) -> tuple[str, ...]:
        return (*PER_BAR, *(PER_BAR_MOVING if self.moving else ()))

    @property
    def sums(self) -> tuple[str, ...]:
        return ("trade", "gain", "change") if self.moving else ("trade", "count")


@lru_cache(maxsize=256)
def switch_kernel(form: Form) -> Any:
    """The compiled kernel of a form. It takes, for each condition i, keys{i} (but for a flag), asked{i}, which{i}, or
    for a node its reads float64 [A, S, T], its takes (scalars) float64 [J, lanes] or [J], and which{i}:

      keys     int16 [S, T * lanes], or [lanes] for a number; asked int16 [S, T, A], a bool for a flag: the decision on
               a bar's close is `key < asked`, or `asked`; which int64 [J]: which of the A a job asks
    then
      terms    float32 [N, TERMS, S, T], by TERM_NAMES; weighed int64 [J]: which of the N a job has
      weight   float64 [N]: the absolute weight, where it does not move; scale float32 [J, lanes]: above 0
      tradable bool [S, T]; bounds int64 [K + 1]
      held     float32 [2, J, S, lanes]: whether a name is held, the state of the latch; 0 at the start
      returns  float32 [J, T * lanes]; traded, changed, gross float64 [J, K, lanes]: all added to
    """
    nodes = [kind for kind in form.kinds if isinstance(kind, Node)]
    return load(kernel_module(nodes, _constants() + _edges(form) + SINGLE_ENTRY + _source(form))).run


def _constants() -> str:
    return f"one = np.float32(1.0)\nzero = np.float32(0.0)\nCOUNT = np.float32({COUNT}.0)\n\n\n"


def parts_of(node: Node) -> tuple[list[Node], list[Node]]:
    """The series and the scalars that a comparison is worked out from."""
    return [leaf for leaf in leaves(node) if leaf.is_series], scalars(node)


def _arguments(form: Form) -> list[str]:
    found = []
    for i, kind in enumerate(form.kinds):
        if isinstance(kind, Node):
            reads, takes = parts_of(kind)
            found += [*(f"reads{i}_{m}" for m in range(len(reads))), *(f"takes{i}_{m}" for m in range(len(takes)))]
        else:
            found += [*([] if kind == FLAG else [f"keys{i}"]), f"asked{i}"]
        found.append(f"which{i}")
    return [
        *found,
        *("terms", "weighed", "weight", "scale", "tradable", "bounds", "held"),
        *("returns", "traded", "changed", "gross"),
    ]


def _source(form: Form) -> str:
    places = {name: place for place, name in enumerate(TERM_NAMES)}
    series = [i for i, kind in enumerate(form.kinds) if kind == SERIES]
    lines = [
        f"def run({', '.join(_arguments(form))}):",
        f"    net = np.empty({TILE_BARS * form.lanes}, dtype=np.float32)",
        *(f"    {name}s = np.empty({form.lanes}, dtype=np.float32)" for name in form.sums),
        "    for k in range(bounds.shape[0] - 1):",
        "        begin, end = max(bounds[k], 1), bounds[k + 1]",
        "        edges(held, terms, weighed, scale, traded, changed, k, begin, one)",
        f"        for start in range(begin, end, {TILE_BARS}):",
        f"            stop = min(start + {TILE_BARS}, end)",
        "            for j in range(returns.shape[0]):",
        "                net[:] = zero",
        *(f"                {name}s[:] = zero" for name in form.sums),
        *(f"                f{i} = which{i}[j]" for i in range(len(form.kinds))),
        *(f"                {line}" for i, kind in enumerate(form.kinds) for line in _taken(i, kind)),
        "                w = weighed[j]",
        "                for s in range(tradable.shape[0]):",
        "                    was = held[0, j, s]",
        *(["                    on = held[1, j, s]"] if form.leave else []),
        *(f"                    row{i} = keys{i}[s]" for i in series),
        *(f"                    {name}_row = terms[w, {places[name]}, s]" for name in form.terms),
        "                    t = start",
        "                    while t < stop:",
        _choice(),
        *_bars(form, UNROLLED_BARS, checked=True),
        "                        else:",
        *_bars(form, 1, checked=False),
        *_flush(form),
        "        edges(held, terms, weighed, scale, traded, changed, k, end, -one)",
    ]
    return "\n".join(lines) + "\n"


def _edges(form: Form) -> str:
    """What the bar before counted for the one after it moves to the segment that bar is in."""
    sold, ended = (TERM_NAMES.index(name) for name in ("sold", "ended"))
    kept = f"terms[weighed[j], {ended}, s, t] if t < terms.shape[3] else zero" if form.moving else "one"
    return f"""{SINGLE_ENTRY}def edges(held, terms, weighed, scale, traded, changed, k, t, sign):
    for j in range(held.shape[1]):
        for s in range(held.shape[2]):
            sold = sign * (terms[weighed[j], {sold}, s, t] if t < terms.shape[3] else zero)
            ended = sign * ({kept})
            for l in range(held.shape[3]):
                traded[j, k, l] += held[0, j, s, l] * sold * scale[j, l]
                changed[j, k, l] += held[0, j, s, l] * ended


"""


def _choice() -> str:
    last = UNROLLED_BARS - 1
    tradable = " and ".join(f"tradable[s, t + {u}]" for u in range(UNROLLED_BARS))
    return f"                        if t + {last} < stop and {tradable}:"


def _bars(form: Form, bars: int, checked: bool) -> list[str]:
    """`bars` bars from t on, in one loop over lanes. Decisions were taken on the close of the bar before each."""
    lanes = form.lanes
    lines = [f"earned = net[(t - start) * {lanes}:(t - start + {bars}) * {lanes}]"]
    for i, kind in enumerate(form.kinds):
        if kind == SERIES:
            lines.append(f"key{i} = row{i}[(t - 1) * {lanes}:(t - 1 + {bars}) * {lanes}]")
        if isinstance(kind, Node):
            reads = range(len(parts_of(kind)[0]))
            lines += [f"x{i}_{m}_{u} = reads{i}_{m}[f{i}, s, t - 1 + {u}]" for m in reads for u in range(bars)]
        else:
            lines += [f"asked{i}_{u} = asked{i}[s, t - 1 + {u}, f{i}]" for u in range(bars)]
    for u in range(bars):
        lines += [f"{name}{u} = {name}_row[t + {u}]" for name in form.terms]
    if not checked:
        lines.append("open_now = tradable[s, t]")
    state = ["on"] if form.leave else []
    lines += [f"for l in range({lanes}):", "    before = was[l]"]
    lines += [f"    {name} = {name}s[l]" for name in form.sums] + [f"    {name}_now = {name}[l]" for name in state]
    for u in range(bars):
        lines += [f"    {line}" for line in _bar(form, u, checked)]
    lines += ["    was[l] = before"]
    lines += [f"    {name}s[l] = {name}" for name in form.sums] + [f"    {name}[l] = {name}_now" for name in state]
    lines.append(f"t += {bars}")
    return [" " * 28 + line for line in lines]


def _holds(form: Form, numbers: range, u: int) -> str:
    """Text of whether the conditions of these numbers hold."""
    keys = {SERIES: f"[{u * form.lanes} + l]", NUMBER: "[l]"}
    named = {SERIES: "key", NUMBER: "keys"}
    parts = []
    for i in numbers:
        kind = form.kinds[i]
        if isinstance(kind, Node):
            parts.append(truth(kind, _leaf(form, i, kind, u)))
        else:
            parts.append(f"asked{i}_{u}" if kind == FLAG else f"({named[kind]}{i}{keys[kind]} < asked{i}_{u})")
    return " & ".join(parts)


def _taken(number: int, kind: Kind) -> list[str]:
    if not isinstance(kind, Node):
        return []
    return [f"q{number}_{m} = takes{number}_{m}[j]" for m in range(len(parts_of(kind)[1]))]


def _leaf(form: Form, number: int, node: Node, u: int) -> Callable[[Node], str | None]:
    reads, takes = parts_of(node)
    names = {read.key: f"x{number}_{m}_{u}" for m, read in enumerate(reads)}
    for m, take in enumerate(takes):
        names[take.key] = f"q{number}_{m}[l]" if take.parameters & form.inner else f"q{number}_{m}"
    return lambda below: names.get(below.key)


def _bar(form: Form, u: int, checked: bool) -> list[str]:
    entry = _holds(form, range(len(form.entry)), u)
    if form.leave:
        leave = _holds(form, range(len(form.entry), len(form.kinds)), u)
        lines = [f"on_now = zero if {leave} else (one if {entry} else on_now)"]
        decided = "on_now"
    else:
        lines, decided = [], f"(one if {entry} else zero)"
    lines += [
        f"now = {decided}" if checked else f"now = {decided} if open_now else before",
        f"earned[{u * form.lanes} + l] += before * leave{u} + (enter{u} + before * stay{u}) * now",
        f"trade += (bought{u} + before * resized{u}) * now",
    ]
    if form.moving:
        lines += [f"gain += gross{u} * now", f"change += (begun{u} + before * kept{u}) * now"]
    else:
        lines.append("count += (before + COUNT) * now")
    return [*lines, "before = now"]


def _flush(form: Form) -> list[str]:
    """Add the sums of a tile to those of the job."""
    lanes = form.lanes
    if form.scaled:
        lines = [
            "factors = scale[j]",
            "for t in range(start, stop):",
            f"    out = returns[j, t * {lanes}:(t + 1) * {lanes}]",
            f"    earned = net[(t - start) * {lanes}:(t - start + 1) * {lanes}]",
            f"    for l in range({lanes}):",
            "        out[l] += earned[l] * factors[l]",
        ]
    else:
        lines = [
            f"out = returns[j, start * {lanes}:stop * {lanes}]",
            "for i in range(out.shape[0]):",
            "    out[i] += net[i]",
        ]
    lines += [
        f"for l in range({lanes}):",
        f"    factor = {'np.float64(scale[j, l])' if form.scaled else '1.0'}",
        "    traded[j, k, l] += trades[l] * factor",
    ]
    if form.moving:
        lines += ["    gross[j, k, l] += gains[l] * factor", "    changed[j, k, l] += np.float64(changes[l])"]
    else:
        lines += [
            f"    inside = np.float64(np.int64(counts[l]) // {COUNT})",
            f"    both = np.float64(counts[l]) - inside * {COUNT}.0",
            "    gross[j, k, l] += inside * weight[w] * factor",
            "    changed[j, k, l] += 2.0 * (inside - both)",
        ]
    return [" " * 16 + line for line in lines]
