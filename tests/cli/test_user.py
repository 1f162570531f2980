import pytest

from legible.accounts import Accounts
from legible.db.session import Database
from tests.commands import Legible


def test_an_added_account_is_listed_with_its_free_quota(legible: Legible) -> None:
    added = legible("user", "add", "Ada@Example.com", "--json").json
    assert (added["email"], added["balance"], added["is_admin"]) == (
        "ada@example.com",
        "1",
        False,
    )
    assert legible("user", "list", "--json").json == [added]
    assert "ada@example.com" in legible("user", "list").out


def test_adding_the_first_account_makes_the_database(bare: Legible, tmp_path) -> None:
    assert bare("user", "add", "ada@example.com", "--data", tmp_path / "new").code == 0
    assert (tmp_path / "new" / "legible.db").exists()


def test_an_administrator_can_sign_in_with_the_password_from_standard_input(
    legible: Legible, sqlite_url
) -> None:
    ran = legible("user", "add", "ada@example.com", "--admin", "--password-stdin", stdin="correct horse\n")
    assert ran.code == 0
    database = Database(sqlite_url)
    assert Accounts(database, 0).verify("ada@example.com", "correct horse").is_admin
    database.close()


def test_a_deleted_account_has_no_name(legible: Legible) -> None:
    legible("user", "add", "ada@example.com")
    asked = legible("user", "delete", "ada@example.com", stdin="n\n")
    assert asked.code != 0
    assert "ada@example.com" in legible("user", "list").out
    assert legible("user", "delete", "ada@example.com", "--yes").code == 0
    assert "ada@example.com" not in legible("user", "list").out


def test_what_was_deleted_or_set_is_told_in_json(legible: Legible) -> None:
    added = legible("user", "add", "ada@example.com", "--json").json
    changed = legible("user", "password", "ada@example.com", "--json", stdin="battery staple\n")
    assert changed.json["id"] == added["id"]
    deleted = legible("user", "delete", "ada@example.com", "--yes", "--json")
    assert deleted.json == {"id": added["id"], "email": "ada@example.com", "deleted": True}


def test_a_password_can_be_set_later(legible: Legible, sqlite_url) -> None:
    legible("user", "add", "ada@example.com")
    assert legible("user", "password", "ada@example.com", stdin="battery staple\n").code == 0
    database = Database(sqlite_url)
    assert Accounts(database, 0).verify("ada@example.com", "battery staple").email == "ada@example.com"
    database.close()


@pytest.mark.parametrize("email", ["no address", "ada@example.com"])
def test_an_address_that_is_none_or_is_taken_is_refused_in_a_sentence(legible: Legible, email) -> None:
    legible("user", "add", "ada@example.com")
    ran = legible("user", "add", email)
    assert ran.code == 1
    assert ran.err.startswith("legible: email: got ")
    assert ran.err.count("\n") == 1


def test_a_password_that_is_too_short_makes_no_account(legible: Legible) -> None:
    ran = legible("user", "add", "ada@example.com", "--password-stdin", stdin="short\n")
    assert (ran.code, "8 to 1024 characters" in ran.err) == (1, True)
    assert legible("user", "list", "--json").json == []


def test_credit_is_added_in_yuan_with_a_reason_that_the_ledger_keeps(legible: Legible) -> None:
    legible("user", "add", "ada@example.com")
    ran = legible("user", "topup", "ada@example.com", "20.5", "--reason", "invoice 7", "--json")
    assert ran.json["balance"] == "21.5"
    assert legible("ledger", "check", "--json").json["entries"] == 2


@pytest.mark.parametrize("words", [("nobody@example.com", "5"), ("nobody@example.com", "0.000001")])
def test_topping_up_nobody_is_refused(legible: Legible, words) -> None:
    ran = legible("user", "topup", *words, "--reason", "a gift")
    assert (ran.code, ran.err) == (1, "legible: there is no account for nobody@example.com\n")


def test_a_wrong_amount_says_what_is_allowed(legible: Legible) -> None:
    ran = legible("user", "topup", "ada@example.com", "much", "--reason", "a gift")
    assert (ran.code, "got 'much'; allowed: yuan over 0" in ran.err) == (2, True)


def test_a_reason_cannot_be_left_out(legible: Legible) -> None:
    ran = legible("user", "topup", "ada@example.com", "5")
    assert (ran.code, "--reason" in ran.err) == (2, True)


def test_an_account_is_shut_out_and_let_in_again(legible: Legible) -> None:
    legible("user", "add", "ada@example.com")
    assert legible("user", "disable", "ada@example.com", "--json").json["is_enabled"] is False
    assert "disabled" in legible("user", "list").out
    assert legible("user", "enable", "ada@example.com").out.startswith("ada@example.com: enabled")


def test_the_last_administrator_is_not_shut_out(legible: Legible) -> None:
    legible("user", "add", "ada@example.com", "--admin")
    assert legible("user", "disable", "ada@example.com").code == 1
    assert legible("user", "list", "--json").json[0]["is_enabled"] is True


def test_the_rate_of_an_account_is_set(legible: Legible) -> None:
    legible("user", "add", "ada@example.com")
    assert legible("user", "rate", "ada@example.com", "50", "--json").json["rate_per_second"] == 50
    assert legible("user", "rate", "ada@example.com", "0").out.endswith("unlimited.\n")
    assert legible("user", "rate", "ada@example.com", "fast").code == 2


def test_a_lower_rate_of_an_account_is_that_of_its_keys_too(legible: Legible) -> None:
    legible("user", "add", "ada@example.com")
    legible("key", "add", "ada@example.com", "--name", "fast", "--rate", "10")
    legible("user", "rate", "ada@example.com", "1")
    assert legible("key", "list", "--json").json[0]["rate_per_second"] is None


def test_a_refusal_is_json_for_programs(legible: Legible) -> None:
    ran = legible("user", "rate", "nobody@example.com", "1", "--json")
    assert (ran.code, ran.json["error"]["code"]) == (1, "not_found")
