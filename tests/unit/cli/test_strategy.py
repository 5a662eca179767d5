"""`mts strategy` as a user meets it."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from mts1b.cli.main import build_app, guarded
from mts1b.foundation.errors import InputError, UnknownNameError
from mts1b.strategy.files import find_strategy, strategies_of
from mts1b.strategy.library import names

APP = build_app(("strategy",))
FILE = """
from mts1b.strategy import close, param, sma, strategy, where

@strategy
def mine(window=param(2, 50)):
    \"\"\"Above the average.\"\"\"
    return where(close > sma(close, window), 1.0, 0.0)
"""


def call(*arguments):
    return CliRunner().invoke(APP, ["strategy", *arguments])


def test_list_names_the_library():
    assert [row["name"] for row in json.loads(call("list", "--json").stdout)] == list(names())
    assert "sma_cross" in call("list").stdout


@pytest.mark.parametrize("name", names())
def test_check_explains_a_strategy_of_the_library(name):
    assert name in call("check", name).stdout


def test_check_explains_a_users_file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(FILE)
    out = call("check", str(path)).stdout
    assert "mine: Above the average." in out
    assert "once for each value of window" in out
    assert json.loads(call("check", str(path), "--json").stdout)[0]["lookback_bars"] == 1


def test_check_explains_rules_nodes_and_what_is_shared():
    out = call("check", "trailing_breakout").stdout
    assert "3 bars" in out
    assert "2 rules" in out
    assert "node      atr: Wilder's average true range, in price; begun with a mean of `window` ranges." in out
    assert "atr(high, low, close, window): once for each value of window (at most 56 tables)" in out
    assert "in the kernel, for each combination" in out


def test_one_strategy_of_a_users_file_is_found_by_its_name(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(FILE + FILE[FILE.index("@") :].replace("def mine", "def other"))
    assert [one.name for one in strategies_of(path)] == ["mine", "other"]
    assert find_strategy(f"{path}:other").name == "other"
    assert find_strategy("sma_cross").name == "sma_cross"
    assert "other:" in call("check", f"{path}:other").stdout
    with pytest.raises(InputError, match="add one of :mine, :other"):
        find_strategy(str(path))
    with pytest.raises(UnknownNameError, match="did you mean: other"):
        find_strategy(f"{path}:othr")


WRONG = {
    "unknown name": (None, "strategy='sma_crs': unknown name; did you mean: sma_cross"),
    "missing file": ("", "does not exist"),
    "no strategy": ("x = 1\n", "defines no strategy"),
    "broken": ("1 / 0\n", "ZeroDivisionError"),
    "wrong expression": (FILE.replace("param(2", "param(0"), "sma(close, window)"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_one_line_and_exit_code_2(case, tmp_path, capsys):
    text, words = WRONG[case]
    path = tmp_path / "user.py"
    if text:
        path.write_text(text)
    what = "sma_crs" if text is None else str(path)
    code = guarded(lambda: APP(["strategy", "check", what], standalone_mode=False), debug=False)
    err = capsys.readouterr().err.strip()
    assert code == 2
    assert words in err
    assert "\n" not in err
