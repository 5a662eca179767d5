"""The same sweep by `mts sweep`, by `ray job submit` and in this process: one table. Killed half-way, it resumes."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from jobs.sweep import sweep
from mts1b.config import child_environment, load_settings
from mts1b.datalake import open_lake, sample_path
from mts1b.deploy.ray_client import ray_environment
from mts1b.foundation.clock import SystemClock
from mts1b.research.request import SweepRequest
from mts1b.research.store import read_table

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
GRID = ("fast=5:45:2", "slow=20:120:2")
WORDS = ("--strategy", "sma_cross", *(word for text in GRID for word in ("--grid", text)), "--where", "fast < slow")
JOB = "test-sweep"
STORED = "*/chunks/[0-9]*.parquet"


@pytest.fixture(scope="module")
def settings(ray_stack):
    """The stack's settings, with the sample in its lake."""
    open_lake(ray_stack.settings.lake_root).equities.bars.ingest(sample_path())
    return ray_stack.settings


@pytest.fixture(scope="module")
def environment(ray_stack) -> dict[str, str]:
    """What a user's shell holds after `mts env`."""
    return child_environment(**ray_environment(ray_stack.endpoints))


def mts(settings, results: Path, *words: str) -> list[str]:
    """The command line of `mts WORDS`, its results in a folder of their own."""
    (results.parent / f"{results.name}.yaml").write_text(json.dumps({"research": {"root": str(results)}}))
    return [str(BIN / "mts"), *words, "--data-dir", str(settings.data_dir)]


def config(results: Path) -> dict[str, str]:
    return child_environment(MTS_CONFIG=str(results.parent / f"{results.name}.yaml"))


@pytest.fixture(scope="module")
def by_command(settings, tmp_path_factory) -> dict:
    """The summary of `mts sweep`."""
    results = tmp_path_factory.mktemp("command") / "results"
    ran = subprocess.run(
        mts(settings, results, "sweep", *WORDS, "--json", "-"),
        env=config(results),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    assert "(100%)" in ran.stderr
    return json.loads(ran.stdout)


def test_in_this_process_it_is_the_same_table(settings, by_command, tmp_path) -> None:
    request = SweepRequest("sma_cross", GRID, where="fast < slow")
    here = load_settings(data_dir=settings.data_dir, research={"root": tmp_path})
    local = sweep(request, here, SystemClock(), local=True)
    assert local.key == by_command["key"] and local.deflated_sharpe == by_command["deflated_sharpe"]
    assert read_table(local.table).equals(read_table(by_command["table"]))
    assert local.trials == read_table(local.table).height


def test_a_submitted_job_is_seen_logs_and_gives_the_same_table(ray_stack, settings, environment, by_command) -> None:
    submit = [str(BIN / "ray"), "job", "submit", "--no-wait", "--submission-id", JOB, "--working-dir", "."]
    subprocess.run(
        [*submit, "--", "python", "jobs/sweep.py", *WORDS],
        cwd=ROOT,
        env=environment,
        check=True,
        capture_output=True,
        timeout=90,
    )
    url = f"{ray_stack.endpoints.dashboard_url}/api/jobs/{JOB}"
    token = Path(ray_stack.endpoints.ray_token_path).read_text().strip()
    seen = []
    with httpx.Client(headers={"Authorization": f"Bearer {token}"}, timeout=30) as dashboard:
        while not seen or seen[-1] in ("PENDING", "RUNNING"):
            shown = dashboard.get(url).raise_for_status().json()
            assert shown["entrypoint"].startswith("python jobs/sweep.py --strategy sma_cross")
            seen.append(shown["status"])
            time.sleep(0.2)
        log = dashboard.get(f"{url}/logs").raise_for_status().json()["logs"]
    assert "RUNNING" in seen and seen[-1] == "SUCCEEDED", log
    assert "sweep sma_cross: 0/" in log and "(100%)" in log and "deflated Sharpe ratio" in log
    table = settings.results_root / by_command["key"] / "chunks" / "*.parquet"
    assert read_table(str(table)).equals(read_table(by_command["table"]))


def test_a_killed_sweep_computes_only_what_is_missing(settings, by_command, tmp_path) -> None:
    results = tmp_path / "results"
    words = mts(settings, results, "sweep", *WORDS, "--json", "-")
    started = subprocess.Popen(words, env=config(results), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 90
        while not list(results.glob(STORED)) and time.monotonic() < deadline:
            time.sleep(0.002)
    finally:
        started.kill()
        started.wait(30)
    stored = {path: path.stat().st_mtime_ns for path in results.glob(STORED)}
    total = by_command["chunks_computed"]
    assert 0 < len(stored) < total
    ran = subprocess.run(words, env=config(results), capture_output=True, text=True, check=True, timeout=120)
    resumed = json.loads(ran.stdout)
    assert (resumed["chunks_skipped"], resumed["chunks_computed"]) == (len(stored), total - len(stored))
    assert all(path.stat().st_mtime_ns == written for path, written in stored.items())
    assert resumed["top"] == by_command["top"]
    assert read_table(resumed["table"]).equals(read_table(by_command["table"]))


def test_walk_forward_as_a_program(settings, tmp_path) -> None:
    results = tmp_path / "results"
    mts(settings, results)
    words = ("--strategy", "sma_cross", "--grid", "fast=5,20", "--grid", "slow=50,200", "--symbols", "AAPL,MSFT")
    ran = subprocess.run(
        [sys.executable, "jobs/walk_forward.py", *words, "--data-dir", str(settings.data_dir), "--json", "-"],
        cwd=ROOT,
        env=config(results),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)["walk_forward"]
    assert len(found["folds"]) == 7 and found["folds"][0]["test_dates"][0] > found["folds"][0]["train_dates"][1]


ACCOUNT = (
    "sma_cross",
    "--param",
    "fast=20",
    "--param",
    "slow=100",
    "--symbols",
    "AAPL,MSFT",
    "--capital",
    "50000",
    "--json",
)


def test_a_submitted_backtest_gives_the_account_of_the_command(settings, environment, tmp_path) -> None:
    """The event engine, as a job on the stack's cluster and as `mts backtest`."""
    submit = [str(BIN / "ray"), "job", "submit", "--working-dir", ".", "--", "python", "jobs/backtest.py"]
    job, command = (
        subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
        for words in ([*submit, *ACCOUNT], mts(settings, tmp_path / "results", "backtest", *ACCOUNT))
    )
    assert (job.returncode, command.returncode) == (0, 0), job.stdout + job.stderr + command.stderr
    wanted = json.loads(command.stdout)
    assert wanted["symbols"] == 2 and wanted["account"]["capital"] == 50_000 and len(wanted["trades"]) > 10
    log = job.stdout[job.stdout.index("\n{\n") :]
    assert json.loads(log[: log.index("\n}\n") + 3]) == wanted


def test_a_backtest_as_a_program_says_what_is_wrong(settings, environment) -> None:
    words = [sys.executable, "jobs/backtest.py", "sma_cross", "--param", "fst=5"]
    ran = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 2 and ran.stderr.startswith("error: param='fst'") and ran.stderr.count("\n") == 1
