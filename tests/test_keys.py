"""Keys: shown once, kept as a hash, looked up through a short cache, felt to be revoked within a second."""

import asyncio
import hashlib
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy import select, update

from legible.accounts import Accounts
from legible.db.session import Database
from legible.db.tables import Account, ApiKey
from legible.errors import InsufficientCredit, InvalidField, NotFound, Unauthenticated
from legible.keys import KeyRing, KeyRules
from legible.tasks import Kind

pytestmark = pytest.mark.anyio
TTL = 0.5


@pytest.fixture
def keys(database: Database) -> KeyRing:
    return KeyRing(database, TTL)


@pytest.fixture
def account(database: Database) -> Account:
    return Accounts(database, 10_000).create("ana@example.com")


def test_a_secret_is_long_random_and_kept_only_as_a_hash(keys: KeyRing, account: Account) -> None:
    made = [keys.create(account.id, f"key {number}") for number in range(3)]
    assert len({key.secret for key in made}) == 3
    assert all(key.secret.startswith("lg_") and len(key.secret) == 46 for key in made)
    row = keys.get(made[0].id)
    assert row.sha256 == hashlib.sha256(made[0].secret.encode()).digest()
    assert (row.prefix, row.last_four) == (made[0].secret[:7], made[0].secret[-4:])


async def test_a_key_tells_who_calls_and_with_what_right(keys: KeyRing, account: Account) -> None:
    rules = KeyRules(
        expires_ms=5,
        spend_cap_micros=6,
        kinds=[Kind.TEXT],
        addresses=["10.1.2.3/8", "::1"],
        rate_per_second=7,
        threshold=0.9,
    )
    key = keys.create(account.id, "office", rules)
    caller = await keys.identify(key.secret)
    assert (caller.key_id, caller.account_id, caller.email) == (key.id, account.id, "ana@example.com")
    assert (caller.expires_ms, caller.spend_cap_micros, caller.rate_per_second) == (5, 6, 7)
    assert caller.threshold == 0.9
    assert caller.kinds == {Kind.TEXT}
    assert [str(network) for network in caller.networks or ()] == ["10.0.0.0/8", "::1/128"]
    assert (caller.balance_micros, caller.spent_micros) == (10_000, 0)


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (None, "missing"),
        ("", "missing"),
        ("nonsense", "unknown"),
        ("lg_" + "A" * 43, "unknown"),
        ("lg_" + "é" * 43, "unknown"),
        ("lg_\ud800", "unknown"),
    ],
)
async def test_who_is_not_known_is_told_so(keys: KeyRing, key: str | None, reason: str) -> None:
    with pytest.raises(Unauthenticated) as refusal:
        await keys.identify(key)
    assert refusal.value.reason == reason


async def test_a_caller_knows_the_keys_rate_and_the_accounts(keys: KeyRing, account: Account) -> None:
    own, bare = keys.create(account.id, "own", KeyRules(rate_per_second=0)), keys.create(account.id, "bare")

    async def rates(secret: str) -> tuple[int | None, int | None]:
        caller = await KeyRing(keys.database, 0).identify(secret)
        return caller.rate_per_second, caller.account_rate_per_second

    assert (await rates(own.secret), await rates(bare.secret)) == ((0, None), (None, None))
    Accounts(keys.database, 0).set_rate(account.id, 30)
    assert (await rates(own.secret), await rates(bare.secret)) == ((0, 30), (None, 30))


@pytest.mark.parametrize("end", ["revoke", "disable", "freeze"])
async def test_the_end_of_a_key_is_felt_within_a_second_by_another_process(
    database: Database, account: Account, end: str
) -> None:
    here, there = KeyRing(database, TTL), KeyRing(database, TTL)
    key = here.create(account.id, "a key")
    (await there.identify(key.secret)).check("127.0.0.1")
    if end == "revoke":
        here.revoke(key.id)
    elif end == "disable":
        here.set_enabled(key.id, False)
    else:
        Accounts(database, 0).set_enabled(account.id, False)
    began = time.monotonic()
    reason = None
    while reason is None:
        # By when it was asked: what is answered later was looked up before.
        assert time.monotonic() - began < 30
        asked = time.monotonic()
        try:
            (await there.identify(key.secret)).check("127.0.0.1")
            assert asked - began < 1
            await asyncio.sleep(0.02)
        except Unauthenticated as refusal:
            reason = refusal.reason
    assert reason == {"revoke": "revoked", "disable": "disabled", "freeze": "account_disabled"}[end]


async def test_the_process_that_revokes_feels_it_at_once(database: Database, account: Account) -> None:
    keys = KeyRing(database, 60)
    key = keys.create(account.id, "a key")
    await keys.identify(key.secret)
    keys.revoke(key.id)
    assert (await keys.identify(key.secret)).revoked_ms is not None


async def test_a_crowd_that_asks_at_once_is_one_look_up(keys: KeyRing, account: Account) -> None:
    key = keys.create(account.id, "a key")
    looked_up = 0
    read = keys._read

    def counting(which: object) -> object:
        nonlocal looked_up
        looked_up += 1
        return read(which)  # type: ignore[arg-type]

    keys._read = counting  # type: ignore[method-assign,assignment]
    callers = await asyncio.gather(*(keys.identify(key.secret) for _ in range(50)))
    assert {caller.key_id for caller in callers} == {key.id}
    assert looked_up == 1


