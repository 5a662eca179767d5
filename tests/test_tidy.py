"""The house rules, run over every source file. Each rule is also shown a planted fault, so that it can fail."""

from __future__ import annotations

import ast
import statistics
import subprocess
from pathlib import Path

import pytest

from tests import tidy_rules as rules

ROOT = Path(__file__).parent.parent
HOUSE = ("mts1b", "actors", "jobs")
SOURCES = sorted(path.relative_to(ROOT) for room in HOUSE for path in (ROOT / room).rglob("*.py"))
TREES = {path: ast.parse((ROOT / path).read_text()) for path in SOURCES}


def lines_of(path: Path) -> int:
    return (ROOT / path).read_text().count("\n")


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
def test_every_file_keeps_the_rule(rule: rules.Rule) -> None:
    found = [f"{path}:{finding}" for path, tree in TREES.items() for finding in rule(rules.module_name(path), tree)]
    assert not found, "\n".join(found)


PLANTED = [
    (rules.import_direction, "mts1b.foundation.bar", "from mts1b.oms import machine"),
    (rules.import_direction, "mts1b.oms.service", "from mts1b.research import grid"),
    (rules.import_direction, "mts1b.oms.service", "from mts1b.testing import clock"),
    (rules.pure_rooms, "mts1b.riskengine.chain", "import asyncpg"),
    (rules.client_homes, "mts1b.oms.journal", "import asyncpg"),
    (rules.client_homes, "mts1b.platform.http", "import requests"),
    (rules.wall_clock, "mts1b.oms.service", "import time\nx = time.time_ns()"),
    (rules.wall_clock, "mts1b.oms.service", "from time import monotonic"),
    (rules.wall_clock, "mts1b.oms.service", "x = datetime.datetime.now()"),
    (rules.environment, "mts1b.oms.service", "import os\nx = os.environ['A']"),
    (rules.environment, "mts1b.oms.service", "from os import getenv"),
    (rules.bounded_queues, "mts1b.oms.service", "q = asyncio.Queue()"),
    (rules.blocking_in_async, "mts1b.oms.service", "async def f():\n    time.sleep(1)"),
    (rules.blocking_in_async, "mts1b.oms.service", "async def f():\n    open('x')"),
    (rules.money_is_exact, "mts1b.oms.book", "def f(price: float): ..."),
    (rules.money_is_exact, "mts1b.foundation.order", "class A:\n    quantity: float | None"),
    (rules.plain_names, "mts1b.oms.utils", ""),
    (rules.plain_names, "mts1b.oms.book", "class OrderManager: ..."),
    (rules.function_length, "mts1b.oms.book", "def f():\n" + "    x = 1\n" * 70),
]


@pytest.mark.parametrize(("rule", "module", "source"), PLANTED)
def test_each_rule_finds_its_fault(rule: rules.Rule, module: str, source: str) -> None:
    assert list(rule(module, ast.parse(source)))


def test_no_module_cycles() -> None:
    modules = {rules.module_name(path) for path in SOURCES}

    def target(name: str) -> str | None:
        return name if name in modules else next((m for m in [name.rpartition(".")[0]] if m in modules), None)

    graph = {
        rules.module_name(path): {t for _, name in rules.imports("", tree) if (t := target(name))}
        - {rules.module_name(path)}
        for path, tree in TREES.items()
    }
    assert rules.module_cycles(graph) == []
    assert rules.module_cycles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c"]]


def test_small_rooms() -> None:
    long = {str(path): lines_of(path) for path in SOURCES if lines_of(path) > rules.FILE_LINES_MAX}
    assert not long, f"split these files (at most {rules.FILE_LINES_MAX} lines): {long}"
    assert statistics.median(lines_of(path) for path in SOURCES) < rules.MEDIAN_LINES_MAX


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


BANNED_TEXT = {
    "ray " + "stop": "it matches processes by name and kills every Ray on the machine; end the head by pid",
    "/wo" + "rk/": "a path of one machine; derive it or hand it in",
    "--index-" + "url": "a registry address; leave it to the installer's configuration",
}


def test_no_banned_text() -> None:
    found = []
    for path in tracked():
        if path.suffix in {".parquet", ".lock", ".png"}:
            continue
        text = path.read_text(errors="replace")
        found += [f"{path.relative_to(ROOT)}: {word!r}: {why}" for word, why in BANNED_TEXT.items() if word in text]
    assert not found, "\n".join(found)


LOCKS = ["requirements.lock", "requirements-dev.lock", "requirements-peers.lock", "requirements-peers-lake.lock"]


@pytest.mark.parametrize("name", LOCKS)
def test_locks_are_hashed_and_name_no_address(name: str) -> None:
    text = (ROOT / name).read_text()
    pins = [line for line in text.splitlines() if "==" in line and not line.startswith((" ", "#"))]
    assert pins and "://" not in text
    assert text.count("--hash=sha256:") >= len(pins)
