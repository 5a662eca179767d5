from __future__ import annotations

import os
from pathlib import Path

from mts1b.config import load_settings
from mts1b.deploy.endpoints import Endpoints, ProcessMark, embedded_parts, endpoints_path, write_private
from mts1b.deploy.plan import CREDENTIALS, Plan, load_credentials, prepare_directories
from mts1b.deploy.ray_client import ray_environment
from mts1b.deploy.ray_head import TEMP_DIR_CHARS_MAX, prune_sessions, remove_link, short_link


def test_a_plan_survives_being_written_down(tmp_path: Path) -> None:
    prepare_directories(tmp_path)
    plan = Plan(str(tmp_path), ("nats", "ray"), {"ray.gcs_port": 7}, ray_num_cpus=2)
    plan.save()
    assert Plan.load(tmp_path) == plan


def test_credentials_are_generated_once_and_private(tmp_path: Path) -> None:
    first = load_credentials(tmp_path)
    assert set(first) == set(CREDENTIALS) and len(set(first.values())) == len(CREDENTIALS)
    assert load_credentials(tmp_path) == first
    assert (tmp_path / "credentials.json").stat().st_mode & 0o777 == 0o600


def test_write_private_replaces_at_once_and_leaves_nothing_else(tmp_path: Path) -> None:
    for text in ("one", "two"):
        write_private(tmp_path / "note", text)
    assert (tmp_path / "note").read_text() == "two" and len(list(tmp_path.iterdir())) == 1


def test_endpoints_survive_json_and_hide_credentials(tmp_path: Path) -> None:
    found = Endpoints(str(tmp_path), postgres_dsn="postgresql://mts:hidden@h:1/x", pids={"postgres": 3})
    assert Endpoints.from_json(found.to_json()) == found
    assert "hidden" not in repr(found)


def test_settings_replace_parts(tmp_path: Path) -> None:
    settings = load_settings(data_dir=tmp_path, cache={"url": "redis://h"}, ray={"address": "h:1"})
    assert embedded_parts(settings) == ("postgres", "nats")
    assert embedded_parts(settings, ("valkey", "nats")) == ("nats",)
    assert endpoints_path(settings).parent == settings.run_dir


def test_a_reused_pid_is_another_process() -> None:
    ours = ProcessMark.of(os.getpid())
    assert ours is not None and ours.process() is not None
    assert ProcessMark(ours.pid, ours.created - 60).process() is None


def test_ray_gets_a_short_path_and_the_link_goes(tmp_path: Path) -> None:
    prepare_directories(tmp_path / "long" / ("x" * TEMP_DIR_CHARS_MAX))
    plan = Plan(str(tmp_path / "long" / ("x" * TEMP_DIR_CHARS_MAX)), ("ray",))
    link = short_link(plan)
    try:
        assert len(str(link)) <= TEMP_DIR_CHARS_MAX
        assert link.resolve() == (plan.root / "ray" / "head").resolve()
        assert short_link(plan) == link
    finally:
        remove_link(plan.run_dir)
    assert not link.is_symlink() and (plan.root / "ray" / "head").is_dir()


def test_someone_elses_link_is_not_used_and_not_removed(tmp_path: Path) -> None:
    root = tmp_path / ("x" * TEMP_DIR_CHARS_MAX)
    prepare_directories(root)
    plan = Plan(str(root), ("ray",))
    other = tmp_path / "other"
    other.mkdir()
    write_private(plan.run_dir / "ray_link", str(other))
    link = short_link(plan)
    assert link != other
    write_private(plan.run_dir / "ray_link", str(other))
    remove_link(plan.run_dir)
    assert other.is_dir()
    link.unlink()


def test_old_sessions_are_pruned(tmp_path: Path) -> None:
    for day in range(1, 6):
        (tmp_path / f"session_2030-01-0{day}_x").mkdir()
    (tmp_path / "session_latest").symlink_to(tmp_path / "session_2030-01-05_x")
    prune_sessions(tmp_path)
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ["session_2030-01-03_x", "session_2030-01-04_x", "session_2030-01-05_x", "session_latest"]


def test_ray_environment_of_a_cluster_without_our_token() -> None:
    assert "RAY_AUTH_MODE" not in ray_environment(Endpoints("/d", ray_address="h:1"))
