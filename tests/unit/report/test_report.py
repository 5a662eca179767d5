"""The report: every section present when its data is, charts that plotly accepts, nothing fetched, nothing executed."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from plotly import graph_objects

from mts1b.foundation.errors import InputError, StackError
from mts1b.foundation.fill import Fill
from mts1b.foundation.ids import FillId, FundId, OrderId, StrategyId, Symbol
from mts1b.foundation.order import Side
from mts1b.quantkit.cscv import Overfitting
from mts1b.quantkit.spa import Superiority
from mts1b.report import (
    Curves,
    FoldRow,
    GridMap,
    LatencyRow,
    PaperSession,
    ReportData,
    SweepFigures,
    SymbolFills,
    TopCurves,
    figures,
    grid_map,
    paper_session,
    tables,
    write_report,
)
from mts1b.report.accounts import answers
from mts1b.report.html import render
from mts1b.research.accounting import Accounting
from mts1b.strategy.panel import Panel

DAY = 86_400 * 10**9
DAYS = np.arange(17_000, 17_060, dtype=np.int64) * DAY
RETURNS = np.random.default_rng(1).normal(0.001, 0.01, len(DAYS))
NAN = float("nan")

SWEEP = SweepFigures(
    strategy="sma_cross",
    formula="where(sma(close, fast) > sma(close, slow), 1, 0)",
    params={"fast": 12.0, "slow": 200.0},
    trials=10_000,
    symbols=100,
    bars=2518,
    seconds=8.31,
    sharpe=0.93,
    deflated_sharpe=0.61,
    sharpe_by_luck=0.88,
    costs="1 bps commission",
    data="version 1277",
    code="7c2e",
)
ACCOUNTING = Accounting(
    probabilistic_sharpe=0.991,
    independent_trials=3.4,
    trials_sampled=64,
    sharpe_by_luck=0.41,
    deflated_sharpe=0.83,
    track_record_bars=604.8,
    overfitting=Overfitting(pbo=0.37, loss=0.12, splits=252, blocks=10, trials=10_000),
    superiority=Superiority(0.21, 0.19, 0.25, 12, 1_000),
)
TOP = TopCurves(DAYS, np.cumprod(1 + np.stack([RETURNS, RETURNS[::-1]]), axis=1), ("fast=12", "fast=13"))
GRID = GridMap(
    "fast", np.array([5.0, 10.0]), "slow", np.array([20.0, 40.0, 60.0]), np.array([[0.1, NAN], [0.2, 0.3], [0.5, 0.4]]),
    (5.0, 60.0), {"target": 0.1},
)  # fmt: skip
FOLDS = (FoldRow(("2008-01-02", "2010-12-31"), ("2011-01-03", "2011-12-30"), {"fast": 10.0}, 1.2, -0.4),)
NAME = SymbolFills("AAPL", DAYS, 100 + np.arange(60.0), DAYS[[3, 9]], np.array([103.5, 108.5]), np.array([50.0, -50.0]))
PAPER = PaperSession(DAYS, 1e6 * np.cumprod(1 + RETURNS), 1e6, 60, 1034, 1012, 523.25, {3: 12, 7: 1}, 9032, (NAME,))
LATENCY = (
    LatencyRow("Portfolio sizing", 60, 0.18, 4.99, 5.0),
    LatencyRow("Broker submit", 1034, 0.9, 21.0, 20.0),
    LatencyRow("Risk gate 6 (short)", 0, NAN, NAN, 2.0),
    LatencyRow("Total signal to venue ack", 1034, 4.0, 9.87, 50.0),
    LatencyRow("Whole rebalance", 60, 200.0, 400.0),
)
WHOLE = ReportData(
    "SMA cross <script>alert(1)</script>", 1_700_000_000 * 10**9, SWEEP,
    curves=Curves(DAYS, RETURNS, RETURNS[::-1]), grid=GRID, folds=FOLDS, out_of_sample_sharpe=0.48, paper=PAPER,
    latency=LATENCY, accounting=ACCOUNTING, top=TOP,
)  # fmt: skip

SECTIONS = [
    "Read this first",
    "The sweep",
    "Accounting for the trials",
    "Winner against buy and hold",
    "The best of the grid",
    "The grid",
    "Out of sample",
    "Paper session",
    "Fills on the price",
    "Hot path",
]


def body(page: str) -> str:
    """The page without plotly.js."""
    start = page.index("<script>")
    return page[:start] + page[page.index("const figures = ") :]


def charts(page: str) -> dict[str, dict]:
    """The charts a page draws."""
    found = re.search(r"const figures = (.*);\n", page[page.rindex("<script>") :])
    assert found
    return json.loads(found.group(1))


@pytest.fixture(scope="module")
def page() -> str:
    return render(WHOLE)


def test_every_section_in_order(page: str) -> None:
    assert re.findall(r"<h2>(.*?)</h2>", body(page)) == SECTIONS


def test_every_question_about_the_trials_has_its_answer(page: str) -> None:
    text = body(page)
    for words in (
        "99.1%",
        "83.0%",
        "about 3.4 independent trials",
        "probability 37.0%",
        "252 splits",
        "p = 0.210",
        "605 bars",
    ):
        assert words in text, words
    without = dict(answers(replace(ACCOUNTING, superiority=None, overfitting=None, track_record_bars=None)))
    assert "--spa name=values" in without["Superior to holding (SPA)"]
    assert "too short" in without["Overfitting (CSCV)"] and "no history" in without["Minimum track record"]


def test_the_best_are_drawn_the_winner_in_front(page: str) -> None:
    lines = next(
        chart["data"]
        for chart in charts(page).values()
        if len(chart["data"]) == 2 and chart["data"][1]["name"] == "fast=12"
    )
    assert lines[0]["name"] == "fast=13" and lines[1]["line"]["width"] > lines[0]["line"]["width"]
    with pytest.raises(InputError, match="worth"):
        TopCurves(DAYS, TOP.worth, ("fast=12",))


def test_the_figures_are_there(page: str) -> None:
    text = body(page)
    for words in ("0.93", "61.0%", "10,000", "fast=12, slow=200", "1,034 orders, 1,012 fills", "9,032 links verified"):
        assert words in text
    assert "survivorship-biased" in text and "adjusted for splits and dividends" in text
    assert "not convincing evidence" in text
    assert "<td>3 · static</td><td>12</td>" in text and "<td>7 · CRO veto</td><td>1</td>" in text
    assert "<td>all</td><td>13</td>" in text


def test_latency_says_within_or_over(page: str) -> None:
    table = body(page)[body(page).index("Hot path") :]
    assert re.findall(r"[✓✗] \w+", table) == ["✓ within", "✗ over", "✓ within"]
    assert "9.87 ms" in table and "no target" in table and "not run" in table
    assert [row.within for row in LATENCY] == [True, False, None, True, None]


def test_plotly_accepts_every_chart(page: str) -> None:
    drawn = charts(page)
    assert len(drawn) == 7
    for place, figure in drawn.items():
        graph_objects.Figure(figure)
        assert f'id="{place}"' in page


def test_charts_show_what_they_were_given(page: str) -> None:
    equity, _, heat, trials, folds, nav, fills = charts(page).values()
    worth = next(trace for trace in equity["data"] if trace["name"] == "Winner" and trace.get("yaxis") is None)
    assert worth["y"] == pytest.approx(np.cumprod(1 + RETURNS), rel=1e-5)
    assert worth["x"][0] == "2016-07-18"
    assert heat["data"][0]["z"] == [[0.1, None], [0.2, 0.3], [0.5, 0.4]]
    assert (heat["data"][1]["x"], heat["data"][1]["y"]) == ([5.0], [60.0])
    assert sum(trials["data"][0]["y"]) == 5 and [shape["x0"] for shape in trials["layout"]["shapes"]] == [0.88, 0.93]
    assert [trace["y"] for trace in folds["data"]] == [[1.2], [-0.4]]
    assert nav["data"][0]["y"][-1] == pytest.approx(PAPER.nav[-1])
    buys, sells = fills["data"][1:]
    assert (buys["y"], sells["y"], sells["customdata"]) == ([103.5], [108.5], [50.0])


def test_the_page_needs_nothing_else_and_runs_nothing_it_was_given(page: str) -> None:
    text = body(page)
    assert not re.search(r"""(src|href)\s*=|url\(|@import""", text)
    assert "default-src 'none'" in text
    assert "<script>alert" not in text and "SMA cross &lt;script&gt;" in text
    assert page.count("</script>") == page.count("<script>") + len(re.findall(r"<script [^>]*>", page))


def test_a_name_cannot_end_the_script() -> None:
    paper = replace(PAPER, symbols=(replace(NAME, symbol="</script><b>"),))
    made = render(replace(WHOLE, paper=paper))
    assert "</script><b>" not in made
    assert charts(made)["figure-7"]["layout"]["title"]["text"] == "<b></script><b></b>"


@pytest.mark.parametrize(
    ("left_out", "gone"),
    [
        ({"sweep": None}, ["The sweep"]),
        ({"curves": None}, ["Winner against buy and hold"]),
        ({"grid": None}, ["The grid"]),
        ({"folds": ()}, ["Out of sample"]),
        ({"paper": None}, ["Paper session", "Fills on the price"]),
        ({"latency": ()}, ["Hot path"]),
        ({"warnings": ()}, ["Read this first"]),
    ],
)
def test_what_is_left_out_is_not_shown(left_out: dict, gone: list[str]) -> None:
    made = render(replace(WHOLE, **left_out))
    assert re.findall(r"<h2>(.*?)</h2>", body(made)) == [name for name in SECTIONS if name not in gone]
    for figure in charts(made).values():
        graph_objects.Figure(figure)


def test_an_empty_session_and_an_empty_grid_still_make_a_page() -> None:
    none = np.array([], dtype=np.float64)
    paper = PaperSession(
        DAYS[:0], none, 1e6, 0, 0, 0, 0.0, {}, 0, (SymbolFills("A", DAYS[:0], none, DAYS[:0], none, none),)
    )
    made = render(replace(WHOLE, paper=paper, grid=replace(GRID, sharpe=np.full((3, 2), NAN))))
    assert "no session" in made
    for figure in charts(made).values():
        graph_objects.Figure(figure)


def test_only_the_most_traded_names_are_drawn() -> None:
    many = [replace(NAME, symbol=f"N{number}") for number in range(30)]
    idle = replace(NAME, symbol="IDLE", fill_ts_ns=DAYS[:0], fill_price=np.zeros(0), fill_quantity=np.zeros(0))
    made = render(replace(WHOLE, paper=replace(PAPER, symbols=(idle, *many))))
    assert "12 of 31 names shown" in made and "IDLE" not in body(made)


def test_writing_replaces_the_file_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "report.html"
    assert write_report(path, WHOLE) == path
    first = path.read_text()
    write_report(path, WHOLE)
    assert path.read_text() == first and [found.name for found in path.parent.iterdir()] == ["report.html"]
    assert path.stat().st_size < 6_000_000


def test_a_page_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StackError, match="cannot be written"):
        write_report(tmp_path / "file" / "report.html", WHOLE)


@pytest.mark.parametrize(
    "build",
    [
        lambda: Curves(DAYS, RETURNS[1:], RETURNS),
        lambda: GridMap("a", np.arange(2.0), "b", np.arange(3.0), np.zeros((2, 3)), (0.0, 0.0), {}),
        lambda: replace(NAME, close=np.zeros(3)),
        lambda: replace(NAME, fill_price=np.zeros(3)),
        lambda: replace(PAPER, nav=np.zeros(3)),
    ],
)
def test_columns_of_different_lengths(build) -> None:
    with pytest.raises(InputError):
        build()


@pytest.mark.parametrize(
    ("ms", "shown"),
    [
        (0.0, "0 ns"),
        (0.000999, "999 ns"),
        (0.0015, "1.5 µs"),
        (12.345678, "12.3 ms"),
        (8310.0, "8.31 s"),
        (1e7, "10,000 s"),
        (NAN, "not run"),
    ],
)
def test_durations(ms: float, shown: str) -> None:
    assert tables.duration(ms) == shown


@pytest.mark.parametrize(
    ("deflated", "words"),
    [(0.97, "more than luck"), (0.9, "not convincing"), (NAN, "not convincing"), (0.99999, "> 99.9%")],
)
def test_the_verdict(deflated: float, words: str) -> None:
    assert words in tables.verdict(replace(SWEEP, deflated_sharpe=deflated)).replace("&gt;", ">")


def test_a_heat_map_with_losses_diverges_about_zero() -> None:
    cells = figures.heat_map(replace(GRID, sharpe=GRID.sharpe - 0.3))["data"][0]
    assert cells["zmin"] == -cells["zmax"] and cells["colorscale"] == figures.LOSS_TO_GAIN


def table(fast: range, slow: range, target: tuple[float, ...] = (0.1,)) -> pl.DataFrame:
    """Results for every fast < slow."""
    rows = [(f, s, t, f / 1000 + s + t) for f in fast for s in slow for t in target if f < s]
    return pl.DataFrame(rows, schema=["fast", "slow", "target", "sharpe"], orient="row")


def test_a_grid_map_from_a_result_table() -> None:
    made = grid_map(
        table(range(5, 8), range(6, 9), (0.1, 0.2)), ["fast", "slow", "target"], dict(fast=5, slow=6, target=0.2)
    )
    assert made is not None
    assert (made.x_name, made.y_name, made.held) == ("fast", "slow", {"target": 0.2})
    assert made.xs.tolist() == [5.0, 6.0, 7.0] and made.ys.tolist() == [6.0, 7.0, 8.0]
    assert np.isnan(made.sharpe).tolist() == [[False, True, True], [False, False, True], [False, False, False]]
    assert made.sharpe[2, 1] == pytest.approx(8.206)


def test_a_wide_grid_is_thinned_and_keeps_the_winner() -> None:
    made = grid_map(
        table(range(1, 500), range(500, 503)), ["fast", "slow", "target"], dict(fast=123, slow=501, target=0.1)
    )
    assert made is not None and len(made.xs) <= 161 and 123.0 in made.xs
    assert not np.isnan(made.sharpe).any()


def test_a_grid_of_one_parameter_has_no_map() -> None:
    best = dict(fast=2, slow=9, target=0.1)
    assert grid_map(table(range(1, 5), range(9, 10)), ["fast", "slow", "target"], best) is None
    with pytest.raises(InputError, match="no such column"):
        grid_map(table(range(1, 5), range(9, 10)), ["fast", "window"], best)


def test_a_paper_section_from_fills_and_closes() -> None:
    close = np.arange(120.0).reshape(60, 2) + 1
    panel = Panel(DAYS, ("AAPL", "IBM"), close, close, close, close, close)
    nav = [(int(DAYS[at]), Decimal(1000 + at)) for at in (10, 11, 12)]

    def fill(at: int, symbol: str, side: Side) -> Fill:
        names = (FillId(f"f{at}"), OrderId("o"), FundId("fund"), StrategyId("s"), Symbol(symbol))
        return Fill(*names, side, Decimal(5), Decimal("20.5"), Decimal("0.1"), int(DAYS[at]))

    fills = [fill(10, "IBM", Side.BUY), fill(12, "IBM", Side.SELL)]
    made = paper_session(panel, nav, Decimal(1000), fills, orders=3, refusals={3: 1}, audit_links=9)
    assert (made.sessions, made.fills, made.fees, made.nav.tolist()) == (3, 2, 0.2, [1010.0, 1011.0, 1012.0])
    idle, traded = made.symbols
    assert len(idle.fill_price) == 0 and idle.close.tolist() == [21.0, 23.0, 25.0]
    assert traded.fill_quantity.tolist() == [5.0, -5.0] and traded.fill_ts_ns.tolist() == [DAYS[10], DAYS[12]]
    render(replace(WHOLE, paper=made))
