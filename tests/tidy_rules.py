"""The house rules as functions over source text. `test_tidy.py` runs them; each finding names the replacement."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

FLOORS: list[list[str]] = [
    ["mts1b.foundation"],
    ["mts1b.config_sections"],
    ["mts1b.config_layers"],
    ["mts1b.config", "mts1b.quantkit"],
    ["mts1b.strategy", "mts1b.platform"],
    ["mts1b.datalake", "mts1b.audit", "mts1b.llm"],
    ["mts1b.marketdata", "mts1b.backtester", "mts1b.riskengine", "mts1b.brokers"],
    ["mts1b.oms", "mts1b.refdata", "mts1b.research"],
    ["mts1b.watchdog", "mts1b.report", "mts1b.cloudburst", "mts1b.deploy"],
    ["actors", "jobs"],
    ["mts1b.bench"],
    ["mts1b.testing"],
    ["mts1b.cli"],
]
"""From the ground up. A room imports rooms of lower floors only, and never a neighbour on its own floor."""

TESTING_USERS = ("mts1b.cli", "mts1b.testing")

PURE_ROOMS = (
    "mts1b.backtester",
    "mts1b.riskengine",
    "mts1b.oms.machine",
    "mts1b.oms.book",
    "mts1b.quantkit",
    "mts1b.watchdog.book",
    "mts1b.watchdog.consumers",
    "mts1b.watchdog.database",
    "mts1b.watchdog.dependencies",
    "mts1b.watchdog.drift",
    "mts1b.watchdog.features",
    "mts1b.watchdog.flow",
    "mts1b.watchdog.funds",
    "mts1b.watchdog.grade",
    "mts1b.watchdog.series",
    "mts1b.watchdog.vpin",
)
IMPURE = (
    "mts1b.datalake",
    "mts1b.platform",
    "mts1b.config",
    "mts1b.config_sections",
    "asyncpg",
    "nats",
    "redis",
    "httpx",
    "aiohttp",
    "ray",
)

CLIENT_HOMES: dict[str, tuple[str, ...]] = {
    "asyncpg": ("mts1b.platform.db",),
    "nats": ("mts1b.platform.eventbus", "mts1b.bench.eventbus_peer"),
    "redis": ("mts1b.platform.cache",),
    "duckdb": ("mts1b.datalake",),
    "deltalake": ("mts1b.datalake.log",),
    "plotly": ("mts1b.report",),
    "aiohttp": ("mts1b.brokers.paper",),
    "httpx": ("mts1b.platform.http", "mts1b.brokers.paper", "mts1b.deploy"),
    "stamina": ("mts1b.platform.retry",),
    "hvac": ("mts1b.platform.vault",),
    "structlog": ("mts1b.platform.logging",),
    "sky": ("mts1b.cloudburst",),
    "cupy": ("mts1b.backtester",),
    "ray": ("actors", "jobs", "mts1b.bench", "mts1b.cli", "mts1b.deploy", "mts1b.platform.telemetry"),
    "typer": ("mts1b.cli", "jobs"),
}
"""Where each third-party client may be imported. Everywhere else goes through that room."""

WALL_CLOCK = {
    "time": {"time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns"},
    "datetime": {"now", "utcnow", "today"},
    "date": {"today"},
}
BLOCKING = {
    ("time", "sleep"): "asyncio.sleep",
    ("subprocess", "run"): "asyncio.create_subprocess_exec",
    ("subprocess", "check_output"): "asyncio.create_subprocess_exec",
    ("subprocess", "check_call"): "asyncio.create_subprocess_exec",
    ("socket", "create_connection"): "asyncio.open_connection",
    ("urllib", "urlopen"): "mts1b.platform.http",
    ("os", "fsync"): "asyncio.to_thread(os.fsync, ...)",
}
BANNED_WORDS = {"utils", "util", "helpers", "manager", "misc", "common"}
ORDER_PATH = ("mts1b.foundation", "mts1b.oms", "mts1b.riskengine", "mts1b.brokers")
FLOAT_UNITS = ("_s", "_ms", "_ratio", "_probability", "_per_s", "_confidence", "_z")
FILE_LINES_MAX, FUNCTION_LINES_MAX, MEDIAN_LINES_MAX = 500, 70, 250

Finding = str
Rule = Callable[[str, ast.Module], Iterator[Finding]]


def module_name(path: Path) -> str:
    """`mts1b/oms/machine.py` as `mts1b.oms.machine`."""
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def within(module: str, room: str) -> bool:
    return module == room or module.startswith(room + ".")


def imports(module: str, tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Every absolute import in the tree, deferred ones too, as (line, dotted name)."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def floor_of(module: str) -> tuple[int, str] | None:
    return next(((i, room) for i, rooms in enumerate(FLOORS) for room in rooms if within(module, room)), None)


def import_direction(module: str, tree: ast.Module) -> Iterator[Finding]:
    """Imports run downward, and neighbours do not import each other."""
    here = floor_of(module)
    for line, name in imports(module, tree):
        there = floor_of(name)
        if here is None or there is None or here[1] == there[1]:
            continue
        if within(name, "mts1b.testing") and not any(within(module, user) for user in TESTING_USERS):
            yield f"{line}: imports {name}: testing serves tests and cli only; hand the thing in as a port"
        elif there[0] >= here[0]:
            yield f"{line}: imports {name} from a floor not below its own; move what is shared one floor down"


def pure_rooms(module: str, tree: ast.Module) -> Iterator[Finding]:
    """Deciding rooms read neither lake, bus, server nor settings."""
    if any(within(module, room) for room in PURE_ROOMS):
        for line, name in imports(module, tree):
            if any(within(name, impure) for impure in IMPURE):
                yield f"{line}: imports {name} in a pure room; take values and give values"


def client_homes(module: str, tree: ast.Module) -> Iterator[Finding]:
    """Each outside client is spoken to from one place."""
    for line, name in imports(module, tree):
        top = name.split(".")[0]
        homes = CLIENT_HOMES.get(top)
        if homes and not any(within(module, home) for home in homes):
            yield f"{line}: imports {top}; use {' or '.join(homes)}"
        if top == "requests":
            yield f"{line}: imports requests, which blocks; use httpx through a pooled client"


def dotted(node: ast.expr) -> tuple[str, ...]:
    """`a.b.c` as ("a", "b", "c"), () for anything else."""
    if isinstance(node, ast.Name):
        return (node.id,)
    if isinstance(node, ast.Attribute):
        return (*dotted(node.value), node.attr)
    return ()


def wall_clock(module: str, tree: ast.Module) -> Iterator[Finding]:
    """Time is handed in."""
    if module == "mts1b.foundation.clock":
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            path = dotted(node)
            if len(path) >= 2 and path[-1] in WALL_CLOCK.get(path[-2], ()):
                yield f"{node.lineno}: {'.'.join(path)}; take a mts1b.foundation.clock.Clock"
        if isinstance(node, ast.ImportFrom) and node.module == "time":
            for alias in node.names:
                if alias.name in WALL_CLOCK["time"]:
                    yield f"{node.lineno}: from time import {alias.name}; take a mts1b.foundation.clock.Clock"


def environment(module: str, tree: ast.Module) -> Iterator[Finding]:
    """Settings are handed down."""
    if module == "mts1b.config":
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and dotted(node)[:2] in {("os", "environ"), ("os", "getenv")}:
            yield f"{node.lineno}: reads the environment; add a setting to mts1b.config"
        if isinstance(node, ast.ImportFrom) and node.module == "os":
            names = {alias.name for alias in node.names}
            if names & {"environ", "getenv"}:
                yield f"{node.lineno}: reads the environment; add a setting to mts1b.config"


def bounded_queues(module: str, tree: ast.Module) -> Iterator[Finding]:
    """Every queue has a limit."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            path = dotted(node.func)
            if path[-1:] == ("SimpleQueue",):
                yield f"{node.lineno}: SimpleQueue has no bound; use Queue(maxsize=limits...)"
            if path[-1:] in {("Queue",), ("LifoQueue",), ("PriorityQueue",)} and not (node.args or node.keywords):
                yield f"{node.lineno}: {path[-1]}() has no bound; give maxsize from mts1b.foundation.limits"


