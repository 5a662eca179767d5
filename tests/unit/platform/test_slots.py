"""Places of a pool: never more than there are, in the order they were asked for, none lost to a cancellation."""

from __future__ import annotations

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from mts1b.platform.slots import Slots

STEPS = st.lists(st.tuples(st.sampled_from(["enter", "leave", "cancel", "run", "leave-and-cancel"]), st.integers(0, 9)))


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 4), STEPS)
def test_places_are_counted_exactly(capacity: int, steps: list[tuple[str, int]]) -> None:
    async def play() -> None:
        slots, waiting, inside, served = Slots(capacity), [], [], []

        async def enter(number: int) -> None:
            await slots.enter()
            served.append(number)

        def settle() -> None:
            for task in [task for task in waiting if task.done()]:
                waiting.remove(task)
                if not task.cancelled():
                    inside.append(task)

        for number, (what, which) in enumerate(steps):
            if what == "enter":
                waiting.append(asyncio.create_task(enter(number)))
            elif what.startswith("leave") and inside:
                inside.pop(which % len(inside))
                slots.leave()
            if what.endswith("cancel") and waiting:
                waiting[which % len(waiting)].cancel()
            if what == "leave-and-cancel":
                continue  # the place and the cancellation meet in the same turn of the loop
            for _ in range(3):
                await asyncio.sleep(0)
            settle()
            assert slots.in_use == len(inside) <= capacity
            assert slots.waiting == len(waiting)
            assert not waiting or slots.in_use == capacity
        for _ in range(3):
            await asyncio.sleep(0)
        settle()
        assert (slots.in_use, slots.waiting) == (len(inside), len(waiting))
        assert served == sorted(served)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        for _ in inside:
            slots.leave()
        assert (slots.in_use, slots.waiting) == (0, 0)

    asyncio.run(play())
