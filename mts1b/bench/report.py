"""`mts bench report`: one page from saved results. The same results give the same page, whenever and wherever."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from mts1b.bench.result import SavedResult, read_result
from mts1b.bench.source_tables import SOURCE_TABLES, Figure, SourceTable
from mts1b.foundation.errors import DataError, InputError

NOT_MEASURED = "not measured yet"

UNITS = {"s": "s", "ms": "ms", "gb": "GB", "mb": "MB"}
"""Last word of a figure's name -> what is written behind it."""

Results = Mapping[str, SavedResult]

HEAD = """# Performance

Made by `mts bench report` from the results in `docs/bench`; a test says that it is what they make. Each benchmark shows
equal results before it times anything; `mts bench NAME --save docs/bench` measures anew. Where nothing is measured, or
nothing can be here (no GPU), it says so.
"""


def page(folder: Path) -> str:
    """The page in Markdown. InputError when there is no such folder, DataError for a file that is not a result."""
    if not folder.is_dir():
        raise InputError("results", str(folder), "no such folder", "give the folder of `mts bench --save`")
    results = {path.stem: _read(path) for path in sorted(folder.glob("*.json"))}
    parts = [HEAD, "## Beside the source's tables\n"]
    parts += [_source_table(table, results) for table in SOURCE_TABLES]
    parts.append("## What was measured\n")
    parts += [_result_table(result) for result in results.values()]
    return "\n".join(parts) if results else "\n".join([*parts, "Nothing yet.\n"])


def _read(path: Path) -> SavedResult:
    found = read_result(path)
    if found.name != path.stem:
        raise DataError("result", str(path), f"is of {found.name}", f"name it {found.name}.json")
    if found.figures.get("quick"):
        raise DataError("result", str(path), "is of a --quick run", "measure at full size")
    return found


def _source_table(table: SourceTable, results: Results) -> str:
    ours = table.ours or ((None,) * len(table.our_columns),) * len(table.rows)
    rows = [
        (*row, *(_beside(figure, results) for figure in beside)) for row, beside in zip(table.rows, ours, strict=True)
    ]
    note = f"\n{table.note}\n" if table.note else ""
    return f"### {table.title}\n\n" + markdown((*table.columns, *table.our_columns), rows) + note


def _beside(figure: Figure | None, results: Results) -> str:
    if figure is None or figure.benchmark not in results:
        return NOT_MEASURED
    value = results[figure.benchmark].figures.get(figure.name)
    if value is None:
        return NOT_MEASURED
    text = shown(figure.name, value)
    return text if figure.source is None else f"{text} ({number(figure.source / value)}x)"


def _result_table(result: SavedResult) -> str:
    figures = [(name, shown(name, value)) for name, value in result.figures.items()]
    versus = [(name, shown(name, value)) for name, value in result.versus.items()]
    text = f"### {result.name}\n\n{_machine(result.machine)}\n\n" + markdown(("figure", "value"), figures)
    return text + ("\n" + markdown(("beside", "value"), versus) if versus else "")


def _machine(machine: Mapping[str, object]) -> str:
    return (
        f"{machine['date']}: {machine['processor']}, {machine['cores']} cores, {machine['memory_gb']} GB, "
        f"{machine['system']}, Python {machine['python']}, load average {machine['load_average']} at the end"
    )


def markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table, with a line end behind it."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join("| " + " | ".join(cells) + " |\n" for cells in lines)


def shown(name: str, value: float) -> str:
    """A figure with the unit its name ends with; counts in full."""
    unit = "" if "_per_" in name else UNITS.get(name.rpartition("_")[2], "")
    if name.endswith("_share"):
        return f"{value:.1%}"
    return f"{number(value)} {unit}".strip()


def number(value: float) -> str:
    """Three significant digits, whole numbers from 100 on, thousands apart; scientific from ten million on."""
    if float(value).is_integer() and abs(value) < 1e9:
        return f"{int(value):,}"
    if abs(value) >= 1e7:
        return f"{value:.2e}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
