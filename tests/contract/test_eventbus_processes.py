"""Consumers that are killed, stopped and poisoned, and a server that is killed: nothing lost, nothing done twice."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from mts1b.deploy.plan import LOOPBACK
from mts1b.deploy.servers import nats_program
from mts1b.foundation.errors import StackError
from mts1b.platform import eventbus
from mts1b.platform.eventbus import EventBus
from tests.conftest import RunningStack
from tests.contract.bus_probe import NoteWritten, lines, noted, reader, until, write_notes
from tests.contract.test_eventbus_consumers import fresh


async def on(url: str, durable: str, **terms: object) -> EventBus:
    """A bus on which the durable exists, before anything is published: it begins here."""
    bus = await eventbus.connect(url)
    await (await bus.subscribe(NoteWritten, durable, since="now", **terms)).close()
    return bus


def test_two_processes_share_the_work_and_one_killed_mid_way_loses_nothing(stack: RunningStack, tmp_path: Path) -> None:
    async def work() -> None:
        url, durable, path = stack.endpoints.nats_url, fresh(), tmp_path / "notes"
        terms = {"durable": durable, "ack_wait_s": 2.0, "max_ack_pending": 40}
        bus = await on(url, **terms)  # type: ignore[arg-type]
        with reader(url, path, **terms) as first, reader(url, path, **terms):
            await until(lambda: len(noted(path, "ready")) == 2)
            names = await write_notes(bus, fresh("n"), 400, takes_s=0.002)
            await until(lambda: sum(pid == first.pid for _, _, pid in lines(path)) > 100)
            first.send_signal(signal.SIGKILL)
            first.wait()
            await until(lambda: set(noted(path, "done")) >= set(names))
        await bus.close()
        by = {pid: {name for what, name, pid_ in lines(path) if pid_ == pid and what == "acked"} for pid in pids(path)}
        assert len(by) == 2 and all(len(done) > 20 for done in by.values())  # both worked
        cut = {name for what, name, pid in lines(path) if pid == first.pid and what == "begun"} - by[first.pid]
        assert twice(path) <= cut and len(cut) <= 1  # at most the one that was under way is done again

    asyncio.run(work())


async def dies(process: subprocess.Popen[str], bus: EventBus, durable: str) -> bool:
    """Whether the reader ends by itself; it does not once the poison is buried."""
    async with asyncio.timeout(30):
        while process.poll() is None and not await bus.dead_letters(durable):  # noqa: ASYNC110 - of other processes
            await asyncio.sleep(0.05)
    return process.poll() is not None


def twice(path: Path) -> set[str]:
    """What was begun more than once."""
    return {name for name, count in Counter(noted(path, "begun")).items() if count > 1}


def pids(path: Path) -> set[int]:
    return {pid for what, _, pid in lines(path) if what == "begun"}


def test_a_message_that_kills_its_readers_is_buried_and_its_neighbours_are_not(
    stack: RunningStack, tmp_path: Path
) -> None:
    """The neighbours were delivered as often as it was: deliveries are not attempts."""

    async def work() -> None:
        url, durable, path = stack.endpoints.nats_url, fresh(), tmp_path / "notes"
        terms = {"durable": durable, "ack_wait_s": 0.6, "attempts_max": 2, "max_ack_pending": 100}
        bus = await on(url, **terms)  # type: ignore[arg-type]
        before = await write_notes(bus, fresh("before"), 2)
        (poison,) = await write_notes(bus, fresh("poison"), 1, does="kill")
        behind = await write_notes(bus, fresh("behind"), 20)
        killed = 0
        while not await bus.dead_letters(durable):
            with reader(url, path, **terms) as one:
                killed += await dies(one, bus, durable)
        with reader(url, path, **terms):
            await until(lambda: set(noted(path, "done")) == {*before, *behind})
        (letter,) = await bus.dead_letters(durable)
        await bus.close()
        assert letter.message_id == poison and "ended without a word" in letter.reason
        assert noted(path, "begun").count(poison) == killed == 3  # the first is not counted: nobody could write it down
        assert twice(path) == {poison}

    asyncio.run(work())


def test_a_process_that_stood_still_does_not_do_what_others_did_meanwhile(stack: RunningStack, tmp_path: Path) -> None:
    """Neither what waited in its buffer, nor what the server sent it while it stood still."""

    async def work() -> None:
        url, durable, path = stack.endpoints.nats_url, fresh(), tmp_path / "notes"
        terms = {"durable": durable, "ack_wait_s": 1.0, "max_ack_pending": 100, "prefetch": 20}
        bus = await on(url, **terms)  # type: ignore[arg-type]
        with reader(url, path, **terms) as frozen:
            await until(lambda: noted(path, "ready"))
            frozen.send_signal(signal.SIGSTOP)
            names = await write_notes(bus, fresh("sent"), 10, takes_s=0.05)
            with reader(url, path, **terms):
                await until(lambda: set(noted(path, "done")) >= set(names))
            frozen.send_signal(signal.SIGCONT)
            names += await write_notes(bus, fresh("held"), 30, takes_s=0.05)
            await until(lambda: len(worked(path, frozen.pid)) > 2)
            frozen.send_signal(signal.SIGSTOP)
            with reader(url, path, **terms):
                await until(lambda: len(set(noted(path, "done"))) >= len(names) - 1)
                frozen.send_signal(signal.SIGCONT)
                names += await write_notes(bus, fresh("last"), 10, takes_s=0.05)
                await until(lambda: set(noted(path, "done")) == set(names))
        await bus.close()
        assert len(twice(path)) <= 1  # the one that it stood still over

    asyncio.run(work())


def worked(path: Path, pid: int) -> list[str]:
    return [name for what, name, by in lines(path) if what == "done" and by == pid]


def test_work_longer_than_the_wait_for_it_is_done_once(stack: RunningStack, tmp_path: Path) -> None:
    """What is at work, and what waits behind it in the buffer, is kept alive."""

    async def work() -> None:
        url, durable, path = stack.endpoints.nats_url, fresh(), tmp_path / "notes"
        terms = {"durable": durable, "ack_wait_s": 0.5, "max_ack_pending": 20, "prefetch": 4}
        bus = await on(url, **terms)  # type: ignore[arg-type]
        with reader(url, path, **terms), reader(url, path, **terms):
            await until(lambda: len(noted(path, "ready")) == 2)
            names = await write_notes(bus, fresh("slow"), 6, takes_s=0.7)
            await until(lambda: set(noted(path, "done")) == set(names))
        await bus.close()
        assert Counter(noted(path, "begun")) == Counter(names)

    asyncio.run(work())


class OwnServer:
    """A NATS server of this test's own, to be killed."""

    def __init__(self, home: Path) -> None:
        with socket.socket() as probe:
            probe.bind((LOOPBACK, 0))
            self.port = int(probe.getsockname()[1])
        self.url = f"nats://{LOOPBACK}:{self.port}"
        self.home = home
        self.process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        command = [nats_program(), "-a", LOOPBACK, "-p", str(self.port), "-js", "-sd", str(self.home)]
        self.process = await asyncio.to_thread(subprocess.Popen, command, stderr=subprocess.DEVNULL)
        async with asyncio.timeout(20):
            while True:
                try:
                    await eventbus.ping(self.url, timeout_s=1)
                    return
                except StackError:
                    await asyncio.sleep(0.02)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[OwnServer]:
    found = OwnServer(tmp_path / "nats")
    yield found
    found.kill()


