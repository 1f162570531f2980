"""`legible db`: the database as a whole, its schema and its copies."""

import os
import sqlite3
import subprocess  # nosec B404
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from legible.cli.common import Data, DatabaseUrl, Failure, Json, open_database, print_json

if TYPE_CHECKING:
    from sqlalchemy import URL

    from legible.db.session import Database

app = typer.Typer(help="The database as a whole: its schema, and copies of it.", no_args_is_help=True)


@app.command()
def upgrade(data: Data = None, database: DatabaseUrl = None, as_json: Json = False) -> None:
    """Make the database, or bring it up to this version. Does nothing to one that is current."""
    with open_database(data, database, create=True) as opened:
        place, url = opened.place, opened.url.render_as_string(hide_password=True)
    if as_json:
        print_json({"database": url, "current": True})
    else:
        print(f"The database {place} is up to date.")


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to; a file that is there is replaced.")],
    data: Data = None,
    database: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Copy the database into FILE while the service runs: what SQLite opens, or what pg_restore reads."""
    with open_database(data, database) as opened:
        try:
            size = _write(opened, file)
        except (OSError, RuntimeError, sqlite3.Error) as error:  # of a link that leads to itself, too
            raise Failure(f"Cannot write {file}: {error}.") from None
    if as_json:
        print_json({"file": str(file), "bytes": size})
    else:
        print(f"{file}: {size:,} bytes.")


def _write(opened: "Database", file: Path) -> int:
    """Puts a whole copy in the place of `file`, or none; returns its size in bytes."""
    target = file.resolve()
    if target.exists() and not target.is_file():
        raise Failure(f"{file} is no plain file: name one in a folder, as in copies/legible.db.")
    if opened.is_sqlite and _is_part_of(Path(str(opened.url.database)), target):
        raise Failure(f"{file} is the database itself: name another file, which the copy goes into.")
    unfinished = target.with_name(f"{target.name}.unfinished")
    unfinished.unlink(missing_ok=True)  # of a copy that was killed
    unfinished.touch(mode=0o600, exist_ok=False)  # it holds balances and hashes
    try:
        (_copy_sqlite if opened.is_sqlite else _dump_postgresql)(opened.url, unfinished)
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)
    return target.stat().st_size


def _is_part_of(database: Path, file: Path) -> bool:
    """Whether a file, by whatever name, is one that SQLite keeps the database in, or would."""
    real = database.resolve()
    parts = [real.with_name(real.name + end) for end in ("", "-wal", "-shm", "-journal")]
    return file in parts or any(part.exists() and file.exists() and file.samefile(part) for part in parts)


def _copy_sqlite(url: "URL", target: Path) -> None:
    with closing(sqlite3.connect(str(url.database))) as source, closing(sqlite3.connect(target)) as copy:
        source.backup(copy)


def _dump_postgresql(url: "URL", target: Path) -> None:
    """By pg_dump, which is told the password where the list of processes does not show it."""
    from sqlalchemy import URL

    place = URL.create("postgresql", url.username, None, url.host, url.port, url.database, url.query)
    command = ["pg_dump", "--format=custom", f"--file={target}", place.render_as_string()]
    secret = {} if url.password is None else {"PGPASSWORD": str(url.password)}
    try:
        done = subprocess.run(  # noqa: S603  # nosec B603
            command, env=os.environ | secret, capture_output=True, text=True
        )
    except FileNotFoundError:
        raise Failure("pg_dump is not installed: install PostgreSQL's client (postgresql-client).") from None
    if done.returncode:
        raise Failure(f"pg_dump failed: {done.stderr.strip()}.")
