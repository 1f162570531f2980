"""The short sentences that a page shows after something was done; the address carries only their names."""

from dataclasses import dataclass
from typing import Literal

from legible.console.i18n import mark


@dataclass(frozen=True, slots=True)
class Notice:
    message: str
    tone: Literal["good", "warn", "bad"] = "good"


NOTICES = {
    "welcome": Notice(mark("Welcome. Your free quota is on your balance.")),
    "welcome-empty": Notice(mark("Welcome. Redeem a code, or ask your administrator for a top-up.")),
    "key-saved": Notice(mark("The key was saved.")),
    "key-disabled": Notice(mark("The key is disabled. Calls with it are refused within a second.")),
    "key-enabled": Notice(mark("The key is enabled again.")),
    "key-deleted": Notice(mark("The key is deleted. Calls with it are refused within a second.")),
    "reported": Notice(mark("Thank you. The report is kept with the call.")),
    "withdrawn": Notice(mark("The report is withdrawn.")),
    "redeemed": Notice(mark("The code is redeemed. The amount is on your balance.")),
    "saved": Notice(mark("Saved.")),
    "password-changed": Notice(mark("The password is changed. Your other browsers are logged out.")),
    "session-ended": Notice(mark("That browser is logged out.")),
    "images-deleted": Notice(mark("All kept images are deleted.")),
    "user-added": Notice(mark("The account is made. Tell the user its address and password.")),
    "topped-up": Notice(mark("The entry is in the ledger.")),
    "frozen": Notice(mark("The account is frozen. Its keys and log-ins are refused.")),
    "thawed": Notice(mark("The account works again.")),
    "password-set": Notice(
        mark("The new password is set. Tell the user; all their browsers are logged out.")
    ),
    "code-cancelled": Notice(mark("The code can no longer be redeemed.")),
    "type-saved": Notice(mark("The type is saved. New calls use it at once.")),
}