def blocking_in_async(module: str, tree: ast.Module) -> Iterator[Finding]:
    """Nothing blocks the event loop."""
    for function in ast.walk(tree):
        if not isinstance(function, ast.AsyncFunctionDef):
            continue
        for node in own_nodes(function):
            if isinstance(node, ast.Call):
                path = dotted(node.func)
                better = BLOCKING.get((path[0], path[-1])) if path else None
                if better:
                    yield f"{node.lineno}: {'.'.join(path)} inside async def {function.name}; use {better}"
                if path == ("open",):
                    yield f"{node.lineno}: open() inside async def {function.name}; use asyncio.to_thread"


def own_nodes(function: ast.AsyncFunctionDef) -> Iterator[ast.AST]:
    """The function's nodes without those of functions defined inside it."""
    todo: list[ast.AST] = list(function.body)
    while todo:
        node = todo.pop()
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            todo.extend(ast.iter_child_nodes(node))


def names_float(annotation: ast.expr | None) -> bool:
    return annotation is not None and any(isinstance(n, ast.Name) and n.id == "float" for n in ast.walk(annotation))


def money_is_exact(module: str, tree: ast.Module) -> Iterator[Finding]:
    """In the order path money, price and quantity are Decimal; a float's name must say that it is something else."""
    if not any(within(module, room) for room in ORDER_PATH):
        return
    for node in ast.walk(tree):
        named: list[tuple[str, ast.expr | None, int]] = []
        if isinstance(node, ast.AnnAssign):
            named.append((".".join(dotted(node.target)), node.annotation, node.lineno))
        elif isinstance(node, ast.arg):
            named.append((node.arg, node.annotation, node.lineno))
        for name, annotation, line in named:
            last = name.rsplit(".", 1)[-1].lower()
            if names_float(annotation) and not last.endswith(FLOAT_UNITS):
                yield f"{line}: {name} is a float in the order path; use Decimal (or end its name with its unit)"


