"""The kernel of strategies that switch, for decisions that are taken with keys: blocks that agree are one number.

Neighbours in a grid mostly decide alike. So eight jobs by sixteen lanes are looked at together: where the greatest key
is below the least number asked, all say yes, and where the least is not below the greatest, all say no. What such a
block earns is added up once for all of it; only blocks that a boundary runs through are worked out lane by lane.
"""

from __future__ import annotations

from functools import lru_cache
from inspect import getsource
from pathlib import Path
from typing import Any

from mts1b.backtester import block_step
from mts1b.backtester.block_step import BLOCKS, Shape
from mts1b.backtester.keys import HIGHEST, INNER, LOWEST
from mts1b.backtester.switch_lanes import COUNT, NUMBER, SINGLE_ENTRY, Form
from mts1b.backtester.switch_terms import TERM_NAMES
from mts1b.foundation.ids import digest
from mts1b.strategy.codegen import HEADER
from mts1b.strategy.jit import load

TILE_BARS = 16
GROUP_NAMES = 64
"""Names worked on together; TILE_BARS * GROUP_NAMES stays below COUNT, see `switch_lanes`."""

JOBS = 8
LANES = 16
"""A block. The larger, the more rarely it agrees; the smaller, the more of them there are to look at."""

ALL = (1 << BLOCKS) - 1


def in_force(tradable: Any, decided: Any) -> None:
    """The bar whose decision is in force from the open of each bar, -1 for none; [S, T] both."""
    for s in range(tradable.shape[0]):
        decided[s, 0] = -1
        for t in range(1, tradable.shape[1]):
            decided[s, t] = t - 1 if tradable[s, t] else decided[s, t - 1]


SPANS = f'''{INNER}def spans(keys, width, lowest, highest):
    """The least and the greatest key of each block of lanes: `keys` [N, lanes], the others [N, BLOCKS]; blocks that
    there are not are below nothing."""
    at, lanes = keys.ctypes.data, keys.shape[1]
    for n in range(keys.shape[0]):
        for b in range(BLOCKS):
            place = np.uintp(at + 2 * (n * lanes + b * width))
            lowest[n, b] = least_lane(place) if b * width < lanes else HIGHEST
            highest[n, b] = most_lane(place) if b * width < lanes else HIGHEST


{INNER}def extremes(asked, cuts, least, most):
    """The least and the greatest number that each block of jobs asks: `asked` [N, J], the others [N, Q]."""
    at, jobs = asked.ctypes.data, asked.shape[1]
    for n in range(asked.shape[0]):
        for q in range(cuts.shape[0] - 1):
            if cuts[q + 1] - cuts[q] == JOBS:
                place = np.uintp(at + 2 * (n * jobs + cuts[q]))
                least[n, q], most[n, q] = least_job(place), most_job(place)
            else:
                least[n, q], most[n, q] = asked[n, cuts[q]], asked[n, cuts[q]]
                for j in range(cuts[q] + 1, cuts[q + 1]):
                    least[n, q] = min(least[n, q], asked[n, j])
                    most[n, q] = max(most[n, q], asked[n, j])
'''


def shape_of(form: Form) -> Shape:
    """The vector step of a form."""
    width = LANES if form.lanes % LANES == 0 else form.lanes
    return Shape(width, len(form.entry), len(form.leave), 0.0 if form.moving else float(COUNT))


@lru_cache(maxsize=256)
def block_kernel(form: Form) -> Any:
    """The compiled kernel of a form without conditions that are worked out as they stand. It takes

    for each condition i, keys{i} int16 [S, T * lanes], or [lanes] for a number or a flag, and asked{i} int16
    [S, T, J]: the decision on a bar's close is `key < asked`
    terms, weighed, weight, scale, tradable, bounds, returns, traded, changed, gross as `switch_lanes` has them;
    cuts int64 [Q + 1]: where blocks of jobs begin, at most JOBS that all have the same weight
    held     float32 [2, J, S, lanes] for a latch: whether a name is held, and its state; else of length 0
    """
    text = f"{SPANS}\n\n{INNER}{getsource(in_force)}"
    step = digest("step", Path(block_step.__file__).read_text())
    names = "Shape, agreed_of, below_all, below_none, extreme_of, first_bit, step_of"
    header = f"{HEADER}from mts1b.backtester.block_step import {names}\n\n"
    shape = shape_of(form)
    constants = [
        f"step, agreed = step_of({shape!r}), agreed_of({shape!r})  # {step}",
        f'least_lane, most_lane = extreme_of("smin", {shape.lanes}), extreme_of("smax", {shape.lanes})',
        f'least_job, most_job = extreme_of("smin", {JOBS}), extreme_of("smax", {JOBS})',
        "one, zero = np.float32(1.0), np.float32(0.0)",
        f"ALL, BLOCKS, JOBS, HIGHEST = {ALL}, {BLOCKS}, {JOBS}, np.int16({HIGHEST})",
    ]
    parts = [header + "\n".join(constants), text, _edges(form), SINGLE_ENTRY + _source(form)]
    return load("\n\n\n".join(parts)).run


