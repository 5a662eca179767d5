"""The embedded servers, really started: nothing lost, nothing left, nobody let in."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest

from mts1b.config import load_settings
from mts1b.deploy import stack as deployed
from mts1b.deploy.endpoints import PARTS, Endpoints
from mts1b.deploy.plan import PORT_RANGE, load_credentials
from mts1b.foundation.clock import SystemClock
from mts1b.foundation.errors import StackError
from mts1b.platform import cache, db, eventbus
from tests.conftest import RunningStack
from tests.contract import stack_probe

CLOCK = SystemClock()
RUN = "from mts1b.cli.main import run; run()"
SERVERS = ("postgres", "nats", "valkey")


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """A stack of this module's own, to be killed at will."""
    settings = load_settings(data_dir=tmp_path_factory.mktemp("outer") / "inner")
    try:
        yield RunningStack(settings, deployed.up(settings, CLOCK, parts=SERVERS))
    finally:
        deployed.down(settings, CLOCK)


def up_again(own: RunningStack) -> Endpoints:
    return deployed.up(own.settings, CLOCK, parts=SERVERS)


def addresses(found: Endpoints) -> list[str]:
    return [found.address(part) for part in PARTS]


def test_started_twice_is_harmless(own: RunningStack) -> None:
    assert up_again(own) == up_again(own)


@pytest.mark.parametrize("part", SERVERS)
def test_a_killed_server_comes_back_with_its_data(own: RunningStack, part: str) -> None:
    found = up_again(own)
    before = next(status for status in deployed.status(own.settings) if status.name == part)
    asyncio.run(stack_probe.put(found, f"before {part} died"))
    os.kill(before.pid, 9)
    after = stack_probe.wait_until_up(own, part, before.restarts + 1)
    assert after.pid != before.pid and after.address == before.address
    kept = asyncio.run(stack_probe.get(found, reader=f"after-{part}"))
    assert set(kept.values()) == {f"before {part} died"}


def test_a_stack_killed_whole_comes_up_with_its_data(own: RunningStack) -> None:
    before = up_again(own)
    asyncio.run(stack_probe.put(before, "before all died"))
    stack_probe.kill(*stack_probe.processes(own))
    assert {status.state for status in deployed.status(own.settings)} == {"down"}
    with pytest.raises(StackError, match="is not up; run `mts up`"):
        deployed.endpoints(own.settings)
    after = up_again(own)
    assert addresses(after) == addresses(before)
    assert set(asyncio.run(stack_probe.get(after, reader="after-all")).values()) == {"before all died"}


def test_servers_do_not_outlive_a_killed_supervisor(own: RunningStack) -> None:
    before = up_again(own)
    family = stack_probe.processes(own)
    asyncio.run(stack_probe.put(before, "before the supervisor died"))
    stack_probe.kill(family[0])
    after = up_again(own)
    assert stack_probe.alive(family) == []
    assert set(asyncio.run(stack_probe.get(after, reader="after-supervisor")).values()) == {
        "before the supervisor died"
    }


def test_down_leaves_no_process_and_keeps_the_data(own: RunningStack) -> None:
    asyncio.run(stack_probe.put(up_again(own), "before down"))
    family = stack_probe.processes(own)
    deployed.down(own.settings, CLOCK)
    assert stack_probe.alive(family) == []
    deployed.down(own.settings, CLOCK)
    assert set(asyncio.run(stack_probe.get(up_again(own), reader="after-down")).values()) == {"before down"}


def test_two_ups_at_once_start_one_stack(own: RunningStack) -> None:
    deployed.down(own.settings, CLOCK)
    command = [sys.executable, "-c", RUN, "up", "--data-dir", str(own.settings.data_dir)]
    command += [word for part in SERVERS for word in ("--only", part)]
    starts = [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for _ in range(2)]
    assert [(start.communicate()[1], start.returncode)[1] for start in starts] == [0, 0]
    assert len([p for p in stack_probe.processes(own) if "mts1b.deploy.supervisor" in p.cmdline()]) == 1


def test_only_the_owner_can_read_what_the_stack_keeps(own: RunningStack) -> None:
    outer = own.settings.data_dir.parent
    before = outer.stat()
    up_again(own)
    assert (outer.stat().st_mode, outer.stat().st_uid) == (before.st_mode, before.st_uid)
    assert own.settings.data_dir.stat().st_mode & 0o777 == 0o700
    assert set(stack_probe.modes(own.settings.data_dir).values()) == {0o700}
    assert set(stack_probe.modes(own.settings.run_dir).values()) == {0o600, 0o700}


def test_credentials_are_needed_and_shown_nowhere(own: RunningStack) -> None:
    found = up_again(own)
    secrets = load_credentials(own.settings.run_dir).values()
    shown = repr(found) + str(deployed.status(own.settings))
    shown += " ".join(word for process in stack_probe.processes(own) for word in process.cmdline())
    assert not [secret for secret in secrets if secret in shown]
    for ping, field in ((db.ping, "postgres_dsn"), (eventbus.ping, "nats_url"), (cache.ping, "valkey_url")):
        address = getattr(found, field)
        wrong = address.replace(address.split("@")[0].rpartition(":")[2], "guessed")
        with pytest.raises(StackError) as refused:
            asyncio.run(ping(wrong))
        assert "guessed" not in str(refused.value)


