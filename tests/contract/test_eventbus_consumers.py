"""Durable consumers on a real server: what is shared, tried again, buried, and refused."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import Awaitable, Callable, Iterator
from uuid import uuid4

import pytest

from mts1b.cli.main import build_app, guarded
from mts1b.foundation.errors import InputError, StackError
from mts1b.platform import eventbus
from mts1b.platform.eventbus import EventBus, Message, consume, publish_typed, pull
from mts1b.platform.eventbus.attempts import AttemptNotes, Note
from mts1b.platform.telemetry import received, traceparent
from tests.conftest import RunningStack
from tests.contract.bus_probe import SUBJECT, NoteErased, NoteWritten, until, write_notes

Work = Callable[[EventBus], Awaitable[None]]


@pytest.fixture
def on_bus(stack: RunningStack) -> Iterator[Callable[[Work], None]]:
    """Run a test's coroutine on the process's primary bus."""

    def run(work: Work) -> None:
        async def opened() -> None:
            bus = await eventbus.open_bus("primary", stack.endpoints.nats_url)
            try:
                async with asyncio.timeout(60):
                    await work(bus)
            finally:
                await eventbus.close_buses()

        asyncio.run(opened())

    yield run


def fresh(prefix: str = "d") -> str:
    """A name that no other test uses."""
    return f"{prefix}-{uuid4().hex[:8]}"


async def next_of(subscription: eventbus.Subscription[NoteWritten]) -> Message[NoteWritten]:
    message = await subscription.next_message(10)
    assert message is not None
    return message


def test_the_sources_call_as_written(on_bus: Callable[[Work], None]) -> None:
    async def work(js: EventBus) -> None:
        name = fresh("fill")
        await js.publish("mts.v1.oms.fills.created", b"{}", message_id=name)
        sub = await js.subscribe(
            "mts.v1.oms.fills.created",
            durable="my-consumer",
            max_ack_pending=100,  # process up to 100 in flight
        )
        seen = []
        async for message in sub:
            seen.append(message.message_id)
            await message.ack()
            if message.message_id == name:
                break
        (lag,) = [lag for lag in await js.lags() if lag.durable == "my-consumer"]
        assert (lag.wait, lag.in_flight, lag.subject) == (0, 0, "mts.v1.oms.fills.created")
        info = await js._stream.consumer_info(lag.stream, "my-consumer")
        assert info.config.max_ack_pending == 100

    on_bus(work)


def test_an_event_comes_back_as_its_model(on_bus: Callable[[Work], None]) -> None:
    async def work(bus: EventBus) -> None:
        sub = await bus.subscribe(NoteWritten, fresh(), since="now")
        written = NoteWritten(note_id=fresh("n"), text="a\nb ü")
        assert not (await publish_typed(written)).is_duplicate
        await bus.publish_sent(written)  # the same id again: not stored twice
        await bus.publish_sent(NoteWritten(note_id=fresh("n"), text="last"))
        message = await next_of(sub)
        assert message.event == written and message.message_id == written.note_id
        assert message.subject == SUBJECT
        await message.ack()
        last = await next_of(sub)
        assert last.event.text == "last"

    on_bus(work)


def test_what_fails_comes_again_and_ends_in_the_dead_letters(
    on_bus: Callable[[Work], None], caplog: pytest.LogCaptureFixture
) -> None:
    async def work(bus: EventBus) -> None:
        durable, attempts = fresh(), []
        sub = await bus.subscribe(NoteWritten, durable, since="now", attempts_max=3, backoff_s=(0.05, 0.1))
        (bad,) = await write_notes(bus, fresh("bad"), 1, text="poison")
        good = await write_notes(bus, fresh("good"), 3)
        done = []

        async def handle(message: Message[NoteWritten]) -> None:
            if message.event.text == "poison":
                attempts.append(message.attempts)
                raise ValueError(f"cannot read {message.event.note_id}\nat all, ü")
            done.append(message.event.note_id)

        task = asyncio.create_task(sub.consume(handle))
        await until(lambda: sub.statistics().dead == 1 and len(done) == 3)
        await sub.close()
        await task
        assert attempts == [1, 2, 3] and done == good
        (letter,) = await bus.dead_letters(durable)
        assert (letter.subject, letter.message_id, letter.attempts) == (SUBJECT, bad, 3)
        assert letter.reason == f"ValueError: cannot read {bad} at all, ü"
        assert NoteWritten.model_validate_json(letter.payload).text == "poison"
        (lag,) = [lag for lag in await bus.lags() if lag.durable == durable]
        assert (lag.wait, lag.in_flight) == (0, 0)
        assert sub.statistics().acknowledged == 3 and sub.statistics().retried == 2

    on_bus(work)
    told = [(record.levelname, record.getMessage()) for record in caplog.records if record.name == "mts1b.eventbus"]
    assert [level for level, _ in told] == ["WARNING", "WARNING", "ERROR"]
    assert "attempt 2" in told[1][1] and "gave up" in told[2][1] and "cannot read" in told[2][1]


def test_a_payload_that_does_not_fit_its_model_is_buried_at_once(on_bus: Callable[[Work], None]) -> None:
    async def work(bus: EventBus) -> None:
        durable = fresh()
        sub = await bus.subscribe(NoteWritten, durable, since="now")
        await bus.publish(SUBJECT, b'{"text":"no id"}', message_id=fresh("broken"))
        (good,) = await write_notes(bus, fresh("good"), 1)
        assert (await next_of(sub)).event.note_id == good
        (letter,) = await bus.dead_letters(durable)
        assert "NoteWritten.note_id" in letter.reason and letter.payload == b'{"text":"no id"}'

    on_bus(work)


def test_a_handler_that_hangs_is_a_failure_like_any_other(on_bus: Callable[[Work], None]) -> None:
    async def work(bus: EventBus) -> None:
        durable = fresh()
        sub = await bus.subscribe(NoteWritten, durable, since="now", attempts_max=1)
        await write_notes(bus, fresh("slow"), 1)
        task = asyncio.create_task(sub.consume(lambda _message: asyncio.sleep(60), handler_timeout_s=0.1))
        await until(lambda: sub.statistics().dead == 1)
        await sub.close()
        await task
        (letter,) = await bus.dead_letters(durable)
        assert letter.reason == "took longer than 0.1 s"

    on_bus(work)


def test_a_durable_that_reads_something_else_is_not_taken_over(on_bus: Callable[[Work], None]) -> None:
    """It would change what the first one reads, and its messages would be lost to it."""

    async def work(bus: EventBus) -> None:
        durable = fresh()
        first = await bus.subscribe(NoteWritten, durable, since="now")
        with pytest.raises(InputError, match="reads mts.v1.probe.notes.written, not mts.v1.probe.notes.erased"):
            await bus.subscribe(NoteErased, durable)
        (name,) = await write_notes(bus, fresh("n"), 1)
        assert (await next_of(first)).message_id == name

    on_bus(work)


def test_the_same_id_on_two_subjects_is_two_events(on_bus: Callable[[Work], None]) -> None:
    """The server compares ids over a whole stream: an order's id on two subjects would lose the second event."""

    async def work(bus: EventBus) -> None:
        name = fresh("same")
        both = (await publish_typed(NoteWritten(note_id=name)), await publish_typed(NoteErased(note_id=name)))
        assert [item.is_duplicate for item in both] == [False, False]
        again = await publish_typed(NoteErased(note_id=name))
        assert again.is_duplicate and again.sequence == both[1].sequence

    on_bus(work)


