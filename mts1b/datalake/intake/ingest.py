"""Files into the lake: each read and checked wherever there is room, then stored by one writer, batch by batch.

A batch is put into quarantine first, then among the bars, then written down as taken; each step done twice changes
nothing, so that an ingest that was killed goes on where it was, and the same file twice is one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import polars as pl

from mts1b.datalake.catalog import Lake, open_lake
from mts1b.datalake.intake.context import stored_context
from mts1b.datalake.intake.delivery import Terms
from mts1b.datalake.intake.lean import lean_kind, lean_terms, read_factors, read_map
from mts1b.datalake.intake.quarantine import Quarantine
from mts1b.datalake.intake.storing import store_actions, store_bars, store_history
from mts1b.datalake.intake.take import BARS, OFFENDERS, Taken, content_of, offences_of, take, whole_file
from mts1b.datalake.storage import Options
from mts1b.foundation.errors import DataError, InputError
from mts1b.foundation.ids import digest

ROWS_PER_BATCH = 4_000_000
"""Rows from which a batch is stored: what a killed ingest may have to do again."""

FILES_PER_BATCH = 256
"""And so many files, however small."""

CHECKS = 1
"""Of the checks' meaning: files that were taken in under another number are taken again."""

REASONS_TOLD = 5
"""Reasons of a file that a report gives; the quarantine has them all."""

STORED, BEFORE, PASSED_OVER = "stored", "taken in before", "passed over"
NO_BARS = ("universes", "shortable", "symbol-properties", "alternative", "market-hours")
"""Folders of LEAN's data in which nothing is bars."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one file. `rows` = `stored` + `quarantined`, but for a file of which no row can be read: it is
    one in quarantine. `checks`: how many rows fail each; `reasons`: the first few in words."""

    source: str
    status: str
    kind: str = "bars"
    rows: int = 0
    stored: int = 0
    quarantined: int = 0
    checks: dict[str, int] | None = None
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """What became of all files, in their order."""

    files: tuple[Outcome, ...]

    def total(self, field: str) -> int:
        return sum(getattr(one, field) for one in self.files)

    def to_json(self) -> dict[str, Any]:
        totals = {name: self.total(name) for name in ("rows", "stored", "quarantined")}
        return {**totals, "files": [asdict(one) for one in self.files]}


@dataclass(frozen=True, slots=True)
class Work:
    """One file to take: where it is, what it is called and its terms."""

    path: Path
    label: str
    kind: str
    terms: Terms
    content: str

    @property
    def id(self) -> str:
        return digest("intake", CHECKS, self.content, self.kind, *(str(value) for value in asdict(self.terms).values()))


class Spread(Protocol):
    """Runs a function over items, here or on a cluster: `mts1b.research.runner.Runner`'s `run`."""

    def __call__(
        self, function: Callable[[Any, Work], Taken], shared: Any, items: Iterable[Work]
    ) -> Iterator[tuple[Work, Taken]]: ...


def here(function: Callable[[Any, Work], Taken], shared: Any, items: Iterable[Work]) -> Iterator[tuple[Work, Taken]]:
    """One file after the other in this process."""
    for item in items:
        yield item, function(shared, item)


Progress = Callable[[int, int, int], None]
"""Called with files done, files in all and rows seen."""


def ingest(
    lake: Lake,
    path: Path,
    terms: Terms,
    now_us: int,
    spread: Spread = here,
    progress: Progress | None = None,
    again: bool = False,
) -> Report:
    """Take in a file or all files of a folder; `again`: also what was taken in before.

    InputError for a path that does not exist; StackError when the lake cannot be written.
    """
    work, passed = plan(path, terms)
    done = set() if again else _taken_before(lake)
    todo = [one for one in work if one.id not in done]
    outcomes = {one.label: Outcome(one.label, BEFORE, one.kind) for one in work if one.id in done}
    for one in (one for one in todo if one.kind != "bars"):
        outcomes[one.label] = _take_reference(lake, one, now_us)
    batch = _Batch(lake, now_us)
    bars = [one for one in todo if one.kind == "bars"]
    seen = 0
    for number, (one, taken) in enumerate(spread(take_work, (lake.place.root, lake.place.options), bars), start=1):
        seen += taken.rows
        for outcome in batch.add(one, taken):
            outcomes[outcome.source] = outcome
        if progress is not None:
            progress(number, len(bars), seen)
    for outcome in batch.store():
        outcomes[outcome.source] = outcome
    order = [*(one.label for one in work), *(one.source for one in passed)]
    outcomes |= {one.source: one for one in passed}
    return Report(tuple(outcomes[label] for label in sorted(order)))


def plan(path: Path, terms: Terms) -> tuple[list[Work], list[Outcome]]:
    """The files to take, and those to pass over with the reason. InputError when there is no such file or folder."""
    if not path.exists():
        raise InputError("file", str(path), "no such file or folder", "give a .csv, .parquet or LEAN .zip, or a folder")
    found = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    work: list[Work] = []
    passed: list[Outcome] = []
    known: dict[str, str] = {}
    for file in found:
        label = file.name if path.is_file() else str(file.relative_to(path))
        if file.name.startswith("."):
            continue
        try:
            one = _work(file, label, terms, lone=path.is_file())
        except DataError as error:
            passed.append(Outcome(label, PASSED_OVER, notes=(error.problem,)))
            continue
        same = known.setdefault(one.id, label)
        if same != label:
            passed.append(Outcome(label, PASSED_OVER, notes=(f"the same file as {same}",)))
        else:
            work.append(one)
    return work, passed


