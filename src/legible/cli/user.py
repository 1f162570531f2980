"""`legible user`: accounts, their passwords and their credit."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from legible.cli.common import (
    Data,
    DatabaseUrl,
    Json,
    open_database,
    print_json,
    print_table,
    settings,
    when,
)
from legible.clock import iso
from legible.money import LARGEST_YUAN, parse_yuan, yuan
from legible.settings import MAX_RATE

if TYPE_CHECKING:
    from legible.accounts import Accounts
    from legible.db.session import Database
    from legible.db.tables import Account

app = typer.Typer(help="Accounts, their passwords and their credit.", no_args_is_help=True)

Email = Annotated[str, typer.Argument(metavar="EMAIL", help="The address that the account is known by.")]
PasswordStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Take the password from the first line of standard input.")
]


def parse_amount(amount: str) -> int:
    """An amount in yuan as micros."""
    micros = parse_yuan(amount)
    if micros is None:
        raise typer.BadParameter(
            f"got {amount!r}; allowed: yuan over 0, up to {LARGEST_YUAN}, with at most 6 decimals"
        )
    return micros


@app.command()
def add(
    email: Email,
    data: Data = None,
    database: DatabaseUrl = None,
    admin: Annotated[
        bool, typer.Option("--admin", help="An administrator, who may top up and change prices.")
    ] = False,
    password_stdin: PasswordStdin = False,
    as_json: Json = False,
) -> None:
    """Add an account, with the free quota. Makes the database if there is none."""
    password = _password_from_stdin() if password_stdin else None
    with open_database(data, database, create=True) as opened:
        account = accounts(opened).create(email, password, is_admin=admin)
    if as_json:
        print_json(_as_json(account))
        return
    print(f"Added {account.email} to {opened.place}, with a balance of ¥{yuan(account.balance_micros)}.")
    if password is None:
        print(
            "It has no password, so nobody can sign in: "
            f"`legible user password {account.email}` sets one, with the same --data or --database."
        )


@app.command(name="list")
def list_(data: Data = None, database: DatabaseUrl = None, as_json: Json = False) -> None:
    """List the accounts, oldest first."""
    with open_database(data, database) as opened:
        rows = accounts(opened).list()
    if as_json:
        print_json([_as_json(row) for row in rows])
        return
    print_table(
        ["id>", "email", "role", "balance ¥>", "calls a second", "state", "since"],
        [
            (
                row.id,
                row.email,
                "administrator" if row.is_admin else "user",
                yuan(row.balance_micros),
                rate(row.rate_per_second),
                "deleted" if row.is_deleted else "enabled" if row.is_enabled else "disabled",
                when(row.created_ms),
            )
            for row in rows
        ],
        empty="There is no account yet; `legible user add EMAIL` adds one.",
    )


@app.command()
def topup(
    email: Email,
    amount_micros: Annotated[
        int, typer.Argument(metavar="AMOUNT", parser=parse_amount, help="Credit to add, in yuan: 20 or 0.5.")
    ],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, as the ledger will show it.")],
    data: Data = None,
    database: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Add credit to an account."""
    with open_database(data, database) as opened:
        known = accounts(opened)
        account = known.by_email(email)
        balance = known.top_up(account.id, amount_micros, reason)
    if as_json:
        print_json(
            {
                "id": account.id,
                "email": account.email,
                "amount": yuan(amount_micros),
                "balance": yuan(balance),
            }
        )
    else:
        print(f"Added ¥{yuan(amount_micros)} to {account.email}; the balance is ¥{yuan(balance)}.")


@app.command()
def password(
    email: Email,
    data: Data = None,
    database: DatabaseUrl = None,
    password_stdin: PasswordStdin = False,
    as_json: Json = False,
) -> None:
    """Set the password of an account; asks for it, unless standard input is not a terminal."""
    with open_database(data, database) as opened:
        known = accounts(opened)
        account = known.by_email(email)
        known.set_password(account.id, _password_from_stdin() if password_stdin else _asked_password())
    if as_json:
        print_json(_as_json(account))
    else:
        print(f"The password of {account.email} is set.")


@app.command(name="rate")
def set_rate(
    email: Email,
    rate_per_second: Annotated[
        int,
        typer.Argument(
            metavar="N", min=0, max=MAX_RATE, help="Calls a second, all keys together; 0 is unlimited."
        ),
    ],
    data: Data = None,
    database: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Set how often the keys of an account may call. A key's own rate over it is reset."""
    changed(
        email,
        data,
        database,
        as_json,
        lambda known, id_: known.set_rate(id_, rate_per_second, most=rate_per_second),
    )


@app.command()
def disable(email: Email, data: Data = None, database: DatabaseUrl = None, as_json: Json = False) -> None:
    """Shut an account out: no log-in, no call. Every running server feels it within a second."""
    changed(email, data, database, as_json, lambda known, id_: known.set_enabled(id_, False))


@app.command()
def enable(email: Email, data: Data = None, database: DatabaseUrl = None, as_json: Json = False) -> None:
    """Let a disabled account in again."""
    changed(email, data, database, as_json, lambda known, id_: known.set_enabled(id_, True))


def changed(
    email: str,
    data: Path | None,
    database: str | None,
    as_json: bool,
    change: Callable[["Accounts", int], None],
) -> None:
    """Changes an account, and tells how it is now."""
    with open_database(data, database) as opened:
        known = accounts(opened)
        change(known, known.by_email(email).id)
        account = known.by_email(email)
    if as_json:
        print_json(_as_json(account))
    else:
        state = "enabled" if account.is_enabled else "disabled"
        print(f"{account.email}: {state}, calls a second: {rate(account.rate_per_second)}.")


@app.command()
def delete(
    email: Email,
    data: Data = None,
    database: DatabaseUrl = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Delete an account: who it was, what its calls said and showed. Amounts stay, without a name."""
    with open_database(data, database) as opened:
        known = accounts(opened)
        account = known.by_email(email)
        if not yes:
            balance = yuan(account.balance_micros)
            typer.confirm(f"Delete {account.email} and its ¥{balance} for good?", abort=True, err=True)
        known.delete(account.id)
        known.forget(account.id)
    if as_json:
        print_json({"id": account.id, "email": account.email, "deleted": True})
    else:
        print(f"{account.email} is deleted.")


def accounts(database: "Database") -> "Accounts":
    from legible.accounts import Accounts

    return Accounts(database, settings().free_quota_micros)


def rate(rate_per_second: int | None) -> str:
    """A rate for people; None is the default of the settings."""
    if rate_per_second is None:
        return "default"
    return "unlimited" if rate_per_second == 0 else str(rate_per_second)


def _password_from_stdin() -> str:
    return sys.stdin.readline().rstrip("\r\n")


def _asked_password() -> str:
    if not sys.stdin.isatty():
        return _password_from_stdin()
    return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))


def _as_json(account: "Account") -> dict[str, Any]:
    return {
        "id": account.id,
        "email": account.email,
        "is_admin": account.is_admin,
        "is_enabled": account.is_enabled,
        "balance": yuan(account.balance_micros),
        "rate_per_second": account.rate_per_second,
        "created_at": iso(account.created_ms),
    }
