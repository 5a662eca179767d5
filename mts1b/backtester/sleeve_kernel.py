"""The kernel of sleeves that are all in or all out: decisions as bits, accounts touched only where a bit changes.

Between two orders a sleeve follows its name, and all that its metrics need of those bars is the difference of two
running sums. So an order multiplies the sleeve's worth by one number of its bar and adds two, and a bar without an
order costs a comparison of vectors.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from inspect import getsource
from pathlib import Path
from typing import Any

from mts1b.backtester import block_step
from mts1b.backtester.keys import INNER
from mts1b.foundation.ids import digest
from mts1b.strategy.codegen import HEADER
from mts1b.strategy.jit import load

LANES_MAX = 64
"""Bits of one number."""

CHUNK = 256
"""Bars whose orders are noted before they are booked: what they do to an account stays in a first-level cache."""

NOTES_MAX = 1 << 22
"""Orders noted, at most, unless one bar alone may have more."""

VECTOR = 16
"""Numbers written at once, of which the last may mean nothing: what memory of notes has to have left."""

ENTRY = '@njit(error_model="numpy", cache=True, nogil=True, no_cfunc_wrapper=True)\n'


@dataclass(frozen=True)
class Asked:
    """One condition: `own` [lanes] of a bar against a number, `predicate` an ordered comparison of LLVM's; a condition
    without lanes (`predicate` "") is true or false for all. `series`: `own` differs from bar to bar."""

    predicate: str
    series: bool


@dataclass(frozen=True)
class Form:
    """Yes where all of `entry` hold; with `leave` from then on until all of those hold. `lanes` of each job."""

    lanes: int
    entry: tuple[Asked, ...]
    leave: tuple[Asked, ...]

    @property
    def conditions(self) -> tuple[Asked, ...]:
        return (*self.entry, *self.leave)


def offer(opened: Any, close: Any, fee: float, prices: Any, table: Any) -> Any:
    """Fill `table` [T, 2, 8], begun as 1 but for the fifth as 0, of one name [T]; `prices` [5, T] is for the way there.

    For an order that sells, and one that buys, at a bar's open, what it multiplies an account by, and adds to it. An
    account is what the sleeve is worth (in shares while it is in), the sums of its returns and of their squares, which
    after buying and selling have all bars between, and its orders. `fee`: of an order, as a fraction of its value.
    Returns the sums over all bars of the name.
    """
    bars = opened.shape[0]
    sold, bought, fallen, risen, moves = prices[0], prices[1], prices[2], prices[3], prices[4]
    for t in range(bars):
        sold[t] = opened[t] * (1.0 - fee)
        bought[t] = 1.0 / (opened[t] * (1.0 + fee))
        risen[t] = close[t] * bought[t] - 1.0
    fallen[0] = moves[0] = 0.0
    for t in range(1, bars):
        fallen[t] = sold[t] / close[t - 1] - 1.0
        moves[t] = close[t] / close[t - 1] - 1.0
    total, squares = 0.0, 0.0  # of close to close, up to the bar before
    for t in range(bars):
        sells, buys = table[t, 0], table[t, 1]
        sells[0], buys[0] = sold[t], bought[t]
        sells[5], sells[6] = total + fallen[t], squares + fallen[t] * fallen[t]
        move = moves[t]
        total += move
        squares += move * move
        buys[5], buys[6] = risen[t] - total, risen[t] * risen[t] - squares
    return total, squares


def judge(account: Any, bars: int, bars_per_year: float, spread_min: float, found: Any) -> None:
    """Metrics `found` [4] of a sleeve, the rows of `evaluation.NAME_METRICS`, from its account over `bars`."""
    mean = account[1] / bars
    spread = math.sqrt(max(account[2] - mean * account[1], 0.0) / max(bars - 1, 1))
    spread = 0.0 if spread < spread_min else spread
    found[0] = account[0] - 1.0
    found[1] = mean / spread * math.sqrt(bars_per_year) if spread > 0.0 else 0.0
    found[2] = account[3]
    found[3] = (account[3] + 1.0) // 2.0


@lru_cache(maxsize=256)
def sleeve_kernel(form: Form) -> Any:
    """The compiled kernel of a form. It takes, for each condition i, own{i} float64 [S, T * lanes] (or [lanes]),
    asked{i} float64 [S, T * J] (bool for one without lanes): what each job asks; then

      opened, close  float64 [S, T]; fee of an order, as a fraction of its value; bars_per_year, spread_min
      work           float64 [`work_size`], with anything in it
      found          float64 [S, J, lanes, 4], filled
    """
    step = digest("step", Path(block_step.__file__).read_text())
    header = f"{HEADER}from mts1b.backtester.block_step import compared_of, noted_of, ordered\n\n"
    compared = [
        f'below{i} = compared_of("{asked.predicate}", {form.lanes})'
        for i, asked in enumerate(form.conditions)
        if asked.predicate
    ]
    compared.append(f"noted = noted_of({form.lanes})")
    text = "\n\n".join(INNER + getsource(function) for function in (offer, judge))
    return load(f"{header}{chr(10).join(compared)}  # {step}\n\n\n{text}\n\n{ENTRY}{_source(form)}").run


def work_size(bars: int, jobs: int, lanes: int) -> int:
    """Floats that a kernel works in: 21 for each bar, 4 for each account, and the notes of a chunk of bars."""
    chunk = max(min(CHUNK, NOTES_MAX // (jobs * lanes)), 1)
    return 21 * bars + 4 * jobs * lanes + (chunk * jobs * lanes + VECTOR + 1) // 2


def _source(form: Form) -> str:
    conditions = list(enumerate(form.conditions))
    keyed = [f"{name}{i}" for i, _ in conditions for name in ("own", "asked")]
    addresses = [f"    own_at{i} = own{i}.ctypes.data" for i, asked in conditions if asked.predicate]
    kept = [f"own{i}.size + asked{i}.size" for i, _ in conditions]
    lines = [
        f"def run({', '.join(keyed)}, opened, close, fee, bars_per_year, spread_min, work, found):",
        f"    lanes, jobs = {form.lanes}, found.shape[1]",
        "    names, bars = opened.shape",
        *addresses,
        "    table, prices = work[: 16 * bars].reshape(bars, 2, 8), work[16 * bars : 21 * bars].reshape(5, bars)",
        "    table[:], table[:, :, 4] = 1.0, 0.0",
        "    accounts = work[21 * bars : 21 * bars + 4 * jobs * lanes].reshape(jobs, lanes, 4)",
        "    held = np.empty(jobs, dtype=np.int64)",
        "    shift = 0  # above the number of an account: its bar in the chunk, and whether it buys",
        "    while jobs * lanes >> shift:",
        "        shift += 1",
        f"    chunk = max(min({CHUNK}, {NOTES_MAX} // (jobs * lanes), 1 << max(29 - shift, 0)), 1)",
        "    notes = work[21 * bars + 4 * jobs * lanes :].view(np.int32)",
        "    table_at, accounts_at, notes_at = table.ctypes.data, accounts.ctypes.data, notes.ctypes.data",
        "    mask, buys = (1 << shift) - 1, np.int32(1 << shift)",
        "    for s in range(names):",
        "        total, squares = offer(opened[s], close[s], fee, prices, table)",
        "        last = close[s, bars - 1]",
        "        held[:], accounts[:, :, 0], accounts[:, :, 1:] = 0, 1.0, 0.0",
        "        for begin in range(0, bars - 1, chunk):",
        "            count = 0",
        "            for t in range(begin, min(begin + chunk, bars - 1)):",
        *(f"                row{i} = asked{i}[s, t * jobs : (t + 1) * jobs]" for i, _ in conditions),
        *(
            f"                place{i} = np.uintp(own_at{i}{' + 8 * (s * bars + t) * lanes' if asked.series else ''})"
            for i, asked in conditions
            if asked.predicate
        ),
        "                number = (t - begin) << (shift + 1)",
        "                for j in range(jobs):",
        *(f"                    all{i} = {_bits(i, asked, form.lanes)}" for i, asked in conditions),
        f"                    bits = {_decided(form)}",
        "                    change = bits ^ held[j]",
        "                    if change == 0:",
        "                        continue",
        "                    held[j] = bits",
        "                    first = np.int32(number + j * lanes)",
        "                    count += noted(np.uintp(notes_at + 4 * count), bits, change, first, buys)",
        "            orders_at = table_at + 128 * (begin + 1)",
        "            for k in range(count):",
        "                order = np.int64(notes[k])",
        "                account_at = np.uintp(accounts_at + 32 * (order & mask))",
        "                ordered(account_at, np.uintp(orders_at + 64 * (order >> shift)))",
        "        for j in range(jobs):",
        "            for l in range(lanes):",
        "                account = accounts[j, l]",
        "                if account[3] % 2.0 == 1.0:  # still in: worth its last close",
        "                    account[0] *= last",
        "                    account[1] += total",
        "                    account[2] += squares",
        "                judge(account, bars, bars_per_year, spread_min, found[s, j, l])",
        f"    return {' + '.join(['table.size + notes.size', *kept])}  # numba has to keep them until here",
    ]
    return "\n".join(lines) + "\n"


def _bits(i: int, asked: Asked, lanes: int) -> str:
    """Bits of the lanes of a job for which a condition holds."""
    whole = (1 << lanes) - 1 if lanes < LANES_MAX else -1
    return f"below{i}(place{i}, row{i}[j])" if asked.predicate else f"-np.int64(row{i}[j]) & {whole}"


def _decided(form: Form) -> str:
    """Bits of what is wanted, from those of all conditions and of what is held."""
    entry = len(form.entry)
    enters = " & ".join(f"all{i}" for i in range(entry))
    leaves = " & ".join(f"all{i}" for i in range(entry, len(form.conditions)))
    return f"~({leaves}) & ({enters} | held[j])" if form.leave else enters
