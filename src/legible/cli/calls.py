"""`legible calls`: the call log."""

from typing import Annotated

import typer

from legible.cli.common import Data, DatabaseUrl, Json, open_database, print_json, print_table, when
from legible.cli.user import accounts
from legible.errors import codes
from legible.money import yuan
from legible.tasks import Kind


def calls(
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", min=1, max=500, help="How many, newest first.")
    ] = 50,
    email: Annotated[
        str | None, typer.Option("--email", metavar="EMAIL", help="Only this account's.", show_default=False)
    ] = None,
    kind: Annotated[
        Kind | None, typer.Option("--kind", help="Only of this kind.", show_default=False)
    ] = None,
    outcome: Annotated[
        str | None,
        typer.Option(
            "--outcome",
            metavar="WORD",
            help="Only answered, refused, replayed, or one refusal by its code.",
            show_default=False,
        ),
    ] = None,
    data: Data = None,
    database: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """List the latest calls, refused ones too."""
    from legible.calls import CallFilter, CallLog
    from legible.dialects.v1.convert import call_fields

    if outcome is not None and outcome not in (known := ["answered", "refused", "replayed", *codes()]):
        raise typer.BadParameter(f"--outcome: got {outcome!r}; allowed: {', '.join(known)}")
    with open_database(data, database) as opened:
        account_id = None if email is None else accounts(opened).by_email(email).id
        rows = CallLog(opened).page(account_id, CallFilter(kind=kind, outcome=outcome), size=limit).calls
        emails = {account.id: account.email for account in accounts(opened).list()}
    if as_json:
        print_json([{"email": emails[row.account_id]} | call_fields(row) for row in rows])
        return
    print_table(
        ["log id", "time", "account", "api", "kind", "outcome", "result", "cost ¥>", "balance ¥>", "ms>"],
        [
            (
                row.log_id,
                when(row.created_ms),
                emails[row.account_id],
                row.dialect,
                row.kind,
                row.outcome,
                row.result,
                yuan(row.cost_micros),
                yuan(row.balance_micros),
                row.duration_ms,
            )
            for row in rows
        ],
        empty="No such call is in the log yet.",
    )