def test_a_stream_keeps_the_subjects_that_others_asked_for(on_bus: Callable[[Work], None]) -> None:
    async def work(bus: EventBus) -> None:
        name = fresh("S")
        await bus.ensure_stream(name, [f"{name}.a.>"])
        await bus.ensure_stream(name, [f"{name}.b.>"])
        await bus.publish(f"{name}.a.x", b"", message_id="1")
        await bus.publish(f"{name}.b.x", b"", message_id="1")
        with pytest.raises(InputError, match="is stored in no stream"):
            await bus.subscribe(f"{name}.c.x", durable=name)

    on_bus(work)


def test_what_an_instance_holds_goes_to_the_others_when_it_closes(on_bus: Callable[[Work], None]) -> None:
    async def work(bus: EventBus) -> None:
        terms = {"durable": fresh(), "since": "now", "ack_wait_s": 60.0, "attempts_max": 1}
        first = await bus.subscribe(NoteWritten, **terms)
        names = await write_notes(bus, fresh("n"), 20)
        held = await next_of(first)
        await first.close()
        second = await bus.subscribe(NoteWritten, **terms)
        await held.ack()
        rest = [await next_of(second) for _ in names[1:]]
        assert {message.message_id for message in rest} == set(names) - {held.message_id}
        assert {message.attempts for message in rest} == {1}  # the first instance began none of them
        with pytest.raises(StackError, match="is closed"):
            await first.next_message(1)

    on_bus(work)