def test_the_application_role_is_no_superuser(own: RunningStack) -> None:
    async def ask() -> tuple[bool, bool]:
        connection = await asyncpg.connect(up_again(own).postgres_dsn)
        rights = await connection.fetchrow("SELECT rolsuper, rolcreaterole FROM pg_roles WHERE rolname = current_user")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("COPY (SELECT 1) TO PROGRAM 'cat'")
        await connection.close()
        assert rights is not None
        return rights["rolsuper"], rights["rolcreaterole"]

    assert asyncio.run(ask()) == (False, False)


def test_settings_replace_every_part(own: RunningStack, tmp_path: Path) -> None:
    found = up_again(own)
    with socket.create_server(("127.0.0.1", 0)) as somebody_else:
        settings = load_settings(
            data_dir=tmp_path / "unused",
            db={"primary": {"dsn": found.postgres_dsn}},
            eventbus={"url": found.nats_url},
            cache={"url": found.valkey_url},
            ray={"address": f"127.0.0.1:{somebody_else.getsockname()[1]}"},
        )
        given = deployed.up(settings, CLOCK)
        assert addresses(given)[:3] == addresses(found)[:3] and given.supervisor_pid == 0
        assert {(status.state, status.embedded) for status in deployed.status(settings)} == {("up", False)}
    assert not settings.data_dir.exists()
    deployed.down(settings, CLOCK)
    assert asyncio.run(db.ping(found.postgres_dsn))


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ({"db": {"primary": {"dsn": "postgresql://u:hidden@127.0.0.1:1/x"}}}, "127.0.0.1:1/x"),
        ({"eventbus": {"url": "nats://u:hidden@127.0.0.1:1"}}, "127.0.0.1:1"),
        ({"cache": {"url": "redis://:hidden@127.0.0.1:1"}}, "127.0.0.1:1"),
        ({"ray": {"address": "127.0.0.1:1"}}, "127.0.0.1:1"),
    ],
)
def test_a_given_server_that_is_silent_is_named(tmp_path: Path, given: dict[str, object], names: str) -> None:
    part = PARTS[("db", "eventbus", "cache", "ray").index(next(iter(given)))]
    with pytest.raises(StackError) as failed:
        deployed.up(load_settings(data_dir=tmp_path, **given), CLOCK, parts=(part,))
    assert names in str(failed.value) and "hidden" not in str(failed.value)


@pytest.mark.parametrize("name", ["gcs_port", "dashboard_port"])
def test_a_given_port_that_is_taken_is_named(tmp_path: Path, name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        with pytest.raises(StackError, match=f"ray.{name}={port}: the port is taken"):
            deployed.up(load_settings(data_dir=tmp_path, ray={name: port}), CLOCK)
    assert {status.state for status in deployed.status(load_settings(data_dir=tmp_path))} == {"down"}


def test_remembered_ports_that_are_taken_are_changed(own: RunningStack) -> None:
    deployed.down(own.settings, CLOCK)
    before = deployed.up(own.settings, CLOCK, parts=("valkey",))
    deployed.down(own.settings, CLOCK)
    port = int(before.valkey_url.rpartition(":")[2].partition("/")[0])
    assert port in PORT_RANGE
    with socket.create_server(("127.0.0.1", port)):
        after = deployed.up(own.settings, CLOCK, parts=("valkey",))
        assert after.valkey_url != before.valkey_url


@pytest.mark.parametrize("below", ["/proc/nowhere", "FILE/x"])
def test_a_directory_that_cannot_be_written_is_named(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").touch()
    data_dir = below.replace("FILE", str(tmp_path / "file"))
    with pytest.raises(StackError, match=f"data_dir='{data_dir}': cannot be written"):
        deployed.up(load_settings(data_dir=data_dir), CLOCK)


def test_a_part_that_cannot_start_is_named_and_nothing_is_left(tmp_path: Path) -> None:
    settings = load_settings(data_dir=tmp_path)
    (tmp_path / "postgres" / "data").mkdir(parents=True)
    with pytest.raises(StackError, match="postgres="):
        deployed.up(settings, CLOCK, parts=SERVERS)
    assert {status.state for status in deployed.status(settings)} == {"down"}


def command_for(data_dir: Path, verb: str, *wrapper: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    words = [*wrapper, sys.executable, "-c", RUN, verb, "--data-dir", str(data_dir)]
    words += ["--only", "postgres"] if verb == "up" else []
    environment = {**os.environ, "HOME": str(data_dir), **({"PATH": path} if path else {})}
    return subprocess.run(words, capture_output=True, text=True, env=environment, check=False)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_an_ordinary_user_can_run_it(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    os.chown(theirs, 65534, 65534)
    user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    user += ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]  # only to reach this interpreter
    done = command_for(theirs / "data", "up", *user)
    try:
        assert done.returncode == 0, done.stderr
        found = deployed.endpoints(load_settings(data_dir=theirs / "data"))
        assert os.stat(f"/proc/{found.pids['postgres']}").st_uid == 65534
    finally:
        assert command_for(theirs / "data", "down", *user).returncode == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root must step down")
def test_root_without_user_namespaces_runs_postgres_as_nobody(tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("setpriv", "true"):
        (programs / name).symlink_to(str(shutil.which(name)))
    settings = load_settings(data_dir=tmp_path / "data")
    try:
        done = command_for(settings.data_dir, "up", path=str(programs))
        assert done.returncode == 0, done.stderr
        found = deployed.endpoints(settings)
        assert os.stat(f"/proc/{found.pids['postgres']}").st_uid == 65534
        stack_probe.kill(psutil.Process(found.supervisor_pid))
        deployed.up(settings, CLOCK, parts=("postgres",))  # with user namespaces again, on the same data
        assert asyncio.run(db.ping(deployed.endpoints(settings).postgres_dsn))
    finally:
        deployed.down(settings, CLOCK)
