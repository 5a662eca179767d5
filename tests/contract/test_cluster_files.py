"""cluster.yaml and sky/*.yaml: what Ray's and SkyPilot's own validation say, and that they run the job as it is."""

from __future__ import annotations

import copy
import importlib.metadata
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from mts1b.config import child_environment
from mts1b.research.grid import Grid
from mts1b.research.request import grid_ranges
from mts1b.strategy import get_strategy

ROOT = Path(__file__).parents[2]
CLUSTER = ROOT / "cluster.yaml"
TASKS = sorted((ROOT / "sky").glob("*.yaml"))

VALIDATE_TASK = """
import sys, jsonschema, yaml
from sky import Task
from sky.utils import schemas
config = yaml.safe_load(open(sys.argv[1]))
jsonschema.Draft7Validator(schemas.get_task_schema()).validate(config)
task = Task.from_yaml_config(config, secrets_overrides=[("RAY_AUTH_TOKEN", "x")])
print(task.num_nodes, len(task.resources))
"""


def test_ray_accepts_the_cluster() -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    prepared = prepare_config(yaml.safe_load(CLUSTER.read_text()))
    validate_config(prepared)
    assert set(prepared["available_node_types"]) == {"ray.head.default", "cpu.spot", "gpu.spot"}
    wrong = copy.deepcopy(prepared) | {"max_workerz": 1}
    with pytest.raises(Exception, match="max_workerz"):
        validate_config(wrong)


@pytest.mark.skipif(
    not any(found.metadata["Name"] == "skypilot" for found in importlib.metadata.distributions()),
    reason="SkyPilot is in the extra `cloud`",
)
@pytest.mark.parametrize("task", TASKS, ids=lambda path: path.name)
def test_skypilot_accepts_the_task(task: Path, tmp_path: Path) -> None:
    environment = child_environment(
        HOME=str(tmp_path),
        SKY_RUNTIME_DIR=str(tmp_path),
        SKYPILOT_DISABLE_USAGE_COLLECTION="1",
        AWS_EC2_METADATA_DISABLED="true",
        NO_GCE_CHECK="true",
    )

    def validate(path: Path) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-c", VALIDATE_TASK, str(path)]
        return subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)

    accepted = validate(task)
    assert accepted.returncode == 0, accepted.stderr
    assert accepted.stdout.split()[-2:] == ["2", "3"]
    wrong = yaml.safe_load(task.read_text())
    wrong["resources"]["cpu"] = wrong["resources"].pop("cpus")
    (tmp_path / "wrong.yaml").write_text(yaml.safe_dump(wrong))
    assert validate(tmp_path / "wrong.yaml").returncode != 0


def scripts() -> list[str]:
    cluster = yaml.safe_load(CLUSTER.read_text())
    commands = [text for name, texts in cluster.items() if name.endswith("_commands") for text in texts]
    return commands + [yaml.safe_load(path.read_text())[part] for path in TASKS for part in ("setup", "run")]


@pytest.mark.parametrize("script", scripts())
def test_scripts_are_shell_and_install_from_the_lock(script: str) -> None:
    subprocess.run(["bash", "-n", "-c", script], check=True, timeout=10)
    assert "uv sync" not in script
    if "requirements" in script:
        assert "--require-hashes -r requirements.lock" in script and (ROOT / "requirements.lock").is_file()


@pytest.mark.parametrize("task", TASKS, ids=lambda path: path.name)
def test_the_sweep_that_a_task_runs_is_a_sweep(task: Path) -> None:
    words = shlex.split(yaml.safe_load(task.read_text())["envs"]["SWEEP_ARGS"])
    options = list(zip(words[::2], words[1::2], strict=True))
    ranges = grid_ranges([value for name, value in options if name == "--grid"])
    strategy = get_strategy(dict(options)["--strategy"])
    assert Grid.parse(ranges, strategy.params, dict(options).get("--where")).size() >= 100_000
