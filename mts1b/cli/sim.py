"""`mts sim`: the order core on simulated time, from a seed, while everything goes wrong that can."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import track

from mts1b.cli.options import AsJson
from mts1b.foundation.clock import NS_PER_S, SystemClock
from mts1b.foundation.errors import InvariantBroken

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mts1b.testing.sim.story import Outcome
    from mts1b.testing.sim.tally import Tally

SHOWN_MAX = 10
"""Violations printed one by one."""

Seeds = Annotated[int, typer.Option("--seeds", min=1, max=100_000_000, help="How many stories.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="The seed of the first; the others count on from it.")]
Workers = Annotated[int | None, typer.Option("--workers", min=1, max=256, help="Processes; default: one a core.")]
Defect = Annotated[str, typer.Option("--defect", help="Plant this defect, to see it found; `list` lists them.")]

Malformed = Annotated[
    int, typer.Option("--malformed", min=0, max=1_000_000_000, help="Instead: refuse so many malformed commands.")
]


def register(app: typer.Typer) -> None:
    """Add `mts sim`."""
    app.command("sim")(sim)


def sim(
    seeds: Seeds = 200,
    seed: Seed = 1,
    workers: Workers = None,
    defect: Defect = "",
    malformed: Malformed = 0,
    as_json: AsJson = False,
) -> None:
    """Crash, stop, cut off, delay and repeat everything in the order path, and check every rule after each step.

    A seed tells the same story each time. Exit 1 when a rule is broken: `--seeds 1 --seed N` tells that story. With
    --malformed N the OMS is given so many malformed commands instead: exit 1 unless each is refused by name.
    """
    if malformed:
        return refuse_malformed(malformed, seed, workers or len(os.sched_getaffinity(0)), as_json)
    from mts1b.testing.sim.defects import DEFECTS
    from mts1b.testing.sim.many import run_seeds

    if defect == "list":
        typer.echo(json.dumps(list(DEFECTS)) if as_json else "\n".join(DEFECTS))
        return
    clock, wanted = SystemClock(), range(seed, seed + seeds)
    processes = min(workers or len(os.sched_getaffinity(0)), seeds)
    began_ns = clock.monotonic_ns()
    tally = counted(run_seeds(wanted, processes, defect), seeds)
    seconds = (clock.monotonic_ns() - began_ns) / NS_PER_S
    if as_json:
        typer.echo(json.dumps({**_facts(tally, seed, defect, seconds), "processes": processes}))
    else:
        _print(tally, seed, seconds, processes)
    if tally.broken:
        first = tally.broken[0]
        raise InvariantBroken(
            "seed", first.seed, first.violation, f"{tally.violations} of {seeds} stories break a rule"
        )


def refuse_malformed(commands: int, seed: int, workers: int, as_json: bool) -> None:
    """Have them refused, and say by which names."""
    from mts1b.testing.malformed import refuse_many

    clock = SystemClock()
    began_ns = clock.monotonic_ns()
    found = refuse_many(seed, commands, workers)
    seconds = (clock.monotonic_ns() - began_ns) / NS_PER_S
    if as_json:
        facts = {"refused": found.total, "kinds": dict(found.kinds), "names": dict(found.names)}
        typer.echo(json.dumps({"first_seed": seed, "seconds": round(seconds, 3), **facts}))
        return
    typer.echo(f"sim: {found.total:,} malformed commands refused by name, none taken, in {seconds:.1f} s")
    for name, count in found.names.most_common():
        typer.echo(f"{count:>12,}  {name}")


def counted(stories: Iterable[Outcome], total: int) -> Tally:
    """All of them, with a bar where somebody watches."""
    from mts1b.testing.sim.tally import Tally

    tally, console = Tally(), Console(stderr=True)
    for outcome in track(stories, "sim", total, console=console, transient=True, disable=not sys.stderr.isatty()):
        tally.add(outcome)
    return tally


def _facts(tally: Tally, seed: int, defect: str, seconds: float) -> dict[str, Any]:
    return {"first_seed": seed, "defect": defect, "seconds": round(seconds, 3), **tally.facts()}


def _print(tally: Tally, seed: int, seconds: float, processes: int) -> None:
    at_once = f" in {processes} processes" if processes > 1 else ""
    typer.echo(
        f"sim: {tally.seeds:,} stories from seed {seed}{at_once} in {seconds:.1f} s, {tally.violations} break a rule: "
        f"{tally.orders:,} orders (at least {tally.orders_min} in each), {tally.fills:,} fills, {tally.commits:,} "
        f"commits, {tally.messages:,} messages in {tally.simulated_s:,.0f} simulated seconds"
    )
    faults = ", ".join(f"{count:,} {name}" for name, count in sorted(tally.faults.items()))
    typer.echo(f"went wrong (at least {tally.faults_min} in each, messages apart): {faults}")
    for story in tally.broken[:SHOWN_MAX]:
        typer.echo(f"seed {story.seed}: {story.violation}")
    if tally.seeds == 1 and tally.broken:
        typer.echo("\n".join(tally.broken[0].trace))
