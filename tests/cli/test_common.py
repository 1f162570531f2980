import sqlite3
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.commands import Legible, run, serving


def test_the_installed_command_refuses_with_one_line_and_an_exit_code(tmp_path) -> None:
    ran = run("user", "list", "--data", tmp_path / "typo", folder=tmp_path)
    assert (ran.code, ran.out, ran.err.count("\n")) == (1, "", 1)
    assert ran.err.startswith("legible: There is no database ")


def test_without_words_it_tells_what_there_is(bare: Legible) -> None:
    ran = bare()
    for command in ("serve", "read", "user", "key", "calls", "types", "ledger", "db", "doctor"):
        assert f"\n  {command} " in ran.out + ran.err


@pytest.mark.parametrize(
    "command",
    [("user", "list"), ("key", "list"), ("calls",), ("types",), ("ledger", "check"), ("key", "revoke", "1")],
)
def test_a_folder_without_a_database_is_a_sentence_and_stays_empty(bare: Legible, tmp_path, command) -> None:
    ran = bare(*command, "--data", tmp_path / "typo")
    assert (ran.code, ran.out) == (1, "")
    assert "legible db upgrade" in ran.err
    assert not (tmp_path / "typo").exists()


def test_a_file_that_is_no_database_is_a_sentence(bare: Legible, tmp_path) -> None:
    (tmp_path / "legible.db").write_bytes(bytes(range(256)) * 32)
    ran = bare("user", "list", "--data", tmp_path)
    assert (ran.code, "file is not a database" in ran.err) == (1, True)


def test_a_database_that_does_not_answer_is_a_sentence_without_its_password(bare: Legible) -> None:
    ran = bare("types", "--database", "postgresql://legible:hush@127.0.0.1:1/legible")
    assert ran.code == 1
    assert ran.err.startswith("legible: Cannot open the database ")
    assert "hush" not in ran.err


def test_a_database_of_another_make_is_a_sentence(bare: Legible) -> None:
    ran = bare("types", "--database", "mysql://localhost/legible")
    assert (ran.code, "allowed: sqlite:///path/to/file or postgresql://" in ran.err) == (1, True)


@pytest.mark.parametrize(
    "url", ["legible.db", "hush:hush@nowhere", "postgresql://legible:hush@db:54x/legible"]
)
def test_what_is_no_url_is_a_sentence_without_its_password(bare: Legible, url) -> None:
    for ran in (bare("types", "--database", url), bare("types", LEGIBLE_DATABASE_URL=url)):
        assert ran.code == 1
        assert ran.err.startswith("legible: database URL: got text that is no URL; allowed: sqlite:///")
        assert "hush" not in ran.err


def test_an_empty_setting_is_none(bare: Legible, tmp_path) -> None:
    ran = bare("db", "upgrade", LEGIBLE_DATABASE_URL="", LEGIBLE_REDIS_URL="", LEGIBLE_OTLP_URL="")
    assert (ran.code, ran.err) == (0, "")


def test_a_database_of_a_newer_version_is_left_as_it_is(legible: Legible, tmp_path) -> None:
    with closing(sqlite3.connect(tmp_path / "legible.db")) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    for words in (("types",), ("db", "upgrade"), ("user", "list")):
        assert (legible(*words).code, legible(*words).err) == (0, "")
    (database,) = (each for each in legible("doctor", "--json").json if each["what"] == "database")
    assert database["ok"]
    with closing(sqlite3.connect(tmp_path / "legible.db")) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == ("9999",)
    with serving("--data", tmp_path, folder=tmp_path) as server:
        assert "Legible is ready" in server.said  # the old version goes on beside the new one


def test_a_setting_that_is_wrong_is_named(bare: Legible) -> None:
    ran = bare("types", LEGIBLE_PORT="99999")
    assert (ran.code, "LEGIBLE_PORT" in ran.err) == (1, True)
    for command in ("types", "doctor"):
        error = bare(command, "--json", LEGIBLE_PORT="99999").json["error"]
        assert (error["code"], "LEGIBLE_PORT" in error["message"]) == ("failure", True)


def test_the_folder_on_the_command_line_comes_before_the_database_of_the_environment(
    legible: Legible,
) -> None:
    ran = legible("types", "--json", LEGIBLE_DATABASE_URL="postgresql://127.0.0.1:1/nowhere")
    assert [row["id"] for row in ran.json] == [10001, 10200, 50100, 50200, 60100, 60200]


def test_every_command_works_on_postgresql(bare: Legible, postgresql_url) -> None:
    place = ("--database", postgresql_url)
    assert bare("user", "add", "ada@example.com", *place).code == 0
    assert bare("user", "topup", "ada@example.com", "5", "--reason", "a gift", *place).code == 0
    made = bare("key", "add", "ada@example.com", "--name", "tests", "--json", *place).json
    assert bare("key", "revoke", made["id"], *place).code == 0
    assert bare("calls", "--json", *place).json == []
    assert bare("db", "upgrade", "--json", *place).json["current"] is True
    audit = bare("ledger", "check", "--json", *place).json
    assert (audit["entries"], audit["problems"]) == (2, [])


def test_the_version_is_told(bare: Legible) -> None:
    assert bare("--version").out == f"Legible {version('legible')}\n"


def test_a_database_of_another_user_is_a_sentence(bare: Legible, tmp_path, monkeypatch) -> None:
    exists = Path.exists

    def denied(path: Path) -> bool:
        if path.is_relative_to(tmp_path):
            raise PermissionError(13, "Permission denied")
        return exists(path)

    monkeypatch.setattr(Path, "exists", denied)
    ran = bare("user", "list", "--data", tmp_path)
    assert (ran.code, "cannot be read by this user" in ran.err) == (1, True)
    assert "cannot be read by this user" in bare("doctor", "--data", tmp_path).out


def test_an_empty_database_is_not_taken_for_an_old_one(bare: Legible, tmp_path) -> None:
    (tmp_path / "legible.db").touch()
    assert "has no tables yet: run `legible db upgrade`" in bare("user", "list", "--data", tmp_path).err


def test_a_password_with_an_at_sign_is_not_quoted(bare: Legible) -> None:
    ran = bare("user", "list", "--database", "postgresql://legible:hu@sh@127.0.0.1:1/legible")
    assert "write them as %40 and %2F" in ran.err
    assert "sh@" not in ran.err


def test_an_outcome_that_no_call_has_is_refused(legible: Legible) -> None:
    ran = legible("calls", "--outcome", "anserwed")
    assert (ran.code, "got 'anserwed'; allowed: answered, refused, replayed" in ran.err) == (2, True)
    assert legible("calls", "--outcome", "rate_limited").code == 0
