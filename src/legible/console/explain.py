"""Why a call was refused and what to do about it, for the call log and the error table of the docs."""

from dataclasses import dataclass

from legible.console.i18n import mark


@dataclass(frozen=True, slots=True)
class Explanation:
    """`acedata` and `captchaapi` are the code that each vendor's clients see."""

    name: str
    cause: str
    fix: str
    acedata: str = ""
    captchaapi: str = ""


GOOD = {"answered": mark("Answered"), "replayed": mark("Replayed")}

EXPLANATIONS = {
    "bad_request": Explanation(
        mark("Bad request"),
        mark("A field is missing, of the wrong type or out of range, or the body is no JSON."),
        mark(
            "The message names the field, what came and what is allowed. Mend that field and send it again."
        ),
        "400 bad_request",
        "400",
    ),
    "invalid_image": Explanation(
        mark("Unreadable image"),
        mark("The bytes are no whole PNG, JPEG, GIF, BMP or WebP picture, or it is over the limits."),
        mark("Send the file's own bytes as base64, not a path or an HTML page. The limits are in the docs."),
        "400 bad_request",
        "400",
    ),
    "unknown_type": Explanation(
        mark("Unknown type"),
        mark("The type is not in the price list, or an administrator switched it off."),
        mark("Take a type from the list under Types and prices."),
        "400 bad_request",
        "400",
    ),
    "body_too_large": Explanation(
        mark("Body too large"),
        mark("The request is larger than the server accepts."),
        mark("Crop the image to the challenge, or save it as JPEG or WebP."),
        "413 bad_request",
        "400",
    ),
    "idempotency_conflict": Explanation(
        mark("Idempotency key used twice"),
        mark("The same Idempotency-Key came with another body within 24 hours."),
        mark("Make a new key for each new image, and keep the key only when you repeat the same request."),
        "400 bad_request",
        "400",
    ),
    "not_offered": Explanation(
        mark("Not offered"),
        mark(
            "The vendor has this, we leave it out on purpose: no tokens, no browsers, no fetching of pages."
        ),
        mark("Send the picture of the challenge instead."),
        "400 api_not_implemented",
        "400",
    ),
    "not_available": Explanation(
        mark("Not available yet"),
        mark("This server has no recognizer for that kind."),
        mark("See Types and prices for what this server reads."),
        "400 bad_request",
        "400",
    ),
    "unauthenticated": Explanation(
        mark("Key refused"),
        mark("The key is missing, unknown, deleted, expired or disabled, or its address is not allowed."),
        mark("Look at the key under Keys. Deleted keys cannot come back: make a new one."),
        "401 invalid_token",
        "401",
    ),
    "not_allowed": Explanation(
        mark("Not allowed for this key"),
        mark("The key is limited to other kinds."),
        mark("Allow the kind under Keys, or use another key."),
        "400 token_mismatched",
        "401",
    ),
    "insufficient_credit": Explanation(
        mark("Not enough credit"),
        mark("The balance, or what is left of the key's spend cap, is under the price."),
        mark("Redeem a code under Balance or ask your administrator for a top-up; raise the cap under Keys."),
        "403 used_up",
        "402",
    ),
    "rate_limited": Explanation(
        mark("Too many calls"),
        mark("The key made more calls within a second than it may."),
        mark("Wait as long as Retry-After says. An administrator can raise the limit."),
        "429 too_many_requests",
        "429",
    ),
    "not_found": Explanation(
        mark("Not found"),
        mark("No such path, task or call, or it belongs to somebody else."),
        mark("Check the address and the id."),
        "404 no_api",
        "404",
    ),
    "recognition_failed": Explanation(
        mark("Not readable"),
        mark("Nothing could be read with enough confidence. Rather than guess, we refuse; it costs nothing."),
        mark("Send the original image rather than a screenshot, check the type, or lower the threshold."),
        "400 recognition_failed",
        "400",
    ),
    "timeout": Explanation(
        mark("Timed out"),
        mark("The recognition took longer than the limit of this server."),
        mark("Try again; if it happens often, the server needs more cores. It costs nothing."),
        "504 timeout",
        "500",
    ),
    "unavailable": Explanation(
        mark("Unavailable for a moment"),
        mark("A part of the server is down or its queue is full."),
        mark("Try again in a few seconds. It costs nothing."),
        "500 api_error",
        "500",
    ),
    "internal_error": Explanation(
        mark("Our mistake"),
        mark("Something broke on the server. Its administrator finds the trace id in the log."),
        mark("Try again; then report the trace id. It costs nothing."),
        "500 api_error",
        "500",
    ),
}


def name(outcome: str) -> str:
    """A call's outcome in words, still to be translated."""
    known = EXPLANATIONS.get(outcome)
    return GOOD.get(outcome) or (known.name if known else outcome)