async def test_one_who_hangs_up_does_not_take_the_look_up_from_the_others(
    keys: KeyRing, account: Account
) -> None:
    key = keys.create(account.id, "a key")
    first, second = (asyncio.create_task(keys.identify(key.secret)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).key_id == key.id
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_credit_is_read_again_before_a_call_is_refused(keys: KeyRing, account: Account) -> None:
    key = keys.create(account.id, "a key")
    caller = await keys.identify(key.secret)
    await keys.check_credit(caller, 10_000)
    with pytest.raises(InsufficientCredit) as refusal:
        await keys.check_credit(caller, 10_001)
    assert (refusal.value.balance, refusal.value.price, refusal.value.spend_cap) == (10_000, 10_001, False)
    Accounts(keys.database, 0).top_up(account.id, 1, "paid")
    await keys.check_credit(caller, 10_001)


async def test_a_reached_cap_is_told_from_an_empty_balance(keys: KeyRing, account: Account) -> None:
    key = keys.create(account.id, "a key", KeyRules(spend_cap_micros=500))
    caller = await keys.identify(key.secret)
    await keys.check_credit(caller, 500)
    with keys.database.write() as session:
        session.execute(update(ApiKey).values(spent_micros=1))
    with pytest.raises(InsufficientCredit) as refusal:
        await keys.check_credit(replace(caller, spent_micros=1), 500)
    assert refusal.value.spend_cap


def test_keys_are_listed_and_changed_by_their_owner_only(keys: KeyRing, account: Account) -> None:
    other = Accounts(keys.database, 0).create("bo@example.com")
    first, second = keys.create(account.id, "one").id, keys.create(account.id, "two").id
    theirs = keys.create(other.id, "three").id
    assert [row.id for row in keys.list(account.id)] == [second, first]
    assert [row.id for row in keys.list()] == [theirs, second, first]
    for attempt in (
        lambda: keys.get(theirs, account.id),
        lambda: keys.revoke(theirs, account.id),
        lambda: keys.update(theirs, "mine", KeyRules(), account.id),
        lambda: keys.revoke(10**6),
    ):
        with pytest.raises(NotFound):
            attempt()
    assert keys.get(theirs).name == "three"


def test_a_second_revocation_does_not_move_the_first(keys: KeyRing, account: Account) -> None:
    key = keys.create(account.id, "a key")
    keys.revoke(key.id, account.id)
    first = keys.get(key.id).revoked_ms
    assert first is not None
    time.sleep(0.01)
    keys.revoke(key.id)
    assert keys.get(key.id).revoked_ms == first


def test_rules_can_be_changed_and_taken_away(keys: KeyRing, account: Account) -> None:
    key = keys.create(account.id, "a key", KeyRules(spend_cap_micros=5, kinds=[Kind.TEXT]))
    keys.update(key.id, "another name", KeyRules(addresses=["10.0.0.0/8"]))
    row = keys.get(key.id)
    assert (row.name, row.spend_cap_micros, row.kinds, row.addresses) == (
        "another name",
        None,
        None,
        ["10.0.0.0/8"],
    )


@pytest.mark.parametrize(
    ("name", "rules", "field"),
    [
        ("", KeyRules(), "name"),
        ("x" * 101, KeyRules(), "name"),
        ("a\nb", KeyRules(), "name"),
        ("a", KeyRules(rate_per_second=-1), "rate"),
        ("a", KeyRules(spend_cap_micros=-1), "spend_cap"),
        ("a", KeyRules(addresses=["10.0.0.300"]), "addresses"),
    ],
)
def test_rules_that_make_no_sense_are_refused(
    keys: KeyRing, account: Account, name: str, rules: KeyRules, field: str
) -> None:
    with pytest.raises(InvalidField) as refusal:
        keys.create(account.id, name, rules)
    assert refusal.value.field == field
    with keys.database.read() as session:
        assert session.scalars(select(ApiKey)).all() == []


def test_nobody_gets_no_key(keys: KeyRing) -> None:
    with pytest.raises(NotFound):
        keys.create(7, "a key")


@pytest.mark.parametrize("name", ["👨‍👩‍👧 家庭", "می‌خواهم", "Ключ № 1"])
def test_a_key_may_have_any_name_that_can_be_seen(keys: KeyRing, account: Account, name: str) -> None:
    assert keys.get(keys.create(account.id, name).id).name == name


@pytest.mark.parametrize("name", ["", "\u200d", "a\u0000b", "a\u202eb", "x" * 101])
def test_a_name_that_cannot_be_seen_is_none(keys: KeyRing, account: Account, name: str) -> None:
    with pytest.raises(InvalidField, match="printable characters"):
        keys.create(account.id, name)


def test_rotations_share_one_spend_cap(database: Database, account: Account) -> None:
    keys = KeyRing(database, 0)
    first = keys.create(
        account.id, "office", KeyRules(spend_cap_micros=1001, kinds=[Kind.TEXT], threshold=0.5)
    )
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(lambda _: keys.rotate(first.id, 60_000, account.id), range(3)))
    rows = keys.list(account.id)
    assert len({row.sha256 for row in rows}) == 4
    assert sum(row.spend_cap_micros or 0 for row in rows) == 1001
    assert {(row.name, *(row.kinds or ()), row.threshold) for row in rows} == {("office", "text", 0.5)}
    last = keys.rotate(rows[0].id, 0, account.id)
    assert keys.get(rows[0].id).revoked_ms is not None
    assert keys.get(last.id).spend_cap_micros == rows[0].spend_cap_micros
    for gone in (rows[0].id, 10**6):
        with pytest.raises(NotFound):
            keys.rotate(gone, 0, account.id)


def test_saving_the_rules_does_not_enable_a_disabled_key(database: Database, account: Account) -> None:
    keys = KeyRing(database, 0)
    key = keys.create(account.id, "office")
    keys.set_enabled(key.id, False)
    keys.update(key.id, "renamed", KeyRules(rate_per_second=7))
    assert (keys.get(key.id).name, keys.get(key.id).is_enabled) == ("renamed", False)
