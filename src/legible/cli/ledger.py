"""`legible ledger`: whether the books are right."""

from dataclasses import asdict

import typer
from rich.console import Console
from rich.progress import Progress

from legible.cli.common import Data, DatabaseUrl, Found, Json, open_database, print_json

app = typer.Typer(help="Whether the books are right.", no_args_is_help=True)


@app.callback()
def ledger() -> None:
    """Keeps `check` a word of its own while it is the only one."""


@app.command()
def check(data: Data = None, database: DatabaseUrl = None, as_json: Json = False) -> None:
    """Check that every balance is the sum of its entries, and that charged calls and entries match."""
    from legible.ledger import check

    screen = Console(stderr=True)
    with (
        open_database(data, database) as opened,
        Progress(console=screen, transient=True, disable=not screen.is_terminal) as bar,
    ):
        task = bar.add_task("Adding up", total=None)
        audit = check(opened, lambda done, total: bar.update(task, completed=done, total=total))
    if as_json:
        print_json(asdict(audit))
    else:
        print(f"Checked {audit.accounts} accounts, {audit.entries} entries and {audit.calls} calls.")
        print("\n".join(audit.problems) or "Everything adds up.")
    if audit.problems:
        raise Found(
            f"The books are wrong in {len(audit.problems)} places: "
            "keep a copy of the database before anything else."
        )
