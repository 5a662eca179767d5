"""`mts risk` on a real Postgres, no Ray: limits version by version, and words about a fund that nobody trades now."""

from __future__ import annotations

import asyncio
import getpass
import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mts1b.cli.main import build_app
from mts1b.foundation.errors import InputError, UnknownNameError
from mts1b.foundation.ids import FundId
from mts1b.oms.journal import Journal
from mts1b.platform.db import close_pools, migrate, open_pool
from mts1b.refdata import document
from mts1b.testing.risk import wide_limits
from tests.conftest import RunningStack
from tests.contract.test_journal import opening

APP = build_app(("risk",))


@pytest.fixture
def fund(stack: RunningStack) -> str:
    """A fund that has been opened and that nobody trades."""
    name = f"fund-{uuid.uuid4().hex[:12]}"

    async def opened() -> None:
        pool = await open_pool("opening", stack.endpoints.postgres_dsn, pool_size=2)
        await migrate(pool)
        journal = Journal(pool, FundId(name))
        await journal.open()
        await journal.append(opening(name))
        await journal.close()
        await close_pools()

    asyncio.run(opened())
    return name


def mts(stack: RunningStack, *words: str) -> Any:
    """What a command prints, as JSON; raises what it raises."""
    done = CliRunner().invoke(APP, ["risk", *words, "--json", "--data-dir", str(stack.settings.data_dir)])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_limits_are_set_shown_and_told_of(stack: RunningStack, fund: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no limits"):
        mts(stack, "limits", "show", fund)
    with pytest.raises(InputError, match="dedup_window_s"):
        mts(stack, "limits", "set", fund, "gross_max=5")
    file = tmp_path / "limits.json"
    file.write_text(json.dumps(document(wide_limits(("A",)))))
    first = mts(stack, "limits", "set", fund, "--file", str(file), "--why", "to begin")
    assert (first["version"], first["why"], first["in_force"]) == (1, "to begin", False)
    second = mts(stack, "limits", "set", fund, "gross_max=5", "allowed_symbols=B,A", "--by", "ann")
    assert (second["version"], second["by"], second["limits"]["gross_max"]) == (2, "ann", "5")
    assert mts(stack, "limits", "show", fund)["limits"] == second["limits"]
    assert mts(stack, "limits", "show", fund, "--version", "1")["limits"] == first["limits"]
    history = mts(stack, "limits", "history", fund)
    assert [item["version"] for item in history] == [2, 1]
    assert history[0]["changes"] == {"allowed_symbols": [["A"], ["A", "B"]], "gross_max": ["1000000000", "5"]}
    assert mts(stack, "limits", "history", fund, "--limit", "1") == history[:1]
    file.write_text(json.dumps(first))  # what `show` prints may be handed back
    assert mts(stack, "limits", "set", fund, "--file", str(file))["limits"] == first["limits"]
    for wrong in ("gros_max=5", "gross_max", "gross_max=x"):
        with pytest.raises(InputError):
            mts(stack, "limits", "set", fund, wrong)
    assert mts(stack, "limits", "history", fund)[0]["version"] == 3


def test_a_word_about_a_fund_that_nobody_trades_is_stored(stack: RunningStack, fund: str) -> None:
    halted = mts(stack, "halt", fund, "--why", "fire", "--by", "ann")
    assert (halted["mode"], halted["by"], halted["why"], halted["heard_by_oms"]) == ("halted", "ann", "fire", False)
    assert mts(stack, "status", fund) == [{k: v for k, v in halted.items() if k != "heard_by_oms"}]
    assert mts(stack, "resume", fund)["by"] == getpass.getuser()
    assert mts(stack, "halt", fund, "--mode", "reducing")["mode"] == "reducing"
    assert mts(stack, "rearm", fund)["mode"] == "active"
    assert fund in {item["fund_id"] for item in mts(stack, "status")}
    with pytest.raises(UnknownNameError):
        mts(stack, "halt", fund + "x")
