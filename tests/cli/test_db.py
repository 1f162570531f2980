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


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_the_list_of_processes_does_not_show_the_password(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    """With a pg_dump that writes down what it was told."""
    program = tmp_path / "bin" / "pg_dump"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\necho "$*" >arguments\necho "$PGPASSWORD" >copy.dump.unfinished\n')
    program.chmod(0o755)
    url = database_url.replace("legible@", "legible:s%40cret@")
    path = f"{program.parent}:{os.environ['PATH']}"
    ran = run("db", "backup", "copy.dump", "--database", url, folder=tmp_path, PATH=path)
    assert ran.code == 0, ran
    assert (tmp_path / "copy.dump").read_text() == "s@cret\n"
    arguments = (tmp_path / "arguments").read_text()
    assert ("cret" in arguments, "postgresql://legible@" in arguments) == (False, True)
