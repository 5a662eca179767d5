"""`mts chaos`: a live fund's real processes, killed and stopped under load, judged by the venue's own log."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress

from mts1b.cli.options import AsJson, DataDir
from mts1b.config import load_settings
from mts1b.foundation.clock import SystemClock
from mts1b.foundation.errors import InvariantBroken, unknown_name

if TYPE_CHECKING:
    from mts1b.config import Settings
    from mts1b.testing.chaos.run import Tally, Trial

RECOVERY_S_TARGET = 10.0
"""What 95 of 100 recoveries are to stay within."""


def register(app: typer.Typer) -> None:
    """Add `mts chaos`."""
    app.command("chaos")(chaos)


def chaos(
    trials: Annotated[int, typer.Option(min=1, max=100_000, help="How many times to strike.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="Who is struck, how and when follows from it.")] = 1,
    victim: Annotated[list[str] | None, typer.Option(help="Strike only this one; may be repeated.")] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """On a running stack, have a fund trade as fast as it can and kill or stop one of its processes in each trial.

    After each, no order may be lost or doubled, positions and cash must be the venue's, and the audit chain must hold.
    Exit 1 when a rule is broken.
    """
    from mts1b.deploy.endpoints import endpoints
    from mts1b.testing.chaos.victims import VICTIMS

    for name in victim or ():
        if name not in VICTIMS:
            raise unknown_name("victim", name, VICTIMS)
    settings = load_settings(data_dir=data_dir)
    endpoints(settings)  # StackError when it is down
    tally = asyncio.run(_counted(settings, trials, seed, tuple(victim or VICTIMS), as_json))
    if as_json:
        typer.echo(json.dumps(tally.facts()))
    else:
        _print(tally, seed)
    if tally.broken:
        first = tally.broken[0]
        problem = f"{len(tally.broken)} of {trials} trials break a rule; {first.fault}: {first.violations[0]}"
        raise InvariantBroken("trial", first.number, problem)


async def _counted(settings: Settings, trials: int, seed: int, victims: tuple[str, ...], quiet: bool) -> Tally:
    from mts1b.testing.chaos import run
    from mts1b.testing.chaos.stand import Chain

    tally, chain, console = run.Tally(), Chain(), Console(stderr=True)
    columns = (*Progress.get_default_columns(), MofNCompleteColumn())
    watched = sys.stderr.isatty()
    with Progress(*columns, console=console, transient=True, disable=not watched) as bar:
        task = bar.add_task("chaos", total=trials)
        async for trial in run.trials(settings, trials, seed, SystemClock(), chain, victims):
            tally.trials.append(trial)
            tally.links = chain.links
            bar.advance(task)
            if not quiet:
                console.print(_line(trial), highlight=False, soft_wrap=True)
    return tally


def _line(trial: Trial) -> str:
    what = "; ".join(trial.violations) or "all accounted for"
    return (
        f"{trial.number:>4}  {trial.fault:<22} back in {trial.recovery_s:5.2f} s, {trial.orders:>5,} orders at "
        f"{trial.orders_per_s:5.1f}/s: {what}"
    )


def _print(tally: Tally, seed: int) -> None:
    facts = tally.facts()
    recovery = facts["recovery_s"]
    within = "within" if recovery["p95"] <= RECOVERY_S_TARGET else "OVER"
    typer.echo(
        f"chaos: {facts['trials']} trials from seed {seed}, {facts['violations']} break a rule; "
        f"{facts['orders']:,} orders, {facts['orders_per_s_median']:.0f} a second (median) before the faults; "
        f"{facts['links_verified']:,} links verified"
    )
    typer.echo(
        f"recovery: p50 {recovery['p50']:.2f} s, p95 {recovery['p95']:.2f} s, longest {recovery['max']:.2f} s "
        f"(p95 {within} {RECOVERY_S_TARGET:.0f} s)"
    )
    for victim in dict.fromkeys(trial.victim for trial in tally.trials):
        struck = sum(trial.victim == victim for trial in tally.trials)
        half, most = tally.recovery_s(0.5, victim), tally.recovery_s(1.0, victim)
        typer.echo(f"  {victim:<9} {struck:>4} times, p50 {half:5.2f} s, longest {most:5.2f} s")