def _conditions(form: Form) -> range:
    return range(len(form.kinds))


def _arguments(form: Form) -> list[str]:
    keyed = [f"{name}{i}" for i in _conditions(form) for name in ("keys", "asked")]
    shared = ["terms", "weighed", "weight", "scale", "tradable", "bounds", "cuts", "held"]
    return [*keyed, *shared, "returns", "traded", "changed", "gross"]


def _sums(form: Form) -> tuple[str, ...]:
    return ("trades", "gains", "changes") if form.moving else ("trades", "counts")


def _source(form: Form) -> str:
    width = shape_of(form).lanes
    lines = [
        f"def run({', '.join(_arguments(form))}):",
        f"    lanes, blocks, width = {form.lanes}, {form.lanes // width}, {width}",
        "    (names, bars), count = tradable.shape, cuts.shape[0] - 1",
        "    stride = names * bars",
        "    terms_at = terms.ctypes.data",
        f"    nothing = np.full({JOBS}, {LOWEST}, dtype=np.int16)  # asked before any decision",
        "    nothing_at = nothing.ctypes.data",
        "    decided = np.empty((names, bars), dtype=np.int64)",
        "    in_force(tradable, decided)",
    ]
    for i in _conditions(form):
        lines += [
            f"    rows{i} = keys{i}.reshape(-1, lanes)",
            f"    lowest{i} = np.empty((rows{i}.shape[0], BLOCKS), dtype=np.int16)",
            f"    highest{i} = np.empty((rows{i}.shape[0], BLOCKS), dtype=np.int16)",
            f"    spans(rows{i}, width, lowest{i}, highest{i})",
            f"    least{i} = np.empty((names * bars, count), dtype=np.int16)",
            f"    most{i} = np.empty((names * bars, count), dtype=np.int16)",
            f"    extremes(asked{i}.reshape(names * bars, -1), cuts, least{i}, most{i})",
            f"    keys_at{i}, asked_at{i} = keys{i}.ctypes.data, asked{i}.ctypes.data",
            f"    lowest_at{i}, highest_at{i} = lowest{i}.ctypes.data, highest{i}.ctypes.data",
        ]
    for name, size in (("nets", f"{TILE_BARS} * "), *((name, "") for name in _sums(form))):
        shape = f"({TILE_BARS}, BLOCKS)" if size else "BLOCKS"
        lines += [
            f"    {name} = np.empty({JOBS} * {size}lanes, dtype=np.float32)",
            f"    block_{name} = np.empty({shape}, dtype=np.float32)",
            f"    {name}_at, block_{name}_at = {name}.ctypes.data, block_{name}.ctypes.data",
        ]
    if form.leave:
        lines += [
            "    held_bits = np.empty((2, count, names), dtype=np.int64)  # of blocks that are 1, that are 0",
            "    state_bits = np.empty((2, count, names), dtype=np.int64)",
            "    held_bits[0], held_bits[1], state_bits[0], state_bits[1] = 0, ALL, 0, ALL",
            "    held_at, state_at = held[0].ctypes.data, held[1].ctypes.data",
        ]
    lines += [
        "    for k in range(bounds.shape[0] - 1):",
        "        begin, end = max(bounds[k], 1), bounds[k + 1]",
        f"        {_edge_call(form, 'begin', 'one')}",
        f"        for start in range(begin, end, {TILE_BARS}):",
        f"            stop = min(start + {TILE_BARS}, end)",
        "            for q in range(count):",
        "                first, jobs, w = cuts[q], cuts[q + 1] - cuts[q], weighed[cuts[q]]",
        f"                nets[: jobs * {TILE_BARS} * lanes] = zero",
        "                block_nets[:] = zero",
        *(f"                {name}[: jobs * lanes] = zero" for name in _sums(form)),
        *(f"                block_{name}[:] = zero" for name in _sums(form)),
        "                for s in range(names):",
        *(_latched_bars(form) if form.leave else _plain_bars(form)),
        *_flush(form),
        f"        {_edge_call(form, 'end', '-one')}",
        f"    return {' + '.join(f'{name}.size' for name in _addressed(form))}  # until here numba has to keep them",
    ]
    return "\n".join(lines) + "\n"


def _addressed(form: Form) -> list[str]:
    """Arrays that are used by their address alone."""
    spans_of = [f"{name}{i}" for i in _conditions(form) for name in ("keys", "asked", "lowest", "highest")]
    made = [f"{block}{name}" for name in ("nets", *_sums(form)) for block in ("", "block_")]
    return ["nothing", "terms", "held", *spans_of, *made]


