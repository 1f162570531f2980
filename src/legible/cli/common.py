"""What every command shares: which database it works on, how it fails in a sentence, and how it prints."""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from legible.errors import Unavailable
from legible.settings import Settings

if TYPE_CHECKING:
    from legible.db.session import Database

Data = Annotated[
    Path | None,
    typer.Option(
        "--data", metavar="DIR", help="Folder of the SQLite database and other files.", show_default=False
    ),
]
DatabaseUrl = Annotated[
    str | None,
    typer.Option(
        "--database",
        metavar="URL",
        help="Database to work on instead, postgresql:// or sqlite:///.",
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def how_to_install(extra: str) -> str:
    """What to do where a package is missing. By its name alone, pip would find somebody else's legible."""
    return f"run `pip install '.[{extra}]'` in the folder of Legible's source"


class Failure(Exception):  # noqa: N818 - as a refusal, this is an answer
    """A command cannot do what was asked; the message is one sentence that says what to do."""


class Found(Failure):
    """What a check found is wrong: all that it printed, JSON or not, says so already."""


def settings(data: Path | None = None, database: str | None = None, **knobs: object) -> Settings:
    """The settings of the environment, under what the command line says; a knob that is None was not said."""
    said = {name: value for name, value in knobs.items() if value is not None}
    if data is not None:
        # A folder that is named on the command line is meant, whatever database the environment knows.
        said |= {"data_dir": data, "database_url": None}
    if database is not None:
        said["database_url"] = database
    try:
        return Settings(**said)  # type: ignore[arg-type]
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)[0]
        name = str(details["loc"][0])
        raise Failure(f"The setting {name} (LEGIBLE_{name.upper()}) is wrong: {details['msg']}.") from None


@contextmanager
def open_database(data: Path | None, database: str | None, *, create: bool = False) -> Iterator["Database"]:
    """The database that the command line names, its schema checked; `create` makes or upgrades it first."""
    opened = _opened(settings(data, database).database, create)
    try:
        yield opened
    finally:
        opened.close()


def _opened(url: str, create: bool) -> "Database":
    # Imported here, so that a command that needs no database starts without SQLAlchemy.
    from sqlalchemy.exc import DBAPIError

    from legible.db.session import Database, database_url, place

    try:
        parsed = database_url(url)
    except ValueError as error:
        raise Failure(f"{error}.") from None
    shown = place(parsed)
    if not create and parsed.get_backend_name() == "sqlite" and not is_there(Path(str(parsed.database))):
        raise Failure(
            f"There is no database {shown} yet: "
            "name another with --data, or make it with `legible db upgrade`."
        )
    try:
        database = Database(url)
        if create and not database.serves():
            _upgrade(url, shown)
        if database.serves():
            return database
        is_new = database.is_new()
        database.close()
    except (Unavailable, DBAPIError, OSError) as error:
        cause = str(error.__cause__ or error).splitlines()[0]
        raise Failure(f"Cannot open the database {shown}: {cause}; check --data or --database.") from None
    except ModuleNotFoundError as error:
        raise Failure(
            f"The database {shown} needs the package {error.name}: {how_to_install('postgres')}."
        ) from None
    state = "has no tables yet" if is_new else "is from an older version of Legible"
    raise Failure(f"The database {shown} {state}: run `legible db upgrade` first.")


def is_there(path: Path) -> bool:
    """Raises `Failure` where this user may not look."""
    try:
        return path.exists()
    except PermissionError:
        raise Failure(
            f"{path} cannot be read by this user: run this as the one that the service runs as (sudo -u)."
        ) from None


def _upgrade(url: str, shown: str) -> None:
    from alembic.util import CommandError

    from legible.db.session import upgrade

    try:
        upgrade(url)
    except CommandError as error:
        raise Failure(
            f"Cannot upgrade {shown}: {error}; was it made by a newer Legible? Install that."
        ) from None


def print_json(value: Any) -> None:
    """One JSON value on standard output."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2 if sys.stdout.isatty() else None) + "\n")


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, empty: str) -> None:
    """Rows for people; `empty` is said when there are none. A ">" after a column's name aligns it right."""
    if not rows:
        print(empty)
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(
            column.rstrip(">"), justify="right" if column.endswith(">") else "left", overflow="fold"
        )
    for row in rows:
        table.add_row(*("" if cell is None else str(cell) for cell in row))
    # Piped output has no width of its own, and rich would fold it at 80: there a row is a line.
    console = Console(markup=False, highlight=False, width=None if sys.stdout.isatty() else 2000)
    console.print(table)


def when(milliseconds: int | None) -> str:
    """A time in UTC, to the second; nothing for never."""
    if milliseconds is None:
        return ""
    return f"{datetime.fromtimestamp(milliseconds / 1000, UTC):%Y-%m-%d %H:%M:%S}"