def _work(file: Path, label: str, terms: Terms, lone: bool) -> Work:
    """A file as it is to be taken. DataError with the reason why it is to be passed over."""
    kind = lean_kind(file) or "bars"
    if kind == "bars" and file.suffix not in (".csv", ".parquet", ".zip"):
        if lone:
            raise InputError("file", str(file), "neither .csv, .parquet nor a zip of LEAN's", "convert it first")
        raise DataError("file", label, "neither .csv, .parquet nor a zip of LEAN's", "convert it first")
    if not lone and file.suffix == ".csv" and set(file.parts).intersection(NO_BARS):
        raise DataError("file", label, "a list of LEAN's that holds no bars", "leave it out")
    if file.suffix == ".zip":
        terms = lean_terms(file)[1]
    return Work(file, label, kind, terms, content_of(file))


def take_work(place: tuple[str, Options], work: Work) -> Taken:
    """One file taken apart, seen beside what the lake holds: run anywhere."""
    return take(work.path, work.terms, partial(stored_context, open_lake(*place)), work.label)


class _Batch:
    """Files taken apart that are not stored yet."""

    def __init__(self, lake: Lake, now_us: int) -> None:
        self._lake, self._now_us = lake, now_us
        self._held: list[tuple[Work, Taken]] = []

    def add(self, work: Work, taken: Taken) -> list[Outcome]:
        """Hold one more; when that is a batch, store it and say what became of its files."""
        self._held.append((work, taken))
        full = len(self._held) >= FILES_PER_BATCH or sum(one.rows for _, one in self._held) >= ROWS_PER_BATCH
        return self.store() if full else []

    def store(self) -> list[Outcome]:
        """Store what is held."""
        held = sorted(self._held, key=lambda pair: pair[0].label)
        self._held = []
        if not held:
            return []
        Quarantine(self._lake.intake.quarantine).add(
            pl.concat([OFFENDERS.to_frame(), *(taken.offenders for _, taken in held)]), self._now_us
        )
        for market, interval in sorted({(taken.terms.market, taken.terms.interval) for _, taken in held}):
            ours = [t for _, t in held if (t.terms.market, t.terms.interval) == (market, interval) and t.good.height]
            if ours:
                bars = pl.concat([taken.good.select(BARS) for taken in ours])
                note = ours[0].label if len(ours) == 1 else f"{len(ours)} files, {ours[0].label} first"
                store_bars(self._lake, market, interval, bars, note, self._now_us)
        outcomes = [_outcome(taken) for _, taken in held]
        _write_down(self._lake, [work for work, _ in held], outcomes, self._now_us)
        return outcomes


def _outcome(taken: Taken) -> Outcome:
    checks = offences_of(taken) or None
    return Outcome(
        taken.label,
        STORED,
        rows=taken.rows,
        stored=taken.good.height,
        quarantined=taken.offenders.height,
        checks=checks,
        reasons=tuple(taken.offenders["reasons"].unique(maintain_order=True).head(REASONS_TOLD).to_list()),
        notes=taken.notes,
    )


def _take_reference(lake: Lake, work: Work, now_us: int) -> Outcome:
    """Actions or history of a file of LEAN's: all of it, or the file as a whole is in quarantine."""
    read, store = (read_factors, store_actions) if work.kind == "factors" else (read_map, store_history)
    try:
        rows = read(work.path)
        if rows.height:
            store(lake, rows, work.label)
    except DataError as error:
        outcome = replace(_held_whole(lake, work, error, now_us), kind=work.kind)
    else:
        outcome = Outcome(work.label, STORED, work.kind, rows.height, rows.height)
    _write_down(lake, [work], [outcome], now_us)
    return outcome


def _held_whole(lake: Lake, work: Work, error: DataError, now_us: int) -> Outcome:
    taken = whole_file(work.label, work.content, work.terms, error)
    Quarantine(lake.intake.quarantine).add(taken.offenders, now_us)
    return _outcome(taken)


def _taken_before(lake: Lake) -> set[str]:
    if lake.intake.files.stored() is None:
        return set()
    return set(lake.intake.files.read(columns=["source"])["id"].to_list())


def _write_down(lake: Lake, work: Sequence[Work], outcomes: Sequence[Outcome], now_us: int) -> None:
    rows = [
        {
            "id": one.id,
            "source": one.label,
            "content": one.content,
            "kind": one.kind,
            "market": one.terms.market,
            "interval": one.terms.interval,
            "rows": float(outcome.rows),
            "stored": float(outcome.stored),
            "quarantined": float(outcome.quarantined),
            "notes": "; ".join(outcome.notes) or None,
            "taken_ts": now_us,
        }
        for one, outcome in zip(work, outcomes, strict=True)
    ]
    frame = pl.DataFrame(rows, {**lake.intake.files.definition.read_schema, "taken_ts": pl.Int64()})
    frame = frame.with_columns(pl.col("taken_ts").cast(lake.intake.files.definition.read_schema["taken_ts"]))
    lake.intake.files.upsert(frame.unique("id", keep="last"), source="ingest")
