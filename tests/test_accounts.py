"""Accounts: sign-up with a free quota, passwords, credit with a reason, and what a caller may do."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from ipaddress import ip_network

import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from legible.accounts import Accounts, Caller
from legible.clock import now_ms
from legible.db.session import Database
from legible.db.tables import Account, AuditEvent, Call, Entry
from legible.errors import InvalidField, NotAllowed, NotFound, Unauthenticated
from legible.keys import KeyRing
from legible.money import LARGEST_MICROS
from legible.tasks import Kind
from tests.money import assert_books_balance

PASSWORD = "correct horse"
CALLER = Caller(
    key_id=1,
    account_id=1,
    email="a@example.com",
    is_enabled=True,
    account_is_enabled=True,
    revoked_ms=None,
    expires_ms=None,
    kinds=None,
    networks=None,
    rate_per_second=None,
    account_rate_per_second=None,
    balance_micros=1000,
    spend_cap_micros=None,
    spent_micros=0,
)


@pytest.fixture
def accounts(database: Database) -> Accounts:
    return Accounts(database, free_quota_micros=1_000_000)


def test_a_new_account_has_the_free_quota_as_an_entry(accounts: Accounts) -> None:
    account = accounts.create("  Ana@Example.COM ", PASSWORD)
    assert (account.email, account.balance_micros, account.is_admin) == ("ana@example.com", 1_000_000, False)
    with accounts.database.read() as session:
        entry = session.scalars(select(Entry)).one()
    assert (entry.kind, entry.amount_micros, entry.balance_micros) == ("grant", 1_000_000, 1_000_000)
    assert accounts.get(account.id).balance_micros == 1_000_000
    assert_books_balance(accounts.database)


def test_an_account_with_more_than_one_entry_may_move_can_be_deleted(accounts: Accounts) -> None:
    account = accounts.create("rich@example.com")
    for _ in range(2):
        accounts.top_up(account.id, LARGEST_MICROS, "an invoice")
    accounts.delete(account.id)
    assert accounts.get(account.id).balance_micros == 0
    assert_books_balance(accounts.database)


def test_without_a_free_quota_there_is_no_entry(database: Database) -> None:
    assert Accounts(database, 0).create("a@example.com").balance_micros == 0
    with database.read() as session:
        assert session.scalars(select(Entry)).all() == []


def test_the_password_is_kept_as_an_argon2_hash_and_verified(accounts: Accounts) -> None:
    account = accounts.create("ana@example.com", PASSWORD, is_admin=True)
    assert account.password_hash is not None
    assert account.password_hash.startswith("$argon2id$")
    assert accounts.verify("ANA@example.com", PASSWORD).id == account.id
    for email, password in (("ana@example.com", "wrong horse"), ("bo@example.com", PASSWORD)):
        with pytest.raises(Unauthenticated, match="the e-mail address or the password is wrong"):
            accounts.verify(email, password)


def test_an_account_without_a_password_lets_nobody_in(accounts: Accounts) -> None:
    accounts.create("ana@example.com")
    for password in ("", "nobody has this password"):
        with pytest.raises(Unauthenticated):
            accounts.verify("ana@example.com", password)


def test_a_changed_password_replaces_the_old_one(accounts: Accounts) -> None:
    account = accounts.create("ana@example.com", PASSWORD)
    accounts.set_password(account.id, "battery staple")
    assert accounts.verify("ana@example.com", "battery staple").id == account.id
    with pytest.raises(Unauthenticated):
        accounts.verify("ana@example.com", PASSWORD)


def test_a_frozen_account_cannot_sign_in(accounts: Accounts) -> None:
    account = accounts.create("ana@example.com", PASSWORD)
    accounts.set_enabled(account.id, False)
    with pytest.raises(Unauthenticated) as refusal:
        accounts.verify("ana@example.com", PASSWORD)
    assert refusal.value.reason == "account_disabled"
    accounts.set_enabled(account.id, True)
    accounts.verify("ana@example.com", PASSWORD)


def test_an_address_has_one_account(accounts: Accounts) -> None:
    accounts.create("ana@example.com")
    with pytest.raises(InvalidField, match="an address that has no account yet"):
        accounts.create("ANA@example.com")
    assert len(accounts.list()) == 1


@pytest.mark.parametrize(
    "email", ["", "ana", "@example.com", "ana@", "a b@example.com", "a@b@c", "a\0@b.c", "x" * 250 + "@b.cd"]
)
def test_what_is_no_address_is_refused(accounts: Accounts, email: str) -> None:
    with pytest.raises(InvalidField) as refusal:
        accounts.create(email)
    assert refusal.value.field == "email"


@pytest.mark.parametrize("password", ["", "1234567", "x" * 1025])
def test_a_password_too_short_or_long_is_refused(accounts: Accounts, password: str) -> None:
    with pytest.raises(InvalidField) as refusal:
        accounts.create("ana@example.com", password)
    assert refusal.value.field == "password"
    assert accounts.list() == []


def test_a_top_up_is_an_entry_with_its_reason_and_who_made_it(accounts: Accounts) -> None:
    admin, account = accounts.create("root@example.com", is_admin=True), accounts.create("ana@example.com")
    assert accounts.top_up(account.id, 2_500_000, " invoice 7 ", created_by=admin.id) == 3_500_000
    with accounts.database.read() as session:
        entry = session.scalars(select(Entry).where(Entry.kind == "topup")).one()
    assert (entry.reason, entry.created_by, entry.amount_micros) == ("invoice 7", admin.id, 2_500_000)
    assert accounts.get(account.id).balance_micros == 3_500_000
    assert_books_balance(accounts.database)


def test_a_top_up_needs_a_reason_and_an_amount(accounts: Accounts) -> None:
    account = accounts.create("ana@example.com")
    for amount, reason in ((0, "why"), (-1, "why"), (10**16, "why"), (5, " ")):
        with pytest.raises(InvalidField):
            accounts.top_up(account.id, amount, reason)
    assert accounts.get(account.id).balance_micros == 1_000_000


def test_the_last_administrator_stays(accounts: Accounts) -> None:
    first, second = (accounts.create(f"{name}@example.com", is_admin=True) for name in ("ana", "bo"))
    accounts.set_enabled(second.id, False)
    for end in (accounts.delete, lambda id_: accounts.set_admin(id_, False)):
        with pytest.raises(NotAllowed, match="last administrator"):
            end(first.id)
    with pytest.raises(NotAllowed, match="last administrator"):
        accounts.set_enabled(first.id, False)
    accounts.set_enabled(second.id, True)
    accounts.delete(first.id)
    assert [account.is_admin for account in accounts.list()] == [False, True]


def test_two_administrators_who_demote_each_other_are_not_both_obeyed(accounts: Accounts) -> None:
    for round_ in range(5):
        pair = [accounts.create(f"{name}{round_}@example.com", is_admin=True).id for name in ("ana", "bo")]
        both = threading.Barrier(2, timeout=10)

        def demote(account_id: int, both: threading.Barrier = both) -> bool:
            both.wait()
            try:
                accounts.set_admin(account_id, False)
            except NotAllowed:
                return False
            return True

        with ThreadPoolExecutor(2) as pool:
            obeyed = list(pool.map(demote, pair))
        assert sorted(obeyed) == [False, True]
        stayed = pair[obeyed.index(False)]
        # Makes room for the next round.
        with accounts.database.write() as session:
            session.execute(update(Account).where(Account.id == stayed).values(is_admin=False))


def test_a_deleted_account_is_forgotten_in_steps(accounts: Accounts, monkeypatch) -> None:
    monkeypatch.setattr("legible.accounts.FORGOTTEN_AT_ONCE", 2)
    account, other = accounts.create("ana@example.com", PASSWORD), accounts.create("bo@example.com")
    keys = KeyRing(accounts.database, 0)
    owners = [account.id, other.id, account.id, account.id, account.id, account.id]
    by_owner = {owner: keys.create(owner, "of mine").id for owner in set(owners)}
    with accounts.database.write() as session:
        for i, owner in enumerate(owners):
            facts = {"dialect": "v1", "outcome": "no", "status": 400, "balance_micros": 0, "duration_ms": 1}
            ids = {"log_id": f"LOG{i}", "trace_id": str(i), "account_id": owner, "key_id": by_owner[owner]}
            said = {"result": "no", "detail": {"it": "was"}, "address": "192.0.2.1", "created_ms": now_ms()}
            session.add(Call(**facts, **ids, **said))
    accounts.delete(account.id)
    assert accounts.get(account.id).is_deleted
    accounts.forget(account.id)
    with accounts.database.read() as session:
        left = session.execute(select(Call.account_id, Call.address).where(Call.address.is_not(None))).all()
    assert left == [(other.id, "192.0.2.1")]
    assert accounts.get(account.id).is_deleted
    assert [(key.name, key.revoked_ms is None) for key in keys.list(account.id)] == [("-", False)]
    assert_books_balance(accounts.database)


def test_what_a_deletion_left_is_forgotten_later(accounts: Accounts, monkeypatch) -> None:
    account = accounts.create("ana@example.com", PASSWORD)
    key = KeyRing(accounts.database, 0).create(account.id, "mine")
    accounts.delete(account.id)
    with accounts.database.write() as session:  # a call that was under way
        facts = {"dialect": "v1", "outcome": "no", "status": 400, "balance_micros": 0, "duration_ms": 1}
        ids = {"log_id": "LOG1", "trace_id": "1", "account_id": account.id, "key_id": key.id}
        session.add(Call(**facts, **ids, result="no", address="192.0.2.1", created_ms=now_ms()))
    accounts.forget_deleted()
    assert accounts.get(account.id).email == f"deleting-{account.id}@invalid"
    monkeypatch.setattr("legible.accounts.LAST_CALLS_MS", -1000)
    accounts.forget_deleted()
    assert accounts.get(account.id).email == f"deleted-{account.id}@invalid"
    with accounts.database.read() as session:
        assert session.execute(select(Call.result, Call.address)).one() == (None, None)


@pytest.mark.parametrize("wrong", ["kind", "subject"])
def test_a_change_and_its_line_in_the_audit_log_stand_or_fall_together(
    accounts: Accounts, wrong: str
) -> None:
    admin, account = accounts.create("root@example.com", is_admin=True), accounts.create("ana@example.com")
    line = {"admin_id": admin.id, "action": "top-up", "subject": account.email, "detail": {}, "created_ms": 1}
    broken = AuditEvent(**line | {"subject" if wrong == "subject" else "action": None})
    with pytest.raises(IntegrityError):
        accounts.top_up(account.id, 5, "invoice", admin.id, broken)
    assert accounts.get(account.id).balance_micros == 1_000_000
    accounts.top_up(account.id, 5, "invoice", admin.id, AuditEvent(**line))
    with accounts.database.read() as session:
        assert session.scalars(select(AuditEvent.subject)).all() == [account.email]
    assert accounts.get(account.id).balance_micros == 1_000_005


def test_nobody_is_not_found(accounts: Accounts) -> None:
    for ask in (
        lambda: accounts.get(7),
        lambda: accounts.by_email("no@example.com"),
        lambda: accounts.top_up(7, 1, "why"),
        lambda: accounts.set_rate(7, 5),
        lambda: accounts.set_enabled(7, False),
    ):
        with pytest.raises(NotFound):
            ask()


def test_the_rate_is_zero_or_more_or_the_default(accounts: Accounts) -> None:
    account = accounts.create("ana@example.com")
    for rate in (0, 50, None):
        accounts.set_rate(account.id, rate)
        assert accounts.by_email("Ana@example.com").rate_per_second == rate
    with pytest.raises(InvalidField):
        accounts.set_rate(account.id, -1)


def test_a_good_caller_passes() -> None:
    CALLER.check("127.0.0.1")
    replace(CALLER, expires_ms=now_ms() + 60_000).check("unknown")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"revoked_ms": 1}, "revoked"),
        ({"expires_ms": 1}, "expired"),
        ({"is_enabled": False}, "disabled"),
        ({"account_is_enabled": False}, "account_disabled"),
        ({"networks": (ip_network("10.0.0.0/8"),)}, "address"),
        ({"networks": ()}, "address"),
    ],
)
def test_a_caller_who_must_not_call_is_told_why(change: dict[str, object], reason: str) -> None:
    with pytest.raises(Unauthenticated) as refusal:
        replace(CALLER, **change).check("127.0.0.1")  # type: ignore[arg-type]
    assert refusal.value.reason == reason


@pytest.mark.parametrize("address", ["10.1.2.3", "::ffff:10.1.2.3", "2001:db8::5"])
def test_an_address_within_the_list_passes(address: str) -> None:
    replace(CALLER, networks=(ip_network("10.0.0.0/8"), ip_network("2001:db8::/32"))).check(address)


@pytest.mark.parametrize("address", ["11.0.0.1", "", "testclient", "2001:db9::1"])
def test_an_address_outside_the_list_does_not(address: str) -> None:
    with pytest.raises(Unauthenticated):
        replace(CALLER, networks=(ip_network("10.0.0.0/8"), ip_network("2001:db8::/32"))).check(address)


def test_a_key_is_for_its_kinds() -> None:
    caller = replace(CALLER, kinds=frozenset({Kind.TEXT, Kind.GRID}))
    caller.check_kind(Kind.TEXT)
    with pytest.raises(NotAllowed, match="this key may not recognize slider; allowed: grid, text"):
        caller.check_kind(Kind.SLIDER)


@pytest.mark.parametrize(
    ("spent", "cap", "price", "can"),
    [(0, None, 1000, True), (0, None, 1001, False), (5, 10, 5, True), (6, 10, 5, False), (11, 10, 0, False)],
)
def test_balance_and_cap_both_bind(spent: int, cap: int | None, price: int, can: bool) -> None:
    assert replace(CALLER, spent_micros=spent, spend_cap_micros=cap).can_pay(price) is can


def test_two_servers_that_make_the_same_account_at_once_make_one(database: Database) -> None:
    accounts, together = Accounts(database, 0), threading.Barrier(4)

    def make(_: int) -> bool:
        together.wait()
        try:
            accounts.create("admin@localhost")
        except InvalidField:
            return False
        return True

    with ThreadPoolExecutor(4) as threads:
        assert sum(threads.map(make, range(4))) == 1
