"""Everything this project shows, each with a secret planted where it hurts. `test_planted_secret.py` searches them all.

A part that shows something new adds a function here, marked `@surface("what it is")`: it takes the planted settings,
makes the part speak as loudly as it can (errors most of all), and returns everything that could be read.
"""

from __future__ import annotations

import asyncio
import io
import json
import logging
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
import yaml
from pydantic import SecretStr

from mts1b.config import Settings, child_environment, load_settings, set_command_line
from mts1b.config_layers import leaves
from mts1b.foundation.errors import MtsError
from mts1b.platform import events
from mts1b.platform.eventbus.dead import plain
from mts1b.platform.http import close_clients, configure, http_client
from mts1b.platform.logging import get_logger, setup_logging
from mts1b.platform.ratelimit import RateLimiter
from mts1b.platform.secrets import Secrets
from mts1b.platform.telemetry import COLLECTOR, Operation, span
from tests.contract.provider_server import provider

SECRET = 'Pl4nted"S3cret/of+a test'
NOWHERE = "127.0.0.1:1"
"""Nobody listens there: what connects to it fails, and tells why."""


@dataclass(frozen=True)
class Planted:
    """Settings whose every secret is SECRET, or an address that holds it; the file they came from; a free folder."""

    settings: Settings
    file: Path
    home: Path


Surface = Callable[[Planted], str]
SURFACES: dict[str, Surface] = {}


def surface(name: str) -> Callable[[Surface], Surface]:
    """Have what this function returns searched."""

    def register(show: Surface) -> Surface:
        SURFACES[name] = show
        return show

    return register


def planted(home: Path) -> Planted:
    """Every field of the settings that is a secret, in every section there is, gets one."""
    from urllib.parse import quote

    addresses = {
        "db.primary.dsn": f"postgres://mts:{quote(SECRET, safe='')}@{NOWHERE}/mts",
        "eventbus.url": f"nats://mts:{quote(SECRET, safe='')}@{NOWHERE}",
        "cache.url": f"redis://:{quote(SECRET, safe='')}@{NOWHERE}/0",
        "http.proxy": f"http://me:{quote(SECRET, safe='')}@{NOWHERE}",
    }
    held: dict[str, Any] = {}
    from mts1b.config import Settings as Tree
    from mts1b.config_layers import annotation_at

    for key, _ in leaves(load_settings()):
        if SecretStr in getattr(annotation_at(Tree, key), "__args__", (annotation_at(Tree, key),)):
            at = held
            for part in key[:-1]:
                at = at.setdefault(part, {})
            at[key[-1]] = addresses.get(".".join(key), SECRET)
    file = home / "planted.yaml"
    file.write_text(yaml.safe_dump(held))
    set_command_line(file=file)
    try:
        return Planted(load_settings(data_dir=home / "data"), file, home)
    finally:
        set_command_line()


def told(error: BaseException) -> str:
    """All that an error may be shown as, where this project shows it."""
    from mts1b.foundation.redaction import scrub

    return f"{error} {scrub(''.join(traceback.format_exception(error)))}"


def failing(call: Callable[[], object]) -> str:
    """What is told when `call` fails, as it must."""
    try:
        call()
    except MtsError as error:
        return told(error)
    raise AssertionError("it should have failed")


@contextmanager
def logged(style: str) -> Iterator[io.StringIO]:
    """Every log line of the body."""
    root, hooks = logging.getLogger(), (sys.excepthook, threading.excepthook)
    handlers, level, out = list(root.handlers), root.level, io.StringIO()
    setup_logging("test", "debug", style, out)
    try:
        yield out
    finally:
        root.handlers[:], (sys.excepthook, threading.excepthook) = handlers, hooks
        root.setLevel(level)
        structlog.reset_defaults()


@surface("settings as Python shows them")
def _settings(planted: Planted) -> str:
    return repr(planted.settings) + str(planted.settings)


