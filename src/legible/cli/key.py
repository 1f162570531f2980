"""`legible key`: the keys that programs call with."""

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
from legible.cli.user import Email, accounts, rate
from legible.clock import iso, now_ms
from legible.money import yuan
from legible.settings import MAX_RATE

if TYPE_CHECKING:
    from legible.db.session import Database
    from legible.db.tables import ApiKey
    from legible.keys import KeyRing

app = typer.Typer(help="The keys that programs call with.", no_args_is_help=True)


@app.command()
def add(
    email: Email,
    name: Annotated[str, typer.Option("--name", metavar="TEXT", help="What the key is for, to know it by.")],
    rate_per_second: Annotated[
        int | None,
        typer.Option(
            "--rate",
            metavar="N",
            min=0,
            max=MAX_RATE,
            help="Calls a second. One up to the account's lowers it for this key; a higher one, or 0 for "
            "unlimited, does not count with the account's other keys.",
            show_default="the account's",
        ),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            metavar="X",
            min=0,
            max=1,
            help="The least confidence, 0 to 1; what is less sure is refused and costs nothing.",
            show_default="the recognizers'",
        ),
    ] = None,
    data: Data = None,
    database: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Make a key for an account. It is shown this once: only its hash is kept."""
    from legible.keys import KeyRules

    with open_database(data, database) as opened:
        account = accounts(opened).by_email(email)
        made = keys(opened).create(
            account.id, name, KeyRules(rate_per_second=rate_per_second, threshold=threshold)
        )
    if as_json:
        print_json({"id": made.id, "key": made.secret})
    else:
        print(f"Key {made.id} of {account.email}, shown this once:\n{made.secret}")


@app.command(name="list")
def list_(data: Data = None, database: DatabaseUrl = None, as_json: Json = False) -> None:
    """List the keys, newest first."""
    with open_database(data, database) as opened:
        rows = keys(opened).list()
        emails = {account.id: account.email for account in accounts(opened).list()}
    if as_json:
        print_json([_as_json(row, emails[row.account_id]) for row in rows])
        return
    print_table(
        ["id>", "account", "name", "key", "calls a second", "spent ¥>", "state", "last used"],
        [
            (
                row.id,
                emails[row.account_id],
                row.name,
                f"{row.prefix}…{row.last_four}",
                rate(row.rate_per_second),
                yuan(row.spent_micros),
                _state(row),
                when(row.last_used_ms),
            )
            for row in rows
        ],
        empty="There is no key yet; `legible key add EMAIL --name TEXT` makes one.",
    )


@app.command()
def revoke(
    key_id: Annotated[
        int, typer.Argument(metavar="ID", max=2**63 - 1, help="The number that `legible key list` shows.")
    ],
    data: Data = None,
    database: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Revoke a key for good; every running server feels it within a second."""
    with open_database(data, database) as opened:
        keys(opened).revoke(key_id)
    if as_json:
        print_json({"id": key_id, "revoked": True})
    else:
        print(f"Key {key_id} is revoked.")


def keys(database: "Database") -> "KeyRing":
    from legible.keys import KeyRing

    return KeyRing(database, settings().key_cache_seconds)


def _state(row: "ApiKey") -> str:
    if row.revoked_ms is not None:
        return "revoked"
    if row.expires_ms is not None and row.expires_ms <= now_ms():
        return "expired"
    return "enabled" if row.is_enabled else "disabled"


def _iso(milliseconds: int | None) -> str | None:
    return None if milliseconds is None else iso(milliseconds)


def _as_json(row: "ApiKey", email: str) -> dict[str, Any]:
    return {
        "id": row.id,
        "email": email,
        "name": row.name,
        "prefix": row.prefix,
        "last_four": row.last_four,
        "rate_per_second": row.rate_per_second,
        "threshold": row.threshold,
        "spent": yuan(row.spent_micros),
        "spend_cap": None if row.spend_cap_micros is None else yuan(row.spend_cap_micros),
        "kinds": row.kinds,
        "addresses": row.addresses,
        "is_enabled": row.is_enabled,
        "created_at": iso(row.created_ms),
        "expires_at": _iso(row.expires_ms),
        "revoked_at": _iso(row.revoked_ms),
        "last_used_at": _iso(row.last_used_ms),
    }
