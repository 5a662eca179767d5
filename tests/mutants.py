"""Do the tests notice a change of the code? Mutants of the order path by cosmic-ray, each in a process of its own.

`make mutants ARGS="--sample 200"`. Cosmic-ray says what a mutant is; here each is put in the place of its module by an
import hook in a forked process, so that no file is changed and nothing is imported twice. A mutant is killed when a
test fails, or takes ten times as long as all of them.

Left out, because no test can tell: changes of annotations, which nobody evaluates; `is` against `==`, which for None
and members of an enumeration are the same.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import difflib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from types import CodeType, ModuleType

import hypothesis
import numpy as np
import pydantic
import pytest
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

ROOT = Path(__file__).parent.parent
LOADED_BEFORE = (hypothesis, np, pydantic)
"""What every child needs, loaded once."""

ROOMS = ("mts1b/oms", "mts1b/riskengine")
TESTS = ("tests/unit/oms", "tests/unit/riskengine", "tests/unit/testing/sim/test_story.py")
WITH_POSTGRES = ("mts1b/oms/journal", "mts1b/oms/lease", "mts1b/oms/sql", "mts1b/oms/migrations", "mts1b/oms/encode")
TESTS_WITH_POSTGRES = ("tests/contract/test_journal.py",)
TIMEOUT_S = 120

LEFT_OUT = ("Is_Eq", "IsNot_NotEq", "VariableReplacer", "VariableInserter")


@dataclass(frozen=True, slots=True)
class Mutant:
    """The `occurrence`-th place of `module` where the operator applies; `change` is the line before and after."""

    module: str
    operator: str
    occurrence: int
    line: int = 0
    change: tuple[str, str] = ("", "")


def candidates(paths: Sequence[Path]) -> list[Mutant]:
    """Every place at which every operator applies, in the order of the files."""
    operators = [(name, get_operator(name)()) for name in operator_names() if not name.endswith(LEFT_OUT)]
    found: list[Mutant] = []
    for path in paths:
        nodes = list(ast_nodes(get_ast(path.read_text())))
        module = str(path.relative_to(ROOT))
        for name, operator in operators:
            places = sum(1 for node in nodes for _ in operator.mutation_positions(node))
            found += [Mutant(module, name, occurrence) for occurrence in range(places)]
    return found


def made(mutant: Mutant) -> tuple[Mutant, str] | None:
    """The mutant with its line, and its source; None when it is no change that could be noticed."""
    before = (ROOT / mutant.module).read_text()
    after = mutate_code(before, get_operator(mutant.operator)(), mutant.occurrence)
    if after is None or _meaning(after) in (None, _meaning(before)):
        return None
    old, new = before.splitlines(), after.splitlines()
    tag, line, end, at, to = next(
        code for code in difflib.SequenceMatcher(None, old, new, False).get_opcodes() if code[0] != "equal"
    )
    change = (" ".join(text.strip() for text in old[line:end]), " ".join(text.strip() for text in new[at:to]))
    return Mutant(mutant.module, mutant.operator, mutant.occurrence, line + 1, change), after


def _meaning(source: str) -> str | None:
    """The code without its annotations; None for what is no code."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return None
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            node.annotation = None
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.returns = None
        elif isinstance(node, ast.AnnAssign):
            node.annotation = ast.Constant(None)
    return ast.dump(tree)


class InPlace(importlib.abc.MetaPathFinder, importlib.machinery.SourceFileLoader):
    """Loads one module from another source than its file's."""

    def __init__(self, name: str, path: Path, source: str) -> None:
        super().__init__(name, str(path))
        self._source = source

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self.name:
            return None
        return importlib.util.spec_from_file_location(fullname, self.path, loader=self)

    def get_code(self, fullname: str) -> CodeType:
        return compile(self._source, self.path, "exec")


def start(mutant: Mutant, source: str, scratch: Path) -> int:
    """A process that runs the tests on the mutant and ends with 0 when it survives them. From an unchanged source: on
    the code as it is."""
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    code = 70
    with contextlib.suppress(BaseException):
        os.setpgid(0, 0)
        signal.alarm(TIMEOUT_S)
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = str(scratch)
        name = mutant.module.removesuffix(".py").replace("/", ".")
        sys.meta_path.insert(0, InPlace(name, ROOT / mutant.module, source))
        tests = [*own_first(mutant.module), *(TESTS_WITH_POSTGRES if mutant.module.startswith(WITH_POSTGRES) else ())]
        code = int(pytest.main([*tests, "-x", "-q", "-p", "no:cacheprovider", "--hypothesis-seed=0"]))
    os._exit(code)


def own_first(module: str) -> list[str]:
    """All tests, those of the module's room first: they are likeliest to fail."""
    return sorted(TESTS, key=lambda tests: not module.startswith(tests.replace("tests/unit", "mts1b")))


def survivors(mutants: Sequence[tuple[Mutant, str]], workers: int) -> Iterator[tuple[Mutant, bool]]:
    """Each mutant and whether it survives, as they end."""
    left, running = list(reversed(mutants)), dict[int, Mutant]()
    with tempfile.TemporaryDirectory() as scratch:
        while left or running:
            while left and len(running) < workers:
                mutant, source = left.pop()
                running[start(mutant, source, Path(scratch))] = mutant
            child, status = os.wait()
            yield running.pop(child), os.waitstatus_to_exitcode(status) == 0


def main() -> None:
    """List the survivors; the exit code is 1 when fewer than `--at-least` of all mutants were killed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rooms", nargs="*", default=ROOMS, help="folders or files; default: oms and riskengine")
    parser.add_argument("--sample", type=int, help="only so many, drawn at random")
    parser.add_argument("--seed", type=int, default=1, help="of the sample")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--at-least", type=float, default=0.9, help="the share to be killed")
    parser.add_argument("--json", type=Path, help="write counts and survivors to this file")
    asked = parser.parse_args()
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    rooms = [ROOT / room for room in asked.rooms]
    paths = [path for room in rooms for path in ([room] if room.is_file() else sorted(room.rglob("*.py")))]
    drawn = candidates(paths)
    Random(asked.seed).shuffle(drawn)
    wanted = [found for found in map(made, drawn) if found is not None] if asked.sample is None else []
    for one in drawn if asked.sample is not None else ():
        if len(wanted) == asked.sample:
            break
        if (found := made(one)) is not None:
            wanted.append(found)
    for module in {mutant.module.startswith(WITH_POSTGRES): mutant.module for mutant, _ in wanted}.values():
        same = Mutant(module, "none", 0)
        if not next(survivors([(same, (ROOT / module).read_text())], 1))[1]:
            sys.exit("the tests fail on the code as it is: mend that first")
    alive: list[Mutant] = []
    for number, (mutant, survives) in enumerate(survivors(wanted, asked.workers), start=1):
        if survives:
            alive.append(mutant)
            print(f"{mutant.module}:{mutant.line} {mutant.operator}", *mutant.change, sep="\n    ", flush=True)
        if number % 25 == 0:
            print(f"{number} of {len(wanted)}: {number - len(alive)} killed", file=sys.stderr, flush=True)
    killed = len(wanted) - len(alive)
    print(f"{killed} of {len(wanted)} mutants killed ({len(drawn)} places)")
    if asked.json is not None:
        facts = {
            "mutants": len(wanted),
            "killed": killed,
            "places": len(drawn),
            "survivors": [asdict(m) for m in alive],
        }
        asked.json.write_text(json.dumps(facts, indent=1) + "\n")
    sys.exit(killed < asked.at_least * len(wanted))


if __name__ == "__main__":
    main()