def mts(planted: Planted, *words: str) -> str:
    """Everything one command writes."""
    done = subprocess.run(
        [str(Path(sys.executable).parent / "mts"), "--config", str(planted.file), *words],
        env=child_environment(MTS_DATA_DIR=str(planted.home / "data"), COLUMNS="300"),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout or done.stderr
    return done.stdout + done.stderr


@surface("mts config show")
def _config_show(planted: Planted) -> str:
    return mts(planted, "config", "show") + mts(planted, "config", "show", "--json")


@surface("mts config check, of settings with a secret in the wrong place")
def _config_check(planted: Planted) -> str:
    wrong = planted.home / "wrong.yaml"
    wrong.write_text(planted.file.read_text() + f"\noms: {{passwort: '{SECRET}'}}\nresearch: ['{SECRET}']\n")
    return mts(Planted(planted.settings, wrong, planted.home), "config", "check")


@surface("commands that cannot reach the servers, with their tracebacks")
def _commands(planted: Planted) -> str:
    return mts(planted, "status") + mts(planted, "--debug", "audit", "verify")


@surface("log lines")
def _log_lines(planted: Planted) -> str:
    text = ""
    for style in ("json", "console"):
        with logged(style) as out:
            log = get_logger("test", bound=SECRET)
            log.info(f"event {SECRET}", dsn=SECRET, deep=[{"x": SECRET.encode()}], error=OSError(SECRET))
            logging.getLogger("asyncpg").warning("position %s", SECRET, extra={"more": SECRET})
            try:
                raise ValueError(SECRET)
            except ValueError:
                log.exception("with its traceback")
            get_logger("test").info("settings", settings=planted.settings, plain=planted.settings.db.primary.dsn)
        text += out.getvalue()
    return text


@surface("calls to a provider: their log lines, spans and errors")
def _http(planted: Planted) -> str:
    heard: list[Operation] = []

    async def calls() -> str:
        async with provider() as server:
            entry = {
                "base_url": server.url,
                "api_key": SECRET,
                "api_key_query": "apikey",
                "api_key_header": "Authorization",
            }
            http = {"retry": {"attempts": 2, "wait_initial_s": 0.001}}
            configure(load_settings(providers={"planted": entry}, http=http))
            errors = ""
            async with http_client("planted") as c:
                for path in ("/500", f"/429-0?token={SECRET}", f"/reset/{SECRET}", "/half"):
                    try:
                        response = await c.get(path)
                        errors += f"{response.status_code}"
                    except MtsError as error:
                        errors += told(error)
            assert any(SECRET.split('"')[0] in target for target in server.targets)  # it was really sent
            await close_clients()
            return errors

    COLLECTOR.listen(heard.append)
    try:
        with logged("json") as out:
            errors = asyncio.run(calls())
    finally:
        COLLECTOR.unlisten(heard.append)
        configure(None)
    return errors + out.getvalue() + json.dumps([operation.to_json() for operation in heard])


@surface("a proxy that cannot be reached")
def _proxy(planted: Planted) -> str:
    async def call() -> None:
        retry = {"attempts": 2, "wait_initial_s": 0.001}
        proxy = planted.settings.http.proxy
        configure(load_settings(http={"proxy": None if proxy is None else proxy.get_secret_value(), "retry": retry}))
        try:
            async with http_client("planted") as c:
                await c.get("https://planted.example")
        finally:
            await close_clients()
            configure(None)

    with logged("json") as out:
        return failing(lambda: asyncio.run(call())) + out.getvalue()


@surface("spans")
def _spans(planted: Planted) -> str:
    from mts1b.platform.telemetry.wire import operations_message

    heard: list[Operation] = []
    COLLECTOR.listen(heard.append)
    try:
        with span("planted", dsn=SECRET, note=f"holds {SECRET}"):
            pass
    finally:
        COLLECTOR.unlisten(heard.append)
    return operations_message(heard, 0).decode()


@surface("a rate limit whose Redis is away")
def _ratelimit(planted: Planted) -> str:
    rules = planted.settings.model_copy(update={"ratelimits": planted.settings.ratelimits})

    async def acquire() -> None:
        import mts1b.platform.ratelimit.limiter as limiter

        before, limiter.AWAY = limiter.AWAY, limiter.RetryPolicy(attempts=2, wait_initial_s=0.001)
        try:
            await RateLimiter("fmp", settings=rules).acquire()
        finally:
            limiter.AWAY = before

    with logged("json") as out:
        return failing(lambda: asyncio.run(acquire())) + out.getvalue()


@surface("secrets that cannot be read again")
def _secrets(planted: Planted) -> str:
    file = planted.home / "key"
    file.write_text(SECRET)
    from mts1b import config_sections
    from mts1b.testing.clock import SimulatedClock

    clock = SimulatedClock()
    held = Secrets(config_sections.Secrets(lease_s=1, stale_s=10), clock)
    assert held.read(f"file://{file}") == SECRET
    file.unlink()
    clock.advance(2_000_000_000)
    with logged("json") as out:
        held.read(f"file://{file}")
        clock.advance(20_000_000_000)
        text = failing(lambda: held.read(f"file://{file}"))
        vault = Secrets(planted.settings.secrets)
        text += failing(lambda: vault.read("vault://a#b"))
    return text + out.getvalue() + repr(held)


@surface("Postgres, NATS and Redis that cannot be reached")
def _servers(planted: Planted) -> str:
    from mts1b.platform import cache, db, eventbus

    given = planted.settings
    assert given.db.primary.dsn and given.eventbus.url and given.cache.url
    dsn, nats, redis = (
        secret.get_secret_value() for secret in (given.db.primary.dsn, given.eventbus.url, given.cache.url)
    )
    with logged("json") as out:
        text = failing(lambda: asyncio.run(db.ping(dsn, 1.0)))
        text += failing(lambda: asyncio.run(eventbus.ping(nats, 1.0)))
        text += failing(lambda: asyncio.run(cache.ping(redis, 1.0)))
    return text + out.getvalue()


class PlantedEvent(events.Event):
    """An event that holds what it should not."""

    name: str
    text: str


@surface("events and dead letters")
def _events(planted: Planted) -> str:
    events.event("test.secrets.planted", key="name")(PlantedEvent)
    sent = events.encode(PlantedEvent(name="one", text=f"holds {SECRET}"))
    return sent.payload.decode() + plain(f"failed: {SECRET}")
