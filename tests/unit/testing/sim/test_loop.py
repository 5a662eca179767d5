"""Simulated time, and processes that are killed and stopped in the middle of something."""

from __future__ import annotations

import asyncio

import pytest

from mts1b.foundation.clock import NS_PER_S
from mts1b.testing.sim.loop import EPOCH_NS, Process, SimClock, SimLoop


async def count(into: list[int], clock: SimClock) -> None:
    try:
        for _ in range(5):
            await asyncio.sleep(1)
            into.append(clock.monotonic_ns() // NS_PER_S)
    finally:
        into.append(-1)


def run(loop: SimLoop, until_s: float) -> None:
    loop.run_until(lambda: loop.now_ns >= until_s * NS_PER_S)


def test_time_jumps_from_one_thing_to_the_next() -> None:
    loop, seen = SimLoop(), []
    Process(loop, "one").start(count(seen, SimClock(loop)))
    run(loop, 100)
    assert seen == [1, 2, 3, 4, 5, -1]
    assert loop.now_ns == 5 * NS_PER_S


def test_a_killed_process_does_nothing_more_not_even_goodbye() -> None:
    loop, seen = SimLoop(), []
    process = Process(loop, "one")
    task = process.start(count(seen, SimClock(loop)))
    Process(loop, "room").call(2_500_000_000, process.kill)
    run(loop, 100)
    assert seen == [1, 2]
    assert not task.done()


def test_a_stopped_process_finds_its_timers_overdue() -> None:
    loop, seen = SimLoop(), []
    process, room = Process(loop, "one"), Process(loop, "room")
    process.start(count(seen, SimClock(loop)))
    room.call(1_500_000_000, process.stop)
    room.call(10 * NS_PER_S, process.go_on)
    run(loop, 100)
    assert seen == [1, 10, 11, 12, 13, -1]


def test_tasks_belong_to_the_process_that_started_them() -> None:
    loop, seen = SimLoop(), []
    process = Process(loop, "one")

    async def parent() -> None:
        asyncio.get_running_loop().create_task(count(seen, SimClock(loop)))
        await asyncio.sleep(0)

    process.start(parent())
    Process(loop, "room").call(1_500_000_000, process.kill)
    run(loop, 100)
    assert seen == [1]


def test_a_callback_that_fails_fails_the_story() -> None:
    loop = SimLoop()
    Process(loop, "one").call(1, lambda: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        run(loop, 1)


def test_what_goes_round_in_a_circle_is_noticed() -> None:
    loop = SimLoop()

    def again() -> None:
        loop.call_soon(again)

    Process(loop, "one").call(1, again)
    with pytest.raises(RuntimeError, match="time stands still"):
        run(loop, 1)


def test_clocks_of_machines_differ_by_their_offset() -> None:
    loop = SimLoop()
    assert SimClock(loop, 7).now_ns() - SimClock(loop).now_ns() == 7
    assert SimClock(loop, 7).monotonic_ns() == SimClock(loop).monotonic_ns() == 0
    assert SimClock(loop).now_ns() == EPOCH_NS
