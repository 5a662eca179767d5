"""The fused kernel of strategies that switch (`mts1b.backtester.switch`): float64 decisions, float32 sums of a tile.

The shape of its loops was measured. A tile is a few bars of one job over all names of the group: its rows of returns
stay in the first-level cache, the keys of the tile, which all jobs share, in the second. Inside, a few bars are
unrolled within one loop over lanes. Returns are added up group by group in float32, all other sums in float64.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from mts1b.strategy.codegen import HEADER
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

SINGLE_ENTRY = '@njit(error_model="numpy", cache=True, nogil=True, fastmath={"contract", "nsz"})\n'

ARGUMENTS = (
    *("keys", "thresholds", "asked", "terms", "which", "weight", "tradable", "bounds", "held"),
    *("returns", "traded", "changed", "gross"),
)

PER_BAR = ("leave", "enter", "stay", "bought", "resized")
PER_BAR_MOVING = ("gross", "begun", "kept")


@lru_cache(maxsize=64)
def switch_kernel(lanes: int, moving: bool) -> Any:
    """The compiled kernel for a width; `moving` when the weight in force may change between bars.

    run(keys, thresholds, asked, terms, which, weight, tradable, bounds, held, returns, traded, changed, gross)
      keys        int16 [S, T * lanes]; thresholds int16 [S, T, A]: `key < threshold` is the decision on a bar's close
      asked       int64 [J]: which of the A a job asks; which int64 [J]: its table of `terms`
      terms       float32 [N, TERMS, S, T], by the names of `mts1b.backtester.switch.Terms`
      weight      the weight, where it does not move; tradable bool [S, T]; bounds int64 [K + 1]
      held        float32 [J, S, lanes]: whether a name is held, 0 at the start
      returns     float32 [J, T * lanes]; traded, changed, gross float64 [J, K, lanes]: all added to
    """
    return load(HEADER + _constants() + SINGLE_ENTRY + _source(lanes, moving)).run


def _constants() -> str:
    return f"one = np.float32(1.0)\nzero = np.float32(0.0)\nCOUNT = np.float32({COUNT}.0)\n\n\n"


def _source(lanes: int, moving: bool) -> str:
    named = (*PER_BAR, *(PER_BAR_MOVING if moving else ()))
    sums = ("trade", "gain", "change") if moving else ("trade", "count")
    places = {name: place for place, name in enumerate(TERM_NAMES)}
    lines = [
        f"def run({', '.join(ARGUMENTS)}):",
        f"    net = np.empty({TILE_BARS * lanes}, dtype=np.float32)",
        *(f"    {name}s = np.empty({lanes}, dtype=np.float32)" for name in sums),
        "    for k in range(bounds.shape[0] - 1):",
        "        begin, end = max(bounds[k], 1), bounds[k + 1]",
        "        edges(held, terms, which, traded, changed, k, begin, one)",
        f"        for start in range(begin, end, {TILE_BARS}):",
        f"            stop = min(start + {TILE_BARS}, end)",
        "            for j in range(returns.shape[0]):",
        "                net[:] = zero",
        *(f"                {name}s[:] = zero" for name in sums),
        "                f, w = asked[j], which[j]",
        "                for s in range(keys.shape[0]):",
        "                    was = held[j, s]",
        "                    row = keys[s]",
        *(f"                    {name}_row = terms[w, {places[name]}, s]" for name in named),
        "                    t = start",
        "                    while t < stop:",
        _choice(),
        *_bars(lanes, UNROLLED_BARS, named, moving, checked=True),
        "                        else:",
        *_bars(lanes, 1, named, moving, checked=False),
        *_flush(lanes, moving),
        "        edges(held, terms, which, traded, changed, k, end, -one)",
    ]
    return _edges(places, moving) + SINGLE_ENTRY + "\n".join(lines) + "\n"


def _edges(places: dict[str, int], moving: bool) -> str:
    """What the bar before counted for the one after it moves to the segment that bar is in."""
    ended = f"terms[which[j], {places['ended']}, s, t] if t < terms.shape[3] else zero" if moving else "one"
    return f"""def edges(held, terms, which, traded, changed, k, t, sign):
    for j in range(held.shape[0]):
        for s in range(held.shape[1]):
            sold = sign * (terms[which[j], {places["sold"]}, s, t] if t < terms.shape[3] else zero)
            ended = sign * ({ended})
            for l in range(held.shape[2]):
                traded[j, k, l] += held[j, s, l] * sold
                changed[j, k, l] += held[j, s, l] * ended