def _place(form: Form, i: int, bar: str, rows: str) -> str:
    """Of the span of a condition at a bar."""
    row = "0" if form.kinds[i] == NUMBER else f"(s * bars + {bar})"
    return f"np.uintp({rows}_at{i} + {2 * BLOCKS} * {row})"


def _judged(form: Form, numbers: range, bar: str, yes: str, no: str) -> list[str]:
    """Bits of the blocks that say yes, and no, to all conditions of these numbers."""
    all_of = [f"below_all({_place(form, i, bar, 'highest')}, least{i}[s * bars + {bar}, q])" for i in numbers]
    none_of = [f"below_none({_place(form, i, bar, 'lowest')}, most{i}[s * bars + {bar}, q])" for i in numbers]
    return [f"{yes} = {' & '.join(all_of)}", f"{no} = {' | '.join(none_of)}"]


def _plain_bars(form: Form) -> list[str]:
    """The bars of a tile of one name."""
    numbers = _conditions(form)
    lines = [
        "was = decided[s, start - 1]",
        "held, unheld = 0, ALL",
        "if was >= 0:",
        *(f"    {line}" for line in _judged(form, numbers, "was", "held", "unheld")),
        "for t in range(start, stop):",
        "    now, yes, no = decided[s, t], held, unheld",
        "    if now != was:",
        *(f"        {line}" for line in _judged(form, numbers, "now", "yes", "no")),
        "    agree = (held | unheld) & (yes | no)",
        *(f"    {line}" for line in _agreed(form, "agree & held", "agree & yes")),
        "    mixed = ALL & ~agree",
        "    while mixed != 0:",
        "        b = first_bit(mixed)",
        "        mixed &= mixed - 1",
        *(f"        {line}" for line in _step_call(form)),
        "    was, held, unheld = now, yes, no",
    ]
    return [" " * 20 + line.replace("held", "was_in").replace("unwas_in", "was_out") for line in lines]


def _latched_bars(form: Form) -> list[str]:
    """The bars of a tile of one name; a latch follows every close, what is held only bars that can be traded."""
    entry, leave = range(len(form.entry)), range(len(form.entry), len(form.kinds))
    lines = [
        "was_in, was_out, state_in, state_out = held_bits[0, q, s], held_bits[1, q, s], state_bits[0, q, s], "
        "state_bits[1, q, s]",
        "for t in range(start, stop):",
        "    now, open_now = t - 1, tradable[s, t]",
        *(f"    {line}" for line in _judged(form, entry, "now", "enters", "enters_not")),
        *(f"    {line}" for line in _judged(form, leave, "now", "leaves", "leaves_not")),
        "    next_in, next_out = leaves_not & (enters | state_in), leaves | (enters_not & state_out)",
        "    now_in, now_out = (next_in, next_out) if open_now else (was_in, was_out)",
        "    agree = (was_in | was_out) & (next_in | next_out)",
        *(f"    {line}" for line in _agreed(form, "agree & was_in", "agree & now_in")),
        "    mixed = ALL & ~agree",
        "    while mixed != 0:",
        "        b = first_bit(mixed)",
        "        bit = mixed & -mixed",
        "        mixed &= mixed - 1",
        "        was_code = 1 if was_in & bit else (0 if was_out & bit else 2)",
        "        state_code = 1 if state_in & bit else (0 if state_out & bit else 2)",
        *(f"        {line}" for line in _step_call(form)),
        "    was_in, was_out, state_in, state_out = now_in, now_out, next_in, next_out",
        "held_bits[0, q, s], held_bits[1, q, s], state_bits[0, q, s], state_bits[1, q, s] = was_in, was_out, state_in, "
        "state_out",
    ]
    return [" " * 20 + line for line in lines]


def _agreed(form: Form, before: str, now: str) -> list[str]:
    """Add what blocks make of a bar whose lanes all do the same."""
    places = [
        f"np.uintp(block_nets_at + {4 * BLOCKS} * (t - start))",
        *(f"np.uintp(block_{name}_at)" for name in _sums(form)),
        "term_at",
    ]
    return [
        f"term_at = np.uintp(terms_at + 4 * (w * {len(TERM_NAMES)} * stride + s * bars + t))",
        f"agreed(({', '.join(places)}), (np.int64(stride), np.int64({before}), np.int64({now})))",
    ]


