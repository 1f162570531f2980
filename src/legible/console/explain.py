"""Why a call was refused and what to do about it, for the call log and the error table of the docs."""

from dataclasses import dataclass

from legible.console.i18n import mark
from legible.dialects.acedata import convert as acedata
from legible.dialects.captchaapi import convert as captchaapi
from legible.dialects.createtask import convert as createtask
from legible.dialects.edge import row_of_type
from legible.dialects.v1 import convert as v1
from legible.errors import refusals


@dataclass(frozen=True, slots=True)
class Explanation:
    name: str
    cause: str
    fix: str


GOOD = {"answered": mark("Answered"), "replayed": mark("Replayed")}

EXPLANATIONS = {
    "bad_request": Explanation(
        mark("Bad request"),
        mark("A field is missing, of the wrong type or out of range, or the body is no JSON."),
        mark(
            "The message names the field, what came and what is allowed. Mend that field and send it again."
        ),
    ),
    "invalid_image": Explanation(
        mark("Unreadable image"),
        mark("The bytes are no whole PNG, JPEG, GIF, BMP or WebP picture, or it is over the limits."),
        mark("Send the file's own bytes as base64, not a path or an HTML page. The limits are in the docs."),
    ),
    "unknown_type": Explanation(
        mark("Unknown type"),
        mark("The type is not in the price list, or an administrator switched it off."),
        mark("Take a type from the list under Types and prices."),
    ),
    "wrong_method": Explanation(
        mark("Wrong method"),
        mark("The path is there, but not for this method."),
        mark("The message names the method that this path takes. Use that one."),
    ),
    "wrong_content_type": Explanation(
        mark("Wrong content type"),
        mark("The body is a form, or something else that is no JSON object."),
        mark("Send one JSON object, as the examples in the docs do."),
    ),
    "body_too_large": Explanation(
        mark("Body too large"),
        mark("The request is larger than the server accepts."),
        mark("Crop the image to the challenge, or save it as JPEG or WebP."),
    ),
    "idempotency_conflict": Explanation(
        mark("Idempotency key used twice"),
        mark("The same Idempotency-Key came with another body while its reply was kept."),
        mark("Make a new key for each new image, and keep the key only when you repeat the same request."),
    ),
    "not_offered": Explanation(
        mark("Not offered"),
        mark(
            "The vendor has this, we leave it out on purpose: no tokens, no browsers, no fetching of pages."
        ),
        mark("Send the picture of the challenge instead."),
    ),
    "not_available": Explanation(
        mark("Not available yet"),
        mark("This server has no recognizer for that kind."),
        mark("See Types and prices for what this server reads."),
    ),
    "unauthenticated": Explanation(
        mark("Key refused"),
        mark("The key is missing, unknown, deleted, expired or disabled, or its address is not allowed."),
        mark("Look at the key under Keys. Deleted keys cannot come back: make a new one."),
    ),
    "not_allowed": Explanation(
        mark("Not allowed for this key"),
        mark("The key is limited to other kinds."),
        mark("Allow the kind under Keys, or use another key."),
    ),
    "insufficient_credit": Explanation(
        mark("Not enough credit"),
        mark("The balance, or what is left of the key's spend cap, is under the price."),
        mark("Redeem a code under Balance or ask your administrator for a top-up; raise the cap under Keys."),
    ),
    "rate_limited": Explanation(
        mark("Too many calls"),
        mark(
            "All keys of the account together, or this key by a rate of its own, made more calls than "
            "they may."
        ),
        mark(
            "Wait as long as Retry-After says. A key's own rate is under Keys; an administrator can raise "
            "the account's."
        ),
    ),
    "not_found": Explanation(
        mark("Not found"),
        mark("No such path, task or call, or it belongs to somebody else."),
        mark("Check the address and the id."),
    ),
    "recognition_failed": Explanation(
        mark("Not readable"),
        mark("Nothing could be read with enough confidence. Rather than guess, we refuse; it costs nothing."),
        mark("Send the original image rather than a screenshot, check the type, or lower the threshold."),
    ),
    "timeout": Explanation(
        mark("Timed out"),
        mark("The recognition took longer than the limit of this server."),
        mark("Try again; if it happens often, the server needs more cores. It costs nothing."),
    ),
    "unavailable": Explanation(
        mark("Unavailable for a moment"),
        mark("A part of the server is down or its queue is full."),
        mark("Try again in a few seconds. It costs nothing."),
    ),
    "in_doubt": Explanation(
        mark("In doubt"),
        mark("The database went away while the call was written. Whether it was charged is not known yet."),
        mark(
            "Send it again with the same Idempotency-Key, which is never charged twice, or look for its "
            "trace id in the call log."
        ),
    ),
    "internal_error": Explanation(
        mark("Our mistake"),
        mark("Something broke on the server. Its administrator finds the trace id in the log."),
        mark("Try again; then report the trace id. It costs nothing."),
    ),
}


def name(outcome: str) -> str:
    """A call's outcome in words, still to be translated."""
    known = EXPLANATIONS.get(outcome)
    return GOOD.get(outcome) or (known.name if known else outcome)


def codes(outcome: str) -> dict[str, list[str]]:
    """What the clients of each dialect see of a refusal, as the dialects themselves have it."""
    (leaf,) = (each for each in refusals() if each.code == outcome)
    ours, theirs = row_of_type(v1.REFUSALS, leaf), row_of_type(acedata.REFUSALS, leaf)
    return {
        "acedata": [f"{theirs.status} {theirs.code}"],
        "captchaapi": [str(row_of_type(captchaapi.REFUSALS, leaf).code)],
        "createtask": createtask.codes(leaf),
        "v1": [f"{ours.status} {outcome}"],
    }
