"""Files read and checked on the Ray cluster: the lake that comes out is that of one process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from jobs.ingest import ingest_files
from mts1b.config import child_environment, load_settings
from mts1b.datalake import open_lake
from mts1b.datalake.intake.delivery import Terms
from mts1b.deploy.ray_client import ray_environment
from mts1b.foundation.clock import SystemClock
from tests.unit.datalake.test_intake import changed, daily

ROOT = Path(__file__).parents[2]


def test_a_job_takes_a_folder_in_as_one_process_does(ray_stack, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    for number in range(4):
        daily(50, f"N{number}", seed=number).write_csv(folder / f"{number}.csv")
    changed("close", "0").write_csv(folder / "bad.csv")
    home = tmp_path / "home"
    environment = child_environment(**ray_environment(ray_stack.endpoints))
    command = [sys.executable, "jobs/ingest.py", str(folder), "--data-dir", str(ray_stack.settings.data_dir), "--json"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.strip().splitlines()[-1])
    assert (found["rows"], found["stored"], found["quarantined"]) == (260, 259, 1)
    here = load_settings(data_dir=home)
    report = ingest_files(folder, Terms(), here, SystemClock(), on_ray=False)
    assert [one["source"] for one in found["files"]] == [one.source for one in report.files]
    lakes = [open_lake(settings.lake_root) for settings in (ray_stack.settings, here)]
    names = [f"N{number}" for number in range(4)]
    by_job, by_process = (lake.equities.bars.read([*names, "AAA"]) for lake in lakes)
    assert by_job.select(by_process.columns).equals(by_process)  # what others stored there may have more columns
    ids = [set(lake.intake.quarantine.read(columns=["source"])["id"]) for lake in lakes]
    assert ids[0] == ids[1] and len(ids[0]) == 1