def _step_call(form: Form) -> list[str]:
    def keyed(i: int, bar: str) -> list[str]:
        row = "0" if form.kinds[i] == NUMBER else f"(s * bars + max({bar}, 0)) * lanes"
        asked = f"asked_at{i} + 2 * ((s * bars + {bar}) * weighed.shape[0] + first)"
        if bar == "was":
            asked = f"(nothing_at if was < 0 else {asked})"
        return [f"keys_at{i} + 2 * ({row} + b * width)", asked]

    places = [
        text
        for bar in (("now",) if form.leave else ("now", "was"))
        for i in _conditions(form)
        for text in keyed(i, bar)
    ]
    places.append("nets_at + 4 * ((t - start) * lanes + b * width)")
    places += [f"{name}_at + 4 * b * width" for name in _sums(form)]
    numbers = ["jobs", f"{TILE_BARS} * lanes", "lanes", "names * lanes", "stride"]
    if form.leave:
        memory = "4 * ((first * names + s) * lanes + b * width)"
        places += [f"held_at + {memory}", f"state_at + {memory}"]
        numbers += ["was_code", "state_code", "open_now"]
    typed = ", ".join(f"np.uintp({place})" for place in (*places, "term_at"))
    counted = ", ".join(f"np.int64({number})" for number in numbers)
    return [f"step(({typed}), ({counted}))"]


def _flush(form: Form) -> list[str]:
    """Add the sums of a tile to those of its jobs."""
    one_factor = "np.float64(factors[l])" if form.scaled else "1.0"
    scaled = " * factors[b * width + l]" if form.scaled else ""
    lines = [
        "for m in range(jobs):",
        "    j = first + m",
        *(["    factors = scale[j]"] if form.scaled else []),
        "    for t in range(start, stop):",
        "        for b in range(blocks):",
        "            out = returns[j, t * lanes + b * width : t * lanes + (b + 1) * width]",
        f"            at = (m * {TILE_BARS} + t - start) * lanes + b * width",
        "            net, same = nets[at : at + width], block_nets[t - start, b]",
        "            for l in range(width):",
        f"                out[l] += (net[l] + same){scaled}",
        "    for l in range(lanes):",
        "        b, at = l // width, m * lanes + l",
        f"        factor = {one_factor}",
        "        traded[j, k, l] += np.float64(trades[at] + block_trades[b]) * factor",
    ]
    if form.moving:
        lines += [
            "        gross[j, k, l] += np.float64(gains[at] + block_gains[b]) * factor",
            "        changed[j, k, l] += np.float64(changes[at] + block_changes[b])",
        ]
    else:
        lines += [
            "        counted = counts[at] + block_counts[b]",
            f"        inside = np.float64(np.int64(counted) // {COUNT})",
            f"        both = np.float64(counted) - inside * {COUNT}.0",
            "        gross[j, k, l] += inside * weight[w] * factor",
            "        changed[j, k, l] += 2.0 * (inside - both)",
        ]
    return [" " * 16 + line for line in lines]


def _edge_inputs(form: Form) -> list[str]:
    given = ["held", "held_bits", "cuts"] if form.leave else ["decided"]
    return [*given, *(f"{name}{i}" for i in _conditions(form) for name in ("rows", "asked"))]


def _edge_call(form: Form, bar: str, sign: str) -> str:
    return f"edges({', '.join(_edge_inputs(form))}, terms, weighed, scale, traded, changed, k, {bar}, {sign})"


def _edges(form: Form) -> str:
    """What the bar before counted for the one after it moves to the segment that bar is in."""
    sold, ended = (TERM_NAMES.index(name) for name in ("sold", "ended"))
    kept = f"terms[weighed[j], {ended}, s, t] if t < terms.shape[3] else zero" if form.moving else "one"
    if form.leave:
        loop = "for q in range(cuts.shape[0] - 1):\n        for j in range(cuts[q], cuts[q + 1]):"
        found = f"""bit = np.int64(1) << (l // {shape_of(form).lanes})
                    stored = (held_bits[0, q, s] | held_bits[1, q, s]) & bit == 0
                    was = held[0, j, s, l] if stored else (one if held_bits[0, q, s] & bit else zero)"""
    else:
        rows = ["0" if kind == NUMBER else "s * terms.shape[3] + bar" for kind in form.kinds]
        tests = " & ".join(f"(rows{i}[{rows[i]}, l] < asked{i}[s, bar, j])" for i in _conditions(form))
        loop = "for _ in range(1):\n        for j in range(weighed.shape[0]):"
        found = f"""bar = decided[s, t - 1]
                    was = one if bar >= 0 and {tests} else zero"""
    given = f"{', '.join(_edge_inputs(form))}, terms, weighed, scale, traded, changed, k, t, sign"
    return f"""{SINGLE_ENTRY}def edges({given}):
    {loop}
            for s in range(terms.shape[2]):
                sold = sign * (terms[weighed[j], {sold}, s, t] if t < terms.shape[3] else zero)
                ended = sign * ({kept})
                for l in range(scale.shape[1]):
                    {found}
                    traded[j, k, l] += was * sold * scale[j, l]
                    changed[j, k, l] += was * ended
"""
