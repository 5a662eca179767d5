from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mts1b.foundation.clock import NS_PER_MS
from mts1b.platform.telemetry import (
    COLLECTOR,
    STEPS_MAX,
    Collector,
    Operation,
    Recorder,
    operation,
    outgoing,
    received,
    recorded,
    span,
    traceparent,
)
from mts1b.platform.telemetry.spans import THE_REST
from mts1b.platform.telemetry.trace import place_of


@pytest.fixture
def seen() -> Iterator[list[Operation]]:
    """Every operation of this process while the test runs."""
    found: list[Operation] = []
    listener = found.append
    COLLECTOR.listen(listener)
    yield found
    COLLECTOR.unlisten(listener)


def test_nested_spans_are_one_trace_and_children_end_first(seen: list[Operation]) -> None:
    with span("submit", order="o1") as outer, span("commit"):
        recorded("gate", 5)
    gate, commit, submit = seen
    assert [item.name for item in seen] == ["gate", "commit", "submit"]
    assert {item.trace_id for item in seen} == {outer.trace_id}
    assert (gate.parent_id, commit.parent_id, submit.parent_id) == (commit.span_id, submit.span_id, 0)
    assert submit.duration_ns >= commit.duration_ns and submit.attributes == {"order": "o1"}
    assert traceparent() == ""


def test_spans_apart_are_traces_apart(seen: list[Operation]) -> None:
    for _ in range(2):
        with span("one"):
            pass
    assert seen[0].trace_id != seen[1].trace_id


def test_an_error_is_named_and_counted_and_goes_on(seen: list[Operation]) -> None:
    before = COLLECTOR.totals().failures.get("failing", 0)
    COLLECTOR.recent(clear=True)
    with pytest.raises(ZeroDivisionError), span("failing"):
        _ = 1 / 0
    with pytest.raises(asyncio.CancelledError), span("failing"):
        raise asyncio.CancelledError  # was stopped, has not failed
    assert [item.error for item in seen] == ["ZeroDivisionError", "CancelledError"]
    assert COLLECTOR.totals().failures["failing"] == before + 1 and COLLECTOR.recent().failures == {"failing": 1}
    COLLECTOR.recent(clear=True)
    assert COLLECTOR.totals().failures["failing"] == before + 1 and COLLECTOR.recent().failures == {}


def test_a_function_is_an_operation_whatever_it_does(seen: list[Operation]) -> None:
    @operation("divide")
    def divide(above: int, below: int = 2) -> float:
        """What comes out."""
        return above / below

    assert divide(6) == 3 and divide(6, below=3) == 2 and divide.__doc__ == "What comes out."
    with pytest.raises(ZeroDivisionError), span("around") as around:
        divide(1, below=0)
    assert [(one.name, one.error) for one in seen[:3]] == [
        ("divide", ""),
        ("divide", ""),
        ("divide", "ZeroDivisionError"),
    ]
    assert seen[2].parent_id == around.span_id


def test_headers_carry_the_trace_to_another_process(seen: list[Operation]) -> None:
    with span("publish"):
        headers = outgoing()
    assert outgoing() == {}
    with received({"TraceParent": headers["traceparent"]}), span("consume"):
        pass
    publish, consume = seen
    assert (consume.trace_id, consume.parent_id) == (publish.trace_id, publish.span_id)
    with received({}), span("alone"):
        pass
    assert seen[2].parent_id == 0


@pytest.mark.parametrize(
    "value",
    ["", "00", "00-" + "0" * 32 + "-00f067aa0ba902b7-01", "00-4bf92f3577b34da6a3ce929d0e0e4736-" + "0" * 16 + "-01"]
    + [
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
    ],
)
def test_what_is_no_traceparent_begins_a_trace(value: str) -> None:
    assert place_of(value) is None
    with received(value), span("x") as begun:
        assert begun._parent_id == 0


def test_a_later_version_of_the_header_is_read_as_far_as_known() -> None:
    found = place_of("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-the-future-will-be-like")
    assert found is not None and found.span_id == 0x00F067AA0BA902B7


def test_tasks_inherit_the_span_and_do_not_disturb_each_other(seen: list[Operation]) -> None:
    async def work(name: str) -> None:
        with span(name):
            await asyncio.sleep(0)
            with span(f"{name}.inner"):
                await asyncio.sleep(0)

    async def main() -> None:
        with span("root"):
            await asyncio.gather(work("a"), work("b"))

    asyncio.run(main())
    by_name = {item.name: item for item in seen}
    for name in ("a", "b"):
        assert by_name[name].parent_id == by_name["root"].span_id
        assert by_name[f"{name}.inner"].parent_id == by_name[name].span_id


def test_each_listener_hears_what_is_long_enough_for_it() -> None:
    collector = Collector()
    all_of_them: list[Operation] = []
    slow: list[Operation] = []
    heard, heard_slow = all_of_them.append, slow.append
    collector.listen(heard_slow, 50 * NS_PER_MS)
    collector.ended("x", 49 * NS_PER_MS, (1, 2, 3), {})
    collector.listen(heard)
    collector.ended("x", 49 * NS_PER_MS, (1, 2, 3), {})
    collector.ended("x", 50 * NS_PER_MS, (1, 2, 3), {})
    collector.unlisten(heard)
    collector.ended("x", 1, (1, 2, 3), {})
    assert ([item.duration_ns // NS_PER_MS for item in all_of_them], len(slow)) == ([49, 50], 1)
    told = slow[0].to_json()
    assert (told["duration_ms"], told["trace_id"], told["parent_id"]) == (50.0, f"{1:032x}", f"{3:016x}")


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 10**12), st.booleans())))
def test_totals_hold_every_operation_whatever_was_cleared(ended: list[tuple[str, int, bool]]) -> None:
    collector, plain, cleared = Collector(), Recorder(), Recorder()
    for name, duration_ns, clear in ended:
        collector.ended(name, duration_ns, (1, 1, 0), {})
        plain.record(name, duration_ns)
        if clear:
            cleared.merge(collector.recent(clear=True).durations)
    cleared.merge(collector.recent().durations)
    assert collector.totals().durations == plain.steps == cleared.steps


def test_names_are_bounded() -> None:
    collector = Collector()
    for number in range(STEPS_MAX + 5):
        collector.ended(f"order {number}", 1, (1, 1, 0), {})
        if number == 3:
            collector.recent(clear=True)
    collector.ended("order 2", 1, (1, 1, 0), {})  # known before
    found = collector.totals().durations
    assert len(found) == STEPS_MAX + 1 and found[THE_REST].count == 5 and found["order 2"].count == 2


def test_threads_lose_no_operation() -> None:
    collector = Collector()

    def work() -> None:
        for _ in range(2_000):
            collector.ended("x", 100, (1, 1, 0), {})

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert collector.totals().durations["x"].count == 8_000


def test_a_recorder_tells_its_listener_and_travels_without_it(seen: list[Operation]) -> None:
    import pickle

    recorder = Recorder(recorded)
    with span("order"):
        recorder.record("oms_receive", 7)
    assert [(item.name, item.duration_ns) for item in seen][0] == ("oms_receive", 7)
    assert seen[0].parent_id == seen[1].span_id
    travelled = pickle.loads(pickle.dumps(recorder))
    travelled.record("oms_receive", 8)
    assert travelled.steps["oms_receive"].count == 2 and len(seen) == 2
