"""`legible db`: the schema of the database."""

import typer

from legible.cli.common import Data, DatabaseUrl, Json, open_database, print_json

app = typer.Typer(help="The schema of the database.", no_args_is_help=True)


@app.callback()
def db() -> None:
    """Keeps `upgrade` a word of its own while it is the only one."""


@app.command()
def upgrade(data: Data = None, database: DatabaseUrl = None, as_json: Json = False) -> None:
    """Make the database, or bring it up to this version. Does nothing to one that is current."""
    with open_database(data, database, create=True) as opened:
        shown = opened.url.render_as_string(hide_password=True)
    if as_json:
        print_json({"database": shown, "current": True})
    else:
        print(f"The database {shown} is up to date.")
