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

TOGETHER_MAX = 8
"""Jobs whose bits are one number: there is a table of what they may agree on."""

ENTRY = '@njit(error_model="numpy", cache=True, nogil=True, no_cfunc_wrapper=True)\n'


@dataclass(frozen=True)
class Asked:
    """One condition: `own` [lanes] of a bar against a number, `predicate` an ordered comparison of LLVM's; a condition
    without lanes (`predicate` "") is true or false for all. `series`: `own` differs from bar to bar."""

    predicate: str
    series: bool


@dataclass(frozen=True)
class Form:
    """Yes where all of `entry` hold; with `leave` from then on until all of those hold. `together`: jobs whose bits,
    `lanes` of each, are one number."""

    lanes: int
    together: int
    entry: tuple[Asked, ...]
    leave: tuple[Asked, ...]

    @property
    def conditions(self) -> tuple[Asked, ...]:
        return (*self.entry, *self.leave)


def offer(opened: Any, close: Any, fee: float, table: Any) -> Any:
    """Fill `table` [T, 2, 8], begun as 1 but for the fifth as 0, of one name [T].

    For an order that sells, and one that buys, at a bar's open, what it multiplies an account by, and adds to it. An
    account is what the sleeve is worth (in shares while it is in), the sums of its returns and of their squares, which
    after buying and selling have all bars between, and its orders. `fee`: of an order, as a fraction of its value.
    Returns the sums over all bars of the name.
    """
    total, squares = 0.0, 0.0  # of close to close, up to the bar before
    for t in range(opened.shape[0]):
        sold, bought = opened[t] * (1.0 - fee), 1.0 / (opened[t] * (1.0 + fee))
        fallen = sold / close[t - 1] - 1.0 if t else 0.0
        risen = close[t] * bought - 1.0
        table[t, 0, 0], table[t, 1, 0] = sold, bought
        table[t, 0, 5], table[t, 0, 6] = total + fallen, squares + fallen * fallen
        move = close[t] / close[t - 1] - 1.0 if t else 0.0
        total += move
        squares += move * move
        table[t, 1, 5], table[t, 1, 6] = risen - total, risen * risen - squares
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
      found          float64 [S, J, lanes, 4], filled
    """
    step = digest("step", Path(block_step.__file__).read_text())
    header = f"{HEADER}from mts1b.backtester.block_step import agreement_of, compared_of, first_bit, ordered\n\n"
    compared = [
        f'below{i} = compared_of("{asked.predicate}", {form.lanes})\n'
        f'agreement{i} = agreement_of("{asked.predicate}", {form.lanes}, {form.together})'
        for i, asked in enumerate(form.conditions)
        if asked.predicate
    ]
    text = "\n\n".join(INNER + getsource(function) for function in (offer, judge))
    return load(f"{header}{chr(10).join(compared)}  # {step}\n\n\n{text}\n\n{ENTRY}{_source(form)}").run


def _source(form: Form) -> str:
    conditions = list(enumerate(form.conditions))
    keyed = [f"{name}{i}" for i, _ in conditions for name in ("own", "asked")]
    addresses = [f"    own_at{i} = own{i}.ctypes.data" for i, asked in conditions if asked.predicate]
    whole = (1 << form.lanes) - 1
    kept = [f"own{i}.size + asked{i}.size" for i, _ in conditions]
    lines = [
        f"def run({', '.join(keyed)}, opened, close, fee, bars_per_year, spread_min, found):",
        f"    lanes, jobs = {form.lanes}, found.shape[1]",
        "    names, bars = opened.shape",
        *addresses,
        "    table = np.empty((bars, 2, 8))",
        "    table[:], table[:, :, 4] = 1.0, 0.0",
        f"    together, whole = {form.together}, {whole}",
        "    spread = np.zeros(1 << together, dtype=np.int64)  # of bits of jobs, the bits of all their lanes",
        "    for number in range(1 << together):",
        "        for j in range(together):",
        "            if (number >> j) & 1:",
        "                spread[number] |= whole << (j * lanes)",
        *(f"    asked_at{i} = asked{i}.ctypes.data" for i, _ in conditions),
        "    held = np.empty(-(-jobs // together), dtype=np.int64)",
        "    accounts = np.empty((jobs, lanes, 4))",
        "    table_at, accounts_at = table.ctypes.data, accounts.ctypes.data",
        "    for s in range(names):",
        "        total, squares = offer(opened[s], close[s], fee, table)",
        "        last = close[s, bars - 1]",
        "        held[:], accounts[:, :, 0], accounts[:, :, 1:] = 0, 1.0, 0.0",
        "        for t in range(bars - 1):",
        *(f"            row{i} = asked{i}[s, t * jobs : (t + 1) * jobs]" for i, _ in conditions),
        *(
            f"            place{i} = np.uintp(own_at{i}{' + 8 * (s * bars + t) * lanes' if asked.series else ''})"
            for i, asked in conditions
            if asked.predicate
        ),
        "            order_at = table_at + 128 * (t + 1)",
        "            for q in range(held.shape[0]):",
        "                first, count = q * together, min(together, jobs - q * together)",
        *(f"                {line}" for i, asked in conditions for line in _bits(i, asked)),
        f"                bits = {_decided(form)}",
        "                change = bits ^ held[q]",
        "                held[q] = bits",
        "                account_at = accounts_at + 32 * q * together * lanes",
        "                while change != 0:",
        "                    l = first_bit(change)",
        "                    change &= change - 1",
        "                    ordered(np.uintp(account_at + 32 * l), np.uintp(order_at + 64 * ((bits >> l) & 1)))",
        "        for j in range(jobs):",
        "            for l in range(lanes):",
        "                account = accounts[j, l]",
        "                if account[3] % 2.0 == 1.0:  # still in: worth its last close",
        "                    account[0] *= last",
        "                    account[1] += total",
        "                    account[2] += squares",
        "                judge(account, bars, bars_per_year, spread_min, found[s, j, l])",
        f"    return {' + '.join(['table.size', *kept])}  # numba has to keep them until here",
    ]
    return "\n".join(lines) + "\n"


def _bits(i: int, asked: Asked) -> list[str]:
    """Bits of the lanes of all jobs of a number for which a condition holds: lane by lane only where they differ."""
    if not asked.predicate:
        agree = [f"agree{i} = 0", "for k in range(count):", f"    agree{i} |= np.int64(row{i}[first + k]) << k"]
        return [*agree, f"all{i} = spread[agree{i}]"]
    asked_at = f"asked_at{i} + 8 * ((s * bars + t) * jobs + first)"
    return [
        f"code{i} = agreement{i}(place{i}, np.uintp({asked_at})) if count == together else 0",
        f"all{i} = spread[code{i} & ((1 << together) - 1)]",
        f"mixed{i} = ((1 << count) - 1) & ~(code{i} | (code{i} >> 32))",
        f"while mixed{i} != 0:",
        f"    k = first_bit(mixed{i})",
        f"    mixed{i} &= mixed{i} - 1",
        f"    all{i} |= below{i}(place{i}, row{i}[first + k]) << (k * lanes)",
    ]


def _decided(form: Form) -> str:
    """Bits of what is wanted, from those of all conditions and of what is held."""
    entry = len(form.entry)
    enters = " & ".join(f"all{i}" for i in range(entry))
    leaves = " & ".join(f"all{i}" for i in range(entry, len(form.conditions)))
    return f"~({leaves}) & ({enters} | held[q])" if form.leave else enters
