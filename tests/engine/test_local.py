"""The local engine: a thread a core, a bounded queue, and nobody's absence disturbs anybody."""

import asyncio
import threading

import pytest

from legible.engine.local import LocalEngine
from legible.errors import NotAvailable, RecognitionFailed, Unavailable
from legible.tasks import Answer, Kind, Task, TextAnswer, TextOptions

pytestmark = pytest.mark.anyio
TASK = Task(Kind.TEXT, (b"",), TextOptions())


def read(task: Task) -> Answer:
    return TextAnswer("7364", 0.9)


async def test_it_answers_what_the_recognizer_reads() -> None:
    engine = LocalEngine({Kind.TEXT: read})
    await engine.start()
    assert engine.kinds == {Kind.TEXT}
    assert await engine.recognize(TASK) == TextAnswer("7364", 0.9)
    await engine.stop()


async def test_a_refusal_comes_back_as_it_was_raised() -> None:
    def refuse(task: Task) -> Answer:
        raise RecognitionFailed("too faint", confidence=0.2, threshold=0.5)

    engine = LocalEngine({Kind.TEXT: refuse})
    with pytest.raises(RecognitionFailed) as refusal:
        await engine.recognize(TASK)
    assert refusal.value.confidence == 0.2
    assert engine.pending == 0
    await engine.stop()


async def test_a_kind_without_a_recognizer_is_not_available() -> None:
    engine = LocalEngine({})
    with pytest.raises(NotAvailable):
        await engine.recognize(TASK)
    await engine.stop()


async def test_over_the_queue_limit_it_refuses_and_then_goes_on() -> None:
    gate = threading.Event()

    def slow(task: Task) -> Answer:
        gate.wait(10)
        return read(task)

    engine = LocalEngine({Kind.TEXT: slow}, workers=1, queue_limit=2)
    waiting = [asyncio.create_task(engine.recognize(TASK)) for _ in range(3)]
    await asyncio.sleep(0.05)
    with pytest.raises(Unavailable):
        await engine.recognize(TASK)
    gate.set()
    assert len(await asyncio.gather(*waiting)) == 3
    await engine.recognize(TASK)
    assert engine.pending == 0
    await engine.stop()


async def test_who_hangs_up_leaves_the_queue_and_breaks_nothing() -> None:
    gate, is_begun, read_by_thread = threading.Event(), threading.Event(), []

    def slow(task: Task) -> Answer:
        is_begun.set()
        gate.wait(10)
        read_by_thread.append(task)
        return read(task)

    engine = LocalEngine({Kind.TEXT: slow}, workers=1, queue_limit=5)
    begun, queued, patient = (asyncio.create_task(engine.recognize(TASK)) for _ in range(3))
    assert await asyncio.to_thread(is_begun.wait, 10)
    begun.cancel()
    queued.cancel()
    await asyncio.sleep(0.05)
    assert engine.pending == 2  # the thread cannot be stopped in the middle; the one in the queue is gone
    gate.set()
    assert await patient == TextAnswer("7364", 0.9)
    for each in (begun, queued):
        with pytest.raises(asyncio.CancelledError):
            await each
    assert len(read_by_thread) == 2
    await engine.stop()
    assert engine.pending == 0


async def test_as_many_run_at_once_as_there_are_workers() -> None:
    both = threading.Barrier(2, timeout=10)

    def meet(task: Task) -> Answer:
        both.wait()
        return read(task)

    engine = LocalEngine({Kind.TEXT: meet}, workers=2)
    assert len(await asyncio.gather(engine.recognize(TASK), engine.recognize(TASK))) == 2
    await engine.stop()


async def test_the_event_loop_runs_on_while_a_thread_works() -> None:
    is_free = threading.Event()

    def slow(task: Task) -> Answer:
        assert is_free.wait(30)
        return read(task)

    engine = LocalEngine({Kind.TEXT: slow}, workers=1)
    answer = asyncio.create_task(engine.recognize(TASK))
    for _ in range(4):
        await asyncio.sleep(0.01)
        assert not answer.done()
    is_free.set()
    assert await answer == TextAnswer("7364", 0.9)
    await engine.stop()


async def test_starting_warms_the_models_up() -> None:
    warmed: list[str] = []
    engine = LocalEngine({}, warm_up=(lambda: warmed.append("text"), lambda: warmed.append("slider")))
    await engine.start()
    assert sorted(warmed) == ["slider", "text"]
    await engine.stop()
