import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.commands import Legible


def test_a_key_is_shown_once_and_known_by_its_ends_afterwards(legible: Legible) -> None:
    legible("user", "add", "ada@example.com")
    made = legible(
        "key", "add", "ada@example.com", "--name", "tests", "--rate", "0", "--threshold", "0.9", "--json"
    ).json
    assert set(made) == {"id", "key"}
    assert re.fullmatch(r"lg_[\w-]{43}", made["key"])
    (listed,) = legible("key", "list", "--json").json
    assert (listed["id"], listed["name"], listed["rate_per_second"]) == (made["id"], "tests", 0)
    assert listed["threshold"] == 0.9
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


def test_a_key_that_has_expired_is_listed_as_expired(legible: Legible, tmp_path: Path) -> None:
    legible("user", "add", "ada@example.com")
    legible("key", "add", "ada@example.com", "--name", "tests")
    with closing(sqlite3.connect(tmp_path / "legible.db")) as connection:
        connection.execute("UPDATE api_key SET expires_ms = 1")
        connection.commit()
    assert "expired" in legible("key", "list").out


@pytest.mark.parametrize(
    "words",
    [
        ("add", "ada@example.com", "--name", "x", "--rate", "1000001"),
        ("add", "ada@example.com", "--name", "x", "--threshold", "1.1"),
        ("revoke", 2**63),
    ],
)
def test_a_number_that_no_key_has_is_a_wrong_command_line(legible: Legible, words) -> None:
    assert legible("key", *words).code == 2


def test_what_is_not_utf_8_is_a_sentence(legible: Legible) -> None:
    legible("user", "add", "ada@example.com")
    ran = legible(
        "user", "topup", "ada@example.com", "1", "--reason", b"\xff".decode(errors="surrogateescape")
    )
    assert (ran.code, ran.err.startswith("legible: what was typed or piped in is not UTF-8")) == (1, True)


def test_revoking_a_key_that_is_not_there_is_refused(legible: Legible) -> None:
    ran = legible("key", "revoke", "7")
    assert (ran.code, ran.err) == (1, "legible: key 7 does not exist\n")


def test_a_key_for_nobody_is_refused(legible: Legible) -> None:
    ran = legible("key", "add", "nobody@example.com", "--name", "tests")
    assert (ran.code, ran.out) == (1, "")


def test_a_negative_rate_is_a_wrong_command_line(legible: Legible) -> None:
    assert legible("key", "add", "ada@example.com", "--name", "tests", "--rate", "-1").code == 2
