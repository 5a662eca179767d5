from __future__ import annotations

import io

import pytest
from rich.table import Table

from jobs.screen import screen

WORDS = "every_column_of_this_table_is_wider_than_a_third_of_what_a_terminal_takes"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(stream: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr("sys.stdout", stream)
    monkeypatch.setenv("COLUMNS", "80")
    table = Table("a", "b", "c")
    table.add_row(*[WORDS] * 3)
    screen().print(table)
    return stream.getvalue()


def test_a_pipe_gets_whole_tables_and_a_terminal_what_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(io.StringIO(), monkeypatch).count(WORDS) == 3
    seen = shown(Terminal(), monkeypatch)
    assert WORDS not in seen and len(seen.splitlines()[0]) == 80
