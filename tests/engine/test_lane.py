"""The way to recognizers elsewhere: batches without a timer, and nobody suffers for who is lost."""

import asyncio
import pickle
from collections.abc import Sequence

import pytest

from legible import errors
from legible.engine.lane import BATCH, TRIES, UNDER_WAY, Call, Lane, Lost, Outcome
from legible.errors import InvalidField, RecognitionFailed, Refusal, Unavailable
from legible.tasks import Kind, Task, TextAnswer, TextOptions

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("legible.engine.lane.PAUSE_SECONDS", 0.001)


def task(name: str) -> Task:
    return Task(Kind.TEXT, (name.encode(),), TextOptions())


def read(each: Task) -> Outcome:
    return TextAnswer(each.images[0].decode(), 0.9)


async def ask(lane: Lane, name: str) -> str:
    answer = await lane.recognize(task(name))
    assert isinstance(answer, TextAnswer)
    return answer.text


def recorded(batches: list[list[str]], call: Call) -> Call:
    async def recording(tasks: Sequence[Task]) -> Sequence[Outcome]:
        batches.append([each.images[0].decode() for each in tasks])
        return await call(tasks)

    return recording


async def good(tasks: Sequence[Task]) -> Sequence[Outcome]:
    await asyncio.sleep(0.002)
    return [read(each) for each in tasks]


async def test_everybody_gets_the_answer_to_his_own_picture_whatever_goes_with_it() -> None:
    batches: list[list[str]] = []
    lane = Lane(recorded(batches, good), 5)
    names = [f"picture {number}" for number in range(1000)]
    assert await asyncio.gather(*(ask(lane, name) for name in names)) == names
    assert sum(map(len, batches)) == 1000
    assert max(map(len, batches)) == BATCH


async def test_a_lone_call_waits_for_no_company_and_many_go_together() -> None:
    batches: list[list[str]] = []
    lane = Lane(recorded(batches, good), 5)
    await ask(lane, "alone")
    await asyncio.gather(*(ask(lane, "together") for _ in range(BATCH)))
    assert [len(batch) for batch in batches] == [1, BATCH]


async def test_only_so_many_calls_are_under_way_and_the_rest_gathers() -> None:
    gate, under_way, most = asyncio.Event(), 0, 0

    async def slow(tasks: Sequence[Task]) -> Sequence[Outcome]:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await gate.wait()
        under_way -= 1
        return [read(each) for each in tasks]

    lane = Lane(slow, 5)
    calls = []
    for number in range(3 * UNDER_WAY):
        calls.append(asyncio.create_task(ask(lane, str(number))))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    gate.set()
    assert await asyncio.gather(*calls) == [str(number) for number in range(3 * UNDER_WAY)]
    assert most == UNDER_WAY


async def test_a_lost_call_is_made_again() -> None:
    losses = iter([Lost("a node is gone"), Lost("another one"), None])

    async def lossy(tasks: Sequence[Task]) -> Sequence[Outcome]:
        if loss := next(losses):
            raise loss
        return [read(each) for each in tasks]

    assert await ask(Lane(lossy, 5), "patient") == "patient"


async def test_a_node_that_says_nothing_is_given_up_and_another_asked() -> None:
    asked = 0

    async def silent_at_first(tasks: Sequence[Task]) -> Sequence[Outcome]:
        nonlocal asked
        asked += 1
        if asked == 1:
            await asyncio.sleep(60)
        return [read(each) for each in tasks]

    lane = Lane(silent_at_first, 0.05)
    assert await asyncio.gather(ask(lane, "one"), ask(lane, "two")) == ["one", "two"]


async def test_a_picture_that_kills_takes_nobody_with_it_and_is_refused_in_the_end() -> None:
    deaths: list[int] = []

    async def mortal(tasks: Sequence[Task]) -> Sequence[Outcome]:
        if any(each.images[0] == b"poison" for each in tasks):
            deaths.append(len(tasks))
            raise Lost("a process is gone")
        return [read(each) for each in tasks]

    lane = Lane(mortal, 5)
    names = ["one", "poison", "two", "three"]
    answers = await asyncio.gather(*(ask(lane, name) for name in names), return_exceptions=True)
    assert isinstance(answers.pop(1), Unavailable)
    assert answers == ["one", "two", "three"]
    assert deaths == [4, *[1] * (TRIES - 1)]


async def test_a_refusal_and_a_bug_reach_only_who_caused_them() -> None:
    async def mixed(tasks: Sequence[Task]) -> Sequence[Outcome]:
        failures: dict[bytes, Outcome] = {
            b"faint": RecognitionFailed("too faint", confidence=0.2, threshold=0.5),
            b"broken": RuntimeError("a bug"),
        }
        return [failures.get(each.images[0]) or read(each) for each in tasks]

    lane = Lane(mixed, 5)
    names = ["good", "faint", "broken", "fine"]
    answers = await asyncio.gather(*(ask(lane, name) for name in names), return_exceptions=True)
    assert (answers[0], answers[3]) == ("good", "fine")
    assert isinstance(answers[1], RecognitionFailed)
    assert isinstance(answers[2], RuntimeError)


async def test_who_hangs_up_is_not_sent_and_disturbs_nobody() -> None:
    batches: list[list[str]] = []
    lane = Lane(recorded(batches, good), 5)
    impatient = asyncio.create_task(ask(lane, "impatient"))
    patient = asyncio.create_task(ask(lane, "patient"))
    await asyncio.sleep(0)
    impatient.cancel()
    assert await patient == "patient"
    assert batches == [["patient"]]


REFUSALS = [
    RecognitionFailed("too faint", confidence=0.2, threshold=0.5),
    InvalidField("image", got="nothing", allowed="a picture"),
    errors.InvalidImage("image", got="a GIF", allowed="a PNG"),
    errors.BodyTooLarge(limit=7),
    errors.InsufficientCredit(balance=1, price=2, spend_cap=True),
    errors.RateLimited(limit=3, retry_after=0.5),
    errors.Unauthenticated("revoked", "this key was revoked"),
    errors.TimedOut(seconds=3),
    errors.Broken(),
    Unavailable("nobody is there"),
]


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: type(refusal).__name__)
async def test_a_refusal_arrives_from_another_process_with_all_its_facts(refusal: Refusal) -> None:
    arrived = pickle.loads(pickle.dumps(refusal))
    assert type(arrived) is type(refusal)
    assert (vars(arrived), str(arrived)) == (vars(refusal), str(refusal))
