"""The whole stack with Ray, by its commands, as a user meets it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from mts1b.config import load_settings
from mts1b.deploy import stack as deployed
from mts1b.deploy.endpoints import PARTS
from mts1b.deploy.ray_client import ray_environment
from mts1b.foundation.clock import SystemClock
from tests.conftest import RunningStack
from tests.contract import stack_probe

LOOK_ROUND = """
import time
from mts1b.config import load_settings
from mts1b.deploy.ray_client import connect_ray
ray, until_s = connect_ray(load_settings()), time.monotonic() + 30
print("runs in", ray.get_runtime_context().namespace, load_settings().data_dir)
while not ray.util.list_named_actors() and time.monotonic() < until_s:
    time.sleep(0.1)
print("actors", ray.util.list_named_actors())
"""

CLOCK = SystemClock()
BIN = Path(sys.prefix) / "bin"


def mts(*words: str, data_dir: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from mts1b.cli.main import run; run()", *words, "--data-dir", str(data_dir)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """A whole stack below a path too long for Ray's sockets."""
    data_dir = tmp_path_factory.mktemp("stack") / "a_directory_whose_name_is_longer_than_the_paths_of_sockets_may_be"
    try:
        done = mts("up", data_dir=data_dir)
        assert done.returncode == 0, done.stderr
        settings = load_settings(data_dir=data_dir)
        yield RunningStack(settings, deployed.endpoints(settings))
    finally:
        deployed.down(load_settings(data_dir=data_dir), CLOCK)


def submit(own: RunningStack, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **ray_environment(deployed.endpoints(own.settings))}
    command = [str(BIN / "ray"), "job", "submit", "--", *words]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=120)


def test_status_shows_every_part_and_the_dashboard_answers(own: RunningStack) -> None:
    shown = json.loads(mts("status", "--json", data_dir=own.settings.data_dir).stdout)
    assert {part["name"]: part["state"] for part in shown["parts"]} == dict.fromkeys(PARTS, "up")
    with urlopen(own.endpoints.dashboard_url, timeout=10) as page:
        assert page.status == 200
    with pytest.raises(HTTPError, match="401"):
        urlopen(f"{own.endpoints.dashboard_url}/api/jobs/", timeout=10)


def test_env_is_what_a_shell_needs(own: RunningStack) -> None:
    done = mts("env", data_dir=own.settings.data_dir)
    shell = subprocess.run(
        ["sh", "-c", f"{done.stdout}\nenv"], capture_output=True, text=True, check=True, env={"PATH": os.defpath}
    )
    assert set(shell.stdout.splitlines()) >= {f"{k}={v}" for k, v in ray_environment(own.endpoints).items()}


def test_a_head_that_lost_its_raylet_comes_back_where_it_was(own: RunningStack) -> None:
    (raylet,) = (process for process in stack_probe.processes(own) if process.name() == "raylet")
    stack_probe.kill(raylet)
    stack_probe.wait_until_up(own, "ray", restarts=1)
    assert deployed.endpoints(own.settings).ray_address == own.endpoints.ray_address


def test_a_job_finds_the_stack_that_runs_it_and_its_watchdog(own: RunningStack) -> None:
    """The head is the one that was started again above: the supervisor has begun the watchdog anew."""
    done = submit(own, "python", "-c", LOOK_ROUND)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"runs in mts1b {own.settings.data_dir}" in done.stdout and "actors ['watchdog']" in done.stdout


def test_killed_whole_it_comes_up_and_down_leaves_nothing(own: RunningStack) -> None:
    stack_probe.kill(*stack_probe.processes(own))
    assert mts("status", data_dir=own.settings.data_dir).returncode == 1
    assert mts("up", data_dir=own.settings.data_dir).returncode == 0
    family = stack_probe.processes(own)
    link = Path((own.settings.run_dir / "ray_link").read_text())
    assert link.is_symlink() and len(family) > 10
    for _ in range(2):
        assert mts("down", data_dir=own.settings.data_dir).returncode == 0
        assert stack_probe.alive(family) == []
        assert not link.is_symlink()
    refused = mts("env", data_dir=own.settings.data_dir)
    assert refused.returncode == 2 and refused.stderr.count("\n") == 1 and "run `mts up`" in refused.stderr
