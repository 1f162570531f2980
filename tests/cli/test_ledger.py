import sqlite3

from tests.commands import Legible


def test_books_that_are_right_are_said_to_be(legible: Legible) -> None:
    legible("user", "add", "ada@example.com")
    ran = legible("ledger", "check")
    assert (ran.code, "Everything adds up." in ran.out) == (0, True)


def test_books_that_are_wrong_are_an_exit_code_and_a_sentence_for_each_place(
    legible: Legible, tmp_path
) -> None:
    legible("user", "add", "ada@example.com")
    with sqlite3.connect(tmp_path / "legible.db") as connection:
        connection.execute("UPDATE account SET balance_micros = 5")
    connection.close()
    ran = legible("ledger", "check", "--json")
    assert ran.code == 1
    assert ran.json["problems"] == ["account 1: the balance is 5, its entries sum to 1000000"]
    assert "wrong in 1 places" in ran.err
