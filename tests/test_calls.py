"""Reading the call log: pages, filters, only calls of one's own, and a CSV without formulas."""

import csv
from dataclasses import dataclass

import pytest

from legible.accounts import Caller
from legible.calls import CSV_COLUMNS, CallFilter, CallLog
from legible.db.session import Database
from legible.errors import InvalidField, NotFound, RecognitionFailed
from legible.journal import Draft, Receipt
from legible.tasks import Kind, TextAnswer
from tests.money import PRICE, new_caller, render, running

pytestmark = pytest.mark.anyio


@dataclass(frozen=True)
class Story:
    """Seven calls of one account, oldest first, and one of somebody else."""

    log: CallLog
    caller: Caller
    receipts: list[Receipt]
    theirs: Receipt

    def ids(self, **which: object) -> list[int]:
        page = self.log.page(self.caller.account_id, CallFilter(**which))  # type: ignore[arg-type]
        return [self.numbers[call.id] for call in page.calls]

    @property
    def numbers(self) -> dict[int, int]:
        return {receipt.call_id: number for number, receipt in enumerate(self.receipts)}


@pytest.fixture
async def story(database: Database) -> Story:
    caller, other = await new_caller(database, 100 * PRICE), await new_caller(database, 100 * PRICE)

    async def answered(
        who: Caller, number: int, text: str, dialect: str = "v1", kind: Kind = Kind.TEXT
    ) -> Receipt:
        draft = Draft(
            dialect, f"trace-{who.account_id}-{number}", "10.0.0.1", who, 1000 * number, (kind, 50200)
        )
        reply = await journal.charge(draft, TextAnswer(text, 0.5), PRICE, render)
        assert reply.receipt is not None
        return reply.receipt

    async with running(database) as journal:
        receipts = [await answered(caller, number, f"text {number}") for number in range(4)]
        receipts.append(await answered(caller, 4, "=1+1", "acedata", Kind.ARITHMETIC))
        failed = Draft("captchaapi", "trace-5", "10.0.0.1", caller, 5000, (Kind.SLIDER, 10200))
        receipts.append(await journal.refuse(failed, RecognitionFailed("too faint"), 400))
        receipts.append(await journal.refuse(Draft("v1", "trace-6", "", caller, 6000), NotFound("-"), 404))
        theirs = await answered(other, 7, "secret")
    return Story(CallLog(database), caller, receipts, theirs)


async def test_the_newest_call_comes_first(story: Story) -> None:
    assert story.ids() == [6, 5, 4, 3, 2, 1, 0]


async def test_pages_follow_each_other_without_gap_or_repeat(story: Story) -> None:
    seen: list[int] = []
    cursor = None
    while True:
        page = story.log.page(story.caller.account_id, cursor=cursor, size=3)
        seen += [story.numbers[call.id] for call in page.calls]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == [6, 5, 4, 3, 2, 1, 0]


@pytest.mark.parametrize(
    ("which", "expected"),
    [
        ({"from_ms": 2000, "until_ms": 4000}, [3, 2]),
        ({"kind": Kind.ARITHMETIC}, [4]),
        ({"outcome": "answered"}, [4, 3, 2, 1, 0]),
        ({"outcome": "refused"}, [6, 5]),
        ({"outcome": "recognition_failed"}, [5]),
        ({"dialect": "acedata"}, [4]),
        ({"trace_id": "trace-5"}, [5]),
        ({"kind": Kind.TEXT, "from_ms": 3000}, [3]),
        ({"key_id": 10**6}, []),
    ],
)
async def test_filters_narrow_the_log(story: Story, which: dict[str, object], expected: list[int]) -> None:
    assert story.ids(**which) == expected


async def test_filters_by_log_id_and_key(story: Story) -> None:
    assert story.ids(log_id=story.receipts[2].log_id) == [2]
    assert len(story.ids(key_id=story.caller.key_id)) == 7


async def test_a_call_is_found_by_each_of_its_names(story: Story) -> None:
    receipt, owner = story.receipts[3], story.caller.account_id
    for reference in (str(receipt.call_id), receipt.log_id, receipt.trace_id):
        assert story.log.find(owner, reference).result == "text 3"


@pytest.mark.parametrize(
    "reference", ["", "nonsense", "0", "-1", "9" * 40, "²", "LOG20240101000001", "' OR 1=1"]
)
async def test_what_is_no_call_is_not_found(story: Story, reference: str) -> None:
    with pytest.raises(NotFound):
        story.log.find(story.caller.account_id, reference)


async def test_somebody_elses_call_is_not_found_and_not_listed(story: Story) -> None:
    owner = story.caller.account_id
    for reference in (str(story.theirs.call_id), story.theirs.log_id, story.theirs.trace_id):
        with pytest.raises(NotFound):
            story.log.find(owner, reference)
        assert story.log.find(None, reference).result == "secret"
    assert story.ids(log_id=story.theirs.log_id) == []
    assert "secret" not in "".join(story.log.csv(owner))
    assert len(story.log.page(None).calls) == 8


@pytest.mark.parametrize("cursor", ["", "x", "!!!!", "LTE", "OTk5OTk5OTk5OTk5OTk5OTk5OTk5", "é", "wrI"])
async def test_a_cursor_that_is_not_ours_is_refused(story: Story, cursor: str) -> None:
    with pytest.raises(InvalidField) as refusal:
        story.log.page(story.caller.account_id, cursor=cursor)
    assert refusal.value.field == "cursor"


@pytest.mark.parametrize("size", [0, -1, 501])
async def test_a_page_has_one_to_five_hundred_calls(story: Story, size: int) -> None:
    with pytest.raises(InvalidField):
        story.log.page(story.caller.account_id, size=size)


async def test_the_csv_has_every_call_and_no_formula(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("legible.calls.EXPORT_PAGE", 2)
    rows = list(csv.DictReader("".join(story.log.csv(story.caller.account_id)).splitlines()))
    assert [row["log_id"] for row in rows] == [receipt.log_id for receipt in reversed(story.receipts)]
    assert tuple(rows[0]) == CSV_COLUMNS
    assert rows[2]["result"] == "'=1+1"
    assert rows[2]["created_at"] == "1970-01-01T00:00:04.000+00:00"
    assert rows[0]["result"] == "'-"
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for row in rows for cell in row.values())


async def test_the_balance_is_what_is_left(story: Story) -> None:
    assert story.log.balance(story.caller.account_id) == 95 * PRICE
    with pytest.raises(NotFound):
        story.log.balance(10**6)


async def test_what_no_database_can_hold_is_no_call(story: Story) -> None:
    for reference in ("\0", "trace-0\0", "\ud800"):
        with pytest.raises(NotFound):
            story.log.find(story.caller.account_id, reference)