def plain_names(module: str, tree: ast.Module) -> Iterator[Finding]:
    """No room called after nothing in particular, no generation in a name."""
    for part in module.split("."):
        if part in BANNED_WORDS or part.endswith("_manager") or part.rstrip("0123456789").endswith("_v"):
            yield f"1: module name {part!r}; name it after what it holds"
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and node.name.endswith(("Manager", "Helper", "Utils", "V2")):
            yield f"{node.lineno}: class {node.name}; name it after what it is"


def function_length(module: str, tree: ast.Module) -> Iterator[Finding]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > FUNCTION_LINES_MAX:
                yield f"{node.lineno}: {node.name} has {length} lines; split it (at most {FUNCTION_LINES_MAX})"


RULES: tuple[Rule, ...] = (
    import_direction,
    pure_rooms,
    client_homes,
    wall_clock,
    environment,
    bounded_queues,
    blocking_in_async,
    money_is_exact,
    plain_names,
    function_length,
)


def module_cycles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Strongly connected components of more than one module (Tarjan), each sorted."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for target in sorted(graph.get(node, ())):
            if target not in index:
                visit(target)
                low[node] = min(low[node], low[target])
            elif target in stack:
                low[node] = min(low[node], index[target])
        if low[node] == index[node]:
            cut = stack.index(node)
            component = sorted(stack[cut:])
            del stack[cut:]
            if len(component) > 1:
                found.append(component)

    for node in sorted(graph):
        if node not in index:
            visit(node)
    return found
