"""The page: sections in order, charts inlined, one file that needs nothing else and asks the network for nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

from plotly.offline import get_plotlyjs

from mts1b.foundation.clock import from_ns
from mts1b.foundation.errors import StackError
from mts1b.report import accounts, figures, tables
from mts1b.report.data import GridMap, PaperSession, ReportData, SweepFigures
from mts1b.report.figures import Figure

NAMES_SHOWN_MAX = 12
"""Price charts on one page; the names with the most fills come first."""


class Page:
    """Sections and charts as they are added; each chart gets a place of its own."""

    def __init__(self) -> None:
        self.charts: dict[str, Figure] = {}
        self._sections: list[str] = []

    def chart(self, figure: Figure) -> str:
        """The HTML that holds a chart."""
        place = f"figure-{len(self.charts) + 1}"
        self.charts[place] = figure
        return f'<div class="figure" id="{place}" style="min-height:{figure["layout"]["height"]}px"></div>'

    def section(self, title: str, why: str, *content: str, kind: str = "") -> None:
        """A heading, a sentence on how to read it, and what it holds."""
        note = f'<p class="why">{escape(why)}</p>' if why else ""
        self._sections.append(f'<section class="{kind}"><h2>{escape(title)}</h2>{note}{"".join(content)}</section>')

    @property
    def sections(self) -> str:
        return "\n".join(self._sections)


def write_report(path: Path, data: ReportData) -> Path:
    """Write the report to `path`, replacing what was there in one step, and return it. About 5 MB, mostly plotly.js.

    StackError when it cannot be written.
    """
    content = render(data)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(content, encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        problem = f"cannot be written: {error.strerror or error}"
        raise StackError("report", str(path), problem, "give a path in a directory you may write") from None
    return path


def render(data: ReportData) -> str:
    """The page as text."""
    page = Page()
    if data.warnings:
        page.section("Read this first", "", f"<ul>{tables.warnings(data.warnings)}</ul>", kind="warnings")
    _add_sweep(page, data)
    _add_folds(page, data)
    if data.paper is not None:
        _add_paper(page, data.paper)
    if data.latency:
        why = "Each step of an order's way from signal to the venue's acknowledgement, against its budget at p99."
        page.section("Hot path", why, tables.latency(data.latency))
    template = Template(files("mts1b.report").joinpath("page.html").read_text(encoding="utf-8"))
    return template.substitute(
        title=escape(data.title),
        made=from_ns(data.made_ns).strftime("%Y-%m-%d %H:%M UTC"),
        tiles=tables.tiles(data),
        sections=page.sections,
        plotly=get_plotlyjs(),
        figures=_script_json(page.charts),
    )


def _add_sweep(page: Page, data: ReportData) -> None:
    if data.sweep is not None:
        page.section("The sweep", "", tables.verdict(data.sweep), tables.sweep_facts(data.sweep))
    if data.accounting is not None:
        why = "What so many trials do to the best of them, and how likely the choice is to be an accident."
        page.section("Accounting for the trials", why, accounts.table(data.accounting))
    if data.curves is not None:
        why = "Worth of 1 on a log scale, the winner after costs, and how far each stood below its highest so far."
        page.section("Winner against buy and hold", why, page.chart(figures.equity(data.curves)))
    if data.top is not None:
        why = "The best combinations by Sharpe, the winner in front: curves that differ little are hardly a choice."
        page.section("The best of the grid", why, page.chart(figures.top(data.top)))
    if data.grid is not None:
        why = "A winner on a broad plateau is likelier to last than one on a lone peak."
        page.section("The grid", _grid_note(data.grid, why), _two(_grid_charts(page, data.grid, data.sweep)))


def _grid_charts(page: Page, grid: GridMap, sweep: SweepFigures | None) -> Iterator[str]:
    yield page.chart(figures.heat_map(grid))
    if sweep is not None:
        yield page.chart(figures.trials(grid, sweep))


def _grid_note(grid: GridMap, why: str) -> str:
    return f"{why} Held at the winner's value: {tables.params(grid.held)}." if grid.held else why


def _add_folds(page: Page, data: ReportData) -> None:
    if data.folds:
        rows = list(data.folds)
        why = "Parameters chosen on one window, judged on the next, which the choice could not see."
        page.section("Out of sample", why, page.chart(figures.folds(rows)), tables.fold_table(rows))


def _add_paper(page: Page, paper: PaperSession) -> None:
    why = "The winner, decided bar by bar and traded through gates, order management and a simulated exchange."
    facts = (f"<div>{tables.paper_facts(paper)}</div>", f"<div>{tables.refusals(paper)}</div>")
    charts = page.chart(figures.nav(paper)) if len(paper.nav) else ""
    page.section("Paper session", why, charts, _two(iter(facts)))
    shown = sorted(paper.symbols, key=lambda name: -len(name.fill_price))[:NAMES_SHOWN_MAX]
    if shown:
        note = f"Each fill at its session and price, over the closes. {len(shown)} of {len(paper.symbols)} names shown."
        page.section("Fills on the price", note, _two(page.chart(figures.fills(name)) for name in shown))


def _two(parts: Iterator[str]) -> str:
    return f'<div class="two">{"".join(parts)}</div>'


def _script_json(value: object) -> str:
    """JSON that cannot end the script it stands in."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