def test_a_trace_goes_on_behind_the_bus(on_bus: Callable[[Work], None]) -> None:
    async def work(bus: EventBus) -> None:
        trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
        sub = await bus.subscribe(NoteWritten, fresh(), since="now")
        erased = await bus.subscribe(NoteErased, fresh(), since="now")
        with received({"traceparent": f"00-{trace_id}-00f067aa0ba902b7-01"}):
            await publish_typed(NoteWritten(note_id=fresh("n")))

        async def handle(message: Message[NoteWritten]) -> None:
            await publish_typed(NoteErased(note_id=message.event.note_id))

        task = asyncio.create_task(sub.consume(handle))
        message = await erased.next_message(10)
        await sub.close()
        await task
        assert message is not None and message.headers["traceparent"].split("-")[1] == trace_id
        assert traceparent() == ""

    on_bus(work)


def test_a_letter_written_before_a_crash_is_not_written_twice(
    on_bus: Callable[[Work], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(bus: EventBus) -> None:
        durable = fresh()
        sub = await bus.subscribe(NoteWritten, durable, since="now", ack_wait_s=0.5)
        await write_notes(bus, fresh("n"), 1)
        with monkeypatch.context() as patched:
            patched.setattr(consume, "_confirmed", crash)
            with pytest.raises(KeyboardInterrupt):
                await (await next_of(sub)).reject("first")
        await (await next_of(sub)).reject("second")
        assert [letter.reason for letter in await bus.dead_letters(durable)] == ["first"]

    on_bus(work)


async def crash(_raw: object) -> None:
    raise KeyboardInterrupt


def test_a_stream_made_anew_is_not_taken_for_the_old_one(on_bus: Callable[[Work], None]) -> None:
    """It counts from 1 again: what was remembered of the old numbers would bury or swallow new messages."""

    async def work(bus: EventBus) -> None:
        name, durable = fresh("S"), fresh()
        subject = f"{name}.x"

        async def begin_anew() -> eventbus.Subscription[eventbus.Event]:
            await bus.ensure_stream(name, [subject])
            for number in range(3):
                await bus.publish(subject, b"", message_id=f"{number}")
            return await bus.subscribe(subject, durable, prefetch=0)

        sub = await begin_anew()
        for _ in range(3):
            message = await sub.next_message(10)
            assert message is not None
            await (message.ack() if message.sequence < 3 else message.reject("the last"))
        await bus._stream.delete_stream(name)
        await (await begin_anew()).close()  # soon enough that the first instance notices nothing
        seen = []
        for _ in range(3):
            message = await sub.next_message(10)
            assert message is not None
            seen.append(message.message_id)
            await message.reject("again")
        assert seen == ["0", "1", "2"]
        assert [letter.reason for letter in await bus.dead_letters(durable)] == ["the last", "again", "again", "again"]

    on_bus(work)


def test_a_reader_that_is_called_off_before_it_began_made_no_attempt(
    on_bus: Callable[[Work], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(bus: EventBus) -> None:
        terms = {"since": "now", "attempts_max": 2, "backoff_s": (0.01,), "ack_wait_s": 60.0}
        sub = await bus.subscribe(NoteWritten, fresh(), **terms)
        await write_notes(bus, fresh("n"), 1)
        await (await next_of(sub)).retry("once")
        write = AttemptNotes.write

        async def slow(notes: AttemptNotes, place: str, note: Note) -> None:
            await write(notes, place, note)
            await asyncio.sleep(0.2)

        with monkeypatch.context() as patched:
            patched.setattr(AttemptNotes, "write", slow)
            for _ in range(4):
                assert await sub.next_message(0.1) is None
        message = await next_of(sub)
        assert message.attempts == 2
        await message.ack()

    on_bus(work)


def test_closing_waits_for_the_work_under_way(on_bus: Callable[[Work], None]) -> None:
    async def work(bus: EventBus) -> None:
        durable, begun = fresh(), asyncio.Event()
        sub = await bus.subscribe(NoteWritten, durable, since="now")
        await write_notes(bus, fresh("n"), 1)

        async def handle(_message: Message[NoteWritten]) -> None:
            begun.set()
            await asyncio.sleep(0.2)

        task = asyncio.create_task(sub.consume(handle))
        await begun.wait()
        await sub.close()
        assert sub.statistics().acknowledged == 1
        await task
        (lag,) = [lag for lag in await bus.lags() if lag.durable == durable]
        assert (lag.wait, lag.in_flight) == (0, 0)

    on_bus(work)


def test_a_handler_whose_helper_was_cancelled_has_failed(on_bus: Callable[[Work], None]) -> None:
    """The reader itself was not called off: it goes on."""

    async def work(bus: EventBus) -> None:
        durable = fresh()
        sub = await bus.subscribe(NoteWritten, durable, since="now", attempts_max=1)
        names = await write_notes(bus, fresh("n"), 2)

        async def handle(message: Message[NoteWritten]) -> None:
            if message.message_id == names[0]:
                helper = asyncio.ensure_future(asyncio.sleep(60))
                helper.cancel()
                await helper

        task = asyncio.create_task(sub.consume(handle))
        await until(lambda: sub.statistics().acknowledged == 1 and sub.statistics().dead == 1)
        await sub.close()
        await task
        (letter,) = await bus.dead_letters(durable)
        assert letter.message_id == names[0] and "CancelledError" in letter.reason

    on_bus(work)


def test_work_called_off_goes_to_another_instance_at_once(on_bus: Callable[[Work], None]) -> None:
    async def work(bus: EventBus) -> None:
        terms = {"durable": fresh(), "since": "now", "ack_wait_s": 60.0, "attempts_max": 1}
        first, second = [await bus.subscribe(NoteWritten, prefetch=0, **terms) for _ in range(2)]
        (name,) = await write_notes(bus, fresh("n"), 1)
        begun = asyncio.Event()

        async def handle(_message: Message[NoteWritten]) -> None:
            begun.set()
            await asyncio.sleep(60)

        task = asyncio.create_task(first.consume(handle))
        await begun.wait()
        task.cancel()
        message = await next_of(second)
        assert (message.message_id, message.attempts) == (name, 1)

    on_bus(work)


def test_a_reader_that_is_dropped_holds_nothing_back(on_bus: Callable[[Work], None]) -> None:
    async def work(bus: EventBus) -> None:
        terms = {"durable": fresh(), "since": "now", "ack_wait_s": 60.0}
        first = await bus.subscribe(NoteWritten, **terms)
        names = await write_notes(bus, fresh("n"), 20)
        async for message in first:
            await message.ack()
            break
        del first, message
        gc.collect()
        second = await bus.subscribe(NoteWritten, **terms)
        rest = [await next_of(second) for _ in names[1:]]
        assert {message.message_id for message in rest} <= set(names)

    on_bus(work)


def test_a_reader_that_takes_nothing_for_long_lets_go(
    on_bus: Callable[[Work], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pull, "HOLD_S", 0.0)

    async def work(bus: EventBus) -> None:
        terms = {"durable": fresh(), "since": "now", "ack_wait_s": 0.5, "max_ack_pending": 80}
        first = await bus.subscribe(NoteWritten, **terms)
        names = await write_notes(bus, fresh("n"), 20)
        await next_of(first)
        second = await bus.subscribe(NoteWritten, **terms)
        seen = set()
        while seen != set(names):
            message = await next_of(second)
            seen.add(message.message_id)
            await message.ack()
        assert await first.next_message(0.1) is None
        assert first.statistics().dropped > 0

    on_bus(work)


def test_a_secret_in_a_reason_is_masked(on_bus: Callable[[Work], None]) -> None:
    async def work(bus: EventBus) -> None:
        durable = fresh()
        sub = await bus.subscribe(NoteWritten, durable, since="now")
        await write_notes(bus, fresh("n"), 1)
        await (await next_of(sub)).reject("refused by https://me:hunter22@example.com/x")
        assert [letter.reason for letter in await bus.dead_letters(durable)] == ["refused by https://***@example.com/x"]

    on_bus(work)


def test_dead_letters_and_lags_are_listed(
    stack: RunningStack,
    on_bus: Callable[[Work], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    durable = fresh()

    async def work(bus: EventBus) -> None:
        sub = await bus.subscribe(NoteWritten, durable, since="now")
        await write_notes(bus, "listed", 2, text="why")
        await (await next_of(sub)).reject("not today")

    def shown(*words: str) -> str:
        monkeypatch.setattr("sys.argv", ["mts", "events", *words, "--data-dir", str(stack.settings.data_dir)])
        app = build_app(["strategy", "events"])
        assert guarded(lambda: app(standalone_mode=False), debug=False) == 0
        return capsys.readouterr().out

    on_bus(work)
    (letter,) = json.loads(shown("dead", "--durable", durable, "--json"))
    assert (letter["reason"], letter["message_id"], letter["payload"]["text"]) == ("not today", "listed-0", "why")
    (lag,) = [lag for lag in json.loads(shown("lag", "--json")) if lag["durable"] == durable]
    assert lag["wait"] + lag["in_flight"] == 1
    monkeypatch.setenv("COLUMNS", "200")
    assert "not today" in shown("dead") and durable in shown("lag")


@pytest.mark.parametrize(
    ("terms", "problem"),
    [
        ({"durable": "a b"}, "no name of a consumer"),
        ({"durable": "a", "max_ack_pending": 0}, "at least 1"),
        ({"durable": "a", "ack_wait_s": 0.1}, "too short"),
        ({"durable": "a", "since": "then"}, "neither first nor now"),
        ({"durable": "a", "backoff_s": ()}, "is empty"),
    ],
)
def test_terms_that_cannot_be_kept_are_refused(
    on_bus: Callable[[Work], None], terms: dict[str, object], problem: str
) -> None:
    async def work(bus: EventBus) -> None:
        with pytest.raises(InputError, match=problem):
            await bus.subscribe(SUBJECT, **terms)  # type: ignore[arg-type]

    on_bus(work)


def test_an_id_that_would_break_its_header_is_refused(on_bus: Callable[[Work], None]) -> None:
    async def work(bus: EventBus) -> None:
        with pytest.raises(InputError, match="message_id"):
            await bus.publish(SUBJECT, b"{}", message_id="a\r\nNats-Expected-Stream: b")
        with pytest.raises(StackError, match="is not open"):
            eventbus.get_bus("another")

    on_bus(work)


def test_a_consumer_that_somebody_deletes_says_so(on_bus: Callable[[Work], None]) -> None:
    async def work(bus: EventBus) -> None:
        durable = fresh()
        sub = await bus.subscribe(NoteWritten, durable, since="now")
        await write_notes(bus, fresh("n"), 1)
        await next_of(sub)  # its request has arrived
        await bus._stream.delete_consumer("mts", durable)
        with pytest.raises(StackError, match="is gone; subscribe again"):
            await sub.next_message(10)

    on_bus(work)