"""


def _choice() -> str:
    last = UNROLLED_BARS - 1
    tradable = " and ".join(f"tradable[s, t + {u}]" for u in range(UNROLLED_BARS))
    return f"                        if t + {last} < stop and {tradable}:"


def _bars(lanes: int, bars: int, named: tuple[str, ...], moving: bool, checked: bool) -> list[str]:
    """`bars` bars from t on, in one loop over lanes. Decisions were taken on the close of the bar before each."""
    lines = [f"key = row[(t - 1) * {lanes}:(t - 1 + {bars}) * {lanes}]"]
    lines += [f"earned = net[(t - start) * {lanes}:(t - start + {bars}) * {lanes}]"]
    for u in range(bars):
        lines.append(f"limit{u} = thresholds[s, t - 1 + {u}, f]")
        lines += [f"{name}{u} = {name}_row[t + {u}]" for name in named]
    if not checked:
        lines.append("open_now = tradable[s, t]")
    lines += [f"for l in range({lanes}):", "    before = was[l]", "    trade = trades[l]"]
    lines += ["    gain = gains[l]", "    change = changes[l]"] if moving else ["    count = counts[l]"]
    for u in range(bars):
        lines += [f"    {line}" for line in _bar(lanes, u, moving, checked)]
    lines += ["    was[l] = before", "    trades[l] = trade"]
    lines += ["    gains[l] = gain", "    changes[l] = change"] if moving else ["    counts[l] = count"]
    lines.append(f"t += {bars}")
    return [" " * 28 + line for line in lines]


def _bar(lanes: int, u: int, moving: bool, checked: bool) -> list[str]:
    decided = f"one if key[{u * lanes} + l] < limit{u} else zero"
    lines = [
        f"now = {decided}" if checked else f"now = ({decided}) if open_now else before",
        f"earned[{u * lanes} + l] += before * leave{u} + (enter{u} + before * stay{u}) * now",
        f"trade += (bought{u} + before * resized{u}) * now",
    ]
    if moving:
        lines += [f"gain += gross{u} * now", f"change += (begun{u} + before * kept{u}) * now"]
    else:
        lines.append("count += (before + COUNT) * now")
    return [*lines, "before = now"]


def _flush(lanes: int, moving: bool) -> list[str]:
    """Add the sums of a tile to those of the job."""
    lines = [
        f"out = returns[j, start * {lanes}:stop * {lanes}]",
        "for i in range(out.shape[0]):",
        "    out[i] += net[i]",
        f"for l in range({lanes}):",
        "    traded[j, k, l] += np.float64(trades[l])",
    ]
    if moving:
        lines += ["    gross[j, k, l] += np.float64(gains[l])", "    changed[j, k, l] += np.float64(changes[l])"]
    else:
        lines += [
            f"    inside = np.float64(np.int64(counts[l]) // {COUNT})",
            f"    both = np.float64(counts[l]) - inside * {COUNT}.0",
            "    gross[j, k, l] += inside * weight",
            "    changed[j, k, l] += 2.0 * (inside - both)",
        ]
    return [" " * 16 + line for line in lines]


TERM_NAMES = ("leave", "enter", "stay", "bought", "resized", "gross", "begun", "kept", "sold", "ended")
"""Fields of `mts1b.backtester.switch.Terms`, in the order of the table of terms."""
