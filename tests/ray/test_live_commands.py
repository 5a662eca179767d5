"""`mts live status` and `down` on a real fund: every actor answers, twice is harmless, nothing is left."""

from __future__ import annotations

import json
from typing import Any

import psutil
import pytest
from typer.testing import CliRunner

from actors.live_fund import begin
from mts1b.cli import live as live_module
from mts1b.cli.main import build_app
from mts1b.deploy.health import read_states
from mts1b.deploy.live import VenueCosts, parts_of
from mts1b.foundation.clock import SystemClock
from mts1b.foundation.errors import InputError
from mts1b.foundation.ids import FundId
from tests.conftest import RunningStack
from tests.paper_market import small_plan

FUND = FundId("shown")
APP = build_app(("live",))
ROLES = {"feed", "strategy", "risk", "oms", "broker"}


def live(stack: RunningStack, *words: str, code: int = 0) -> Any:
    done = CliRunner().invoke(APP, ["live", *words, "--json", "--data-dir", str(stack.settings.data_dir)])
    if isinstance(done.exception, InputError):
        raise done.exception
    assert done.exit_code == code, (done.output, done.exception)
    return json.loads(done.stdout)


@pytest.mark.timeout(180)
def test_status_tells_of_every_actor_and_down_leaves_nothing(
    ray_stack: RunningStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    pids: set[int] = set()
    try:
        begin(ray_stack.settings, small_plan(FUND), VenueCosts(), 0.2, SystemClock())
        monkeypatch.setattr(live_module, "ANSWER_S", 60.0)  # its actors are just starting
        (fund,) = live(ray_stack, "status")["funds"]
        assert fund["fund"] == FUND and set(fund["actors"]) == ROLES
        assert {fund["parts"][name]["state"] for name in parts_of(FUND)} == {"up"}
        pids = {actor["pid"] for actor in fund["actors"].values()}
        assert len(pids) == len(ROLES) and all(psutil.pid_exists(pid) for pid in pids)
        assert fund["actors"]["oms"]["statistics"]["limits_version"] == 1
        monkeypatch.setattr(live_module, "ANSWER_S", 1.0)
        psutil.Process(fund["actors"]["feed"]["pid"]).suspend()  # and one that does not answer is told of by name
        try:
            assert "problem" in live(ray_stack, "status", code=1)["funds"][0]["actors"]["feed"]
        finally:
            psutil.Process(fund["actors"]["feed"]["pid"]).resume()
    finally:
        assert live(ray_stack, "down", "--fund", FUND) == {"fund": FUND, "state": "down"}
    assert live(ray_stack, "down", "--fund", FUND)["state"] == "down"
    assert live(ray_stack, "status") == {"funds": []}
    assert not set(parts_of(FUND)) & set(read_states(ray_stack.settings))
    assert not [pid for pid in pids if psutil.pid_exists(pid)]
    with pytest.raises(InputError, match="no name for a fund"):
        live(ray_stack, "down", "--fund", "../x")
