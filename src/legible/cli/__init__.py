"""The command line: one file a command, errors in a sentence, `--json` wherever a machine may read."""

import sys
from importlib.metadata import version
from typing import Annotated

import typer

from legible.cli import assess, calls, db, doctor, key, ledger, read, serve, types, user
from legible.cli.common import Failure, Found, print_json
from legible.errors import Refusal


def _version(asked: bool) -> None:
    if asked:
        print(f"Legible {version('legible')}")
        raise typer.Exit


app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback()
def legible(
    _: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Legible, a self-hosted captcha recognition service."""


app.command()(serve.serve)
app.command()(read.read)
app.command()(assess.assess)
app.add_typer(user.app, name="user")
app.add_typer(key.app, name="key")
app.command()(calls.calls)
app.command()(types.types)
app.add_typer(ledger.app, name="ledger")
app.add_typer(db.app, name="db")
app.command()(doctor.doctor)


def main() -> None:
    """Exit codes: 0 is done, 1 refused with a sentence on standard error, 2 a command line that is wrong."""
    try:
        app()
    except (Failure, Refusal) as refusal:
        if "--json" in sys.argv and not isinstance(refusal, Found):
            facts = {"code": getattr(refusal, "code", "failure"), "message": str(refusal)}
            print_json({"error": facts | {"confidence": getattr(refusal, "confidence", None)}})
        print(f"legible: {refusal}", file=sys.stderr)
        sys.exit(1)
    except UnicodeError:
        told = "what was typed or piped in is not UTF-8, or this terminal is not: set LC_ALL=C.UTF-8"
        print(f"legible: {told}", file=sys.stderr)
        sys.exit(1)
