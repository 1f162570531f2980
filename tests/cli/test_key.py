import re

from tests.commands import Legible


def test_a_key_is_shown_once_and_known_by_its_ends_afterwards(legible: Legible) -> None:
    legible("user", "add", "ada@example.com")
    made = legible("key", "add", "ada@example.com", "--name", "tests", "--rate", "0", "--json").json
    assert set(made) == {"id", "key"}
    assert re.fullmatch(r"lg_[\w-]{43}", made["key"])
    (listed,) = legible("key", "list", "--json").json
    assert (listed["id"], listed["name"], listed["rate_per_second"]) == (made["id"], "tests", 0)
    assert made["key"].startswith(listed["prefix"])
    assert made["key"].endswith(listed["last_four"])
    table = legible("key", "list").out
    assert "unlimited" in table
    assert made["key"] not in table


def test_a_revoked_key_stays_in_the_list_as_revoked(legible: Legible) -> None:
    legible("user", "add", "ada@example.com")
    made = legible("key", "add", "ada@example.com", "--name", "tests", "--json").json
    assert legible("key", "revoke", made["id"]).code == 0
    assert "revoked" in legible("key", "list").out


def test_revoking_a_key_that_is_not_there_is_refused(legible: Legible) -> None:
    ran = legible("key", "revoke", "7")
    assert (ran.code, ran.err) == (1, "legible: key 7 does not exist\n")


def test_a_key_for_nobody_is_refused(legible: Legible) -> None:
    ran = legible("key", "add", "nobody@example.com", "--name", "tests")
    assert (ran.code, ran.out) == (1, "")


def test_a_negative_rate_is_a_wrong_command_line(legible: Legible) -> None:
    assert legible("key", "add", "ada@example.com", "--name", "tests", "--rate", "-1").code == 2
