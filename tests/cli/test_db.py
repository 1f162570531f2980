"""`legible db backup`; what comes of its copies is in tests/deploy/test_backup.py."""

import os
import sqlite3
from pathlib import Path

import pytest

from legible.db.session import Database
from tests.commands import Legible, run


def test_a_backup_of_sqlite_is_a_database(legible: Legible, tmp_path: Path) -> None:
    legible("user", "add", "ada@example.com")
    ran = legible("db", "backup", "copy.db", "--json")
    assert (ran.code, ran.json["file"]) == (0, "copy.db"), ran
    assert (tmp_path / "copy.db").stat().st_mode & 0o777 == 0o600
    with sqlite3.connect(tmp_path / "copy.db") as copy:
        assert copy.execute("SELECT email FROM account").fetchall() == [("ada@example.com",)]
    copy.close()


def test_a_backup_that_cannot_be_written_is_a_sentence(legible: Legible, tmp_path: Path) -> None:
    legible("user", "add", "ada@example.com")
    ran = legible("db", "backup", "no/such/folder/copy.db")
    assert (ran.code, "Cannot write no/such/folder/copy.db" in ran.err) == (1, True), ran
    assert not list(tmp_path.glob("*.unfinished"))


def test_a_backup_goes_into_no_folder_pipe_or_the_database_itself(
    legible: Legible, sqlite_url: str, tmp_path: Path
) -> None:
    legible("user", "add", "ada@example.com")
    os.mkfifo(tmp_path / "pipe")
    live = Path(sqlite_url.removeprefix("sqlite:///"))
    (tmp_path / "by-another-name.db").symlink_to(live)
    (tmp_path / "loop").symlink_to("loop")
    before = live.stat().st_ino
    for file, says in (
        (".", "no plain file"),
        ("pipe", "no plain file"),
        (str(live), "the database itself"),
        ("by-another-name.db", "the database itself"),
        (f"{live}-journal", "the database itself"),
        ("loop", "Cannot write loop"),
    ):
        ran = legible("db", "backup", file)
        assert (ran.code, says in ran.err) == (1, True), (file, ran)
    assert live.stat().st_ino == before
    assert (tmp_path / "pipe").is_fifo()


def test_a_backup_through_a_link_replaces_what_it_names(legible: Legible, tmp_path: Path) -> None:
    legible("user", "add", "ada@example.com")
    (tmp_path / "old.db").write_text("old")
    (tmp_path / "latest.db").symlink_to("old.db")
    assert legible("db", "backup", "latest.db").code == 0
    assert (tmp_path / "latest.db").is_symlink()
    assert (tmp_path / "old.db").read_bytes().startswith(b"SQLite format 3")


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_the_list_of_processes_does_not_show_the_password(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    """With a pg_dump that writes down what it was told."""
    program = tmp_path / "bin" / "pg_dump"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\necho "$*" >arguments\necho "$PGPASSWORD" >"${2#--file=}"\n')
    program.chmod(0o755)
    url = database_url.replace("legible@", "legible:s%40cret@")
    path = f"{program.parent}:{os.environ['PATH']}"
    ran = run("db", "backup", "copy.dump", "--database", url, folder=tmp_path, PATH=path)
    assert ran.code == 0, ran
    assert (tmp_path / "copy.dump").read_text() == "s@cret\n"
    arguments = (tmp_path / "arguments").read_text()
    assert ("cret" in arguments, "postgresql://legible@" in arguments) == (False, True)


def test_a_data_folder_may_have_any_name_and_what_is_made_in_it_is_for_its_owner(
    bare: Legible, tmp_path: Path
) -> None:
    before = os.umask(0o022)
    try:
        ran = bare("user", "add", "ada@example.com", "--data", "a?b %20 & 目录")
    finally:
        os.umask(before)
    made = tmp_path / "a?b %20 & 目录" / "legible.db"
    assert (ran.code, f"sqlite:///{made}" in ran.out) == (0, True), ran
    assert made.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["a?b %20 & 目录"]
