"""Events and readers of the bus's own tests; run as a program it is one instance of a durable consumer.

    python -m tests.contract.bus_probe FILE '{"durable": "d", ...}'    (the server's URL comes on standard input)

Each message is noted in FILE: when work on it begins, when it is done, and when the server has the acknowledgement.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mts1b.platform import eventbus
from mts1b.platform.eventbus import Event, EventBus, Message, event

SUBJECT = "mts.v1.probe.notes.written"


@event("probe.notes.written", key="note_id")
class NoteWritten(Event):
    """`does`: what the reader does with it: nothing, `raise`, or `kill` its process."""

    note_id: str
    text: str = ""
    does: str = ""
    takes_s: float = 0.0


@event("probe.notes.erased", key="note_id")
class NoteErased(Event):
    note_id: str


async def write_notes(bus: EventBus, prefix: str, count: int, **fields: Any) -> list[str]:
    """Publish notes with ids of this prefix; returns the ids."""
    names = [f"{prefix}-{number}" for number in range(count)]
    await asyncio.gather(*(bus.publish_typed(NoteWritten(note_id=name, **fields)) for name in names))
    return names


def lines(path: Path) -> list[tuple[str, str, int]]:
    """(what, note id, pid) of each line."""
    if not path.exists():
        return []
    found = [line.split() for line in path.read_text().splitlines()]
    return [(what, name, int(pid)) for what, name, pid in found]


def noted(path: Path, what: str) -> list[str]:
    return [name for kind, name, _ in lines(path) if kind == what]


@contextmanager
def reader(url: str, path: Path, **terms: Any) -> Iterator[subprocess.Popen[str]]:
    """One instance in a process of its own; gone at the end."""
    command = [sys.executable, "-m", "tests.contract.bus_probe", str(path), json.dumps(terms)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, text=True)
    assert process.stdin is not None
    try:
        process.stdin.write(url + "\n")
        process.stdin.close()
        yield process
    finally:
        process.kill()
        process.wait()


async def until(condition: Any, timeout_s: float = 30.0) -> None:
    """Wait until `condition()` holds."""
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - it may be about a file that another process writes
            await asyncio.sleep(0.02)


async def read(url: str, path: Path, terms: dict[str, Any]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def note(what: str, name: str) -> None:
        os.write(descriptor, f"{what} {name} {os.getpid()}\n".encode())

    async def work(message: Message[NoteWritten]) -> None:
        written = message.event
        note("begun", written.note_id)
        if written.does == "raise":
            raise ValueError(f"cannot work on {written.note_id}")
        if written.does == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        await asyncio.sleep(written.takes_s)
        note("done", written.note_id)
        await message.ack()
        note("acked", written.note_id)

    bus = await eventbus.connect(url)
    concurrency = terms.pop("concurrency", 1)
    subscription = await bus.subscribe(NoteWritten, **terms)
    note("ready", "-")
    await subscription.consume(work, concurrency)


if __name__ == "__main__":
    asyncio.run(read(sys.stdin.readline().strip(), Path(sys.argv[1]), json.loads(sys.argv[2])))