def test_a_server_killed_under_load_loses_and_repeats_nothing(server: OwnServer, tmp_path: Path) -> None:
    """It forgets the acknowledgements of its last tenth of a second; the instance that gave them does not."""

    async def work() -> None:
        await server.start()
        path = tmp_path / "notes"
        bus = await on(server.url, "d", ack_wait_s=1.0)
        with reader(server.url, path, durable="d", ack_wait_s=1.0):
            await until(lambda: noted(path, "ready"))
            writing = asyncio.create_task(write_slowly(bus, 300))
            for done in (60, 160):
                await until(lambda done=done: len(set(noted(path, "done"))) > done)  # type: ignore[misc]
                server.kill()
                await asyncio.sleep(0.2)
                await server.start()
            names = await writing
            await until(lambda: set(noted(path, "done")) == set(names))
            await settled(bus)
        assert (await bus._stream.stream_info("mts")).state.messages == len(names)
        await bus.close()
        assert twice(path) == set()

    asyncio.run(work())


async def settled(bus: EventBus) -> None:
    """Wait until the server knows that all is done."""
    async with asyncio.timeout(30):
        while any(lag.wait or lag.in_flight for lag in await bus.lags()):  # noqa: ASYNC110 - the server has no event
            await asyncio.sleep(0.05)


async def write_slowly(bus: EventBus, count: int) -> list[str]:
    """One after another, each confirmed before the next, as the outbox does."""
    names = [f"n-{number}" for number in range(count)]
    for name in names:
        await bus.publish_typed(NoteWritten(note_id=name), timeout_s=30)
        await asyncio.sleep(0.002)
    return names


def test_no_reader_is_left_behind() -> None:
    mine = psutil.Process(os.getpid()).children(recursive=True)
    assert not [child for child in mine if "tests.contract.bus_probe" in child.cmdline()]
