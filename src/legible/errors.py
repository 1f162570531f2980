"""Every refusal of the house as one tree, without HTTP in it:
each dialect's `convert` has the table to its own words.

Refusal
├── BadRequest                 the request itself is wrong; the caller can mend it
│   ├── InvalidField           a field is missing, of the wrong type or out of range
│   │   ├── InvalidImage       the bytes are no picture we read
│   │   │   ├── EmptyImage     there are none
│   │   │   └── ImageTooLarge  over the limits, in bytes or in pixels
│   │   ├── UnknownType        a type id that is not in the price list
│   │   ├── WrongMethod        the path is there, the method is not
│   │   └── WrongContentType
│   ├── BodyTooLarge
│   ├── IdempotencyConflict    same idempotency key, other body
│   ├── NotOffered             the vendor has it, we deliberately do not
│   └── NotAvailable           the recognizer is not there (yet)
├── Unauthenticated            no key, unknown, revoked, expired, disabled account, wrong address
├── NotAllowed                 the key is good but may not do this
├── InsufficientCredit         the balance, or what is left of the key's spend cap, is under the price
├── RateLimited
├── NotFound
├── RecognitionFailed          nothing was read with enough confidence; never charged
├── TimedOut
├── Unavailable                a part of ours is down (database, full disk); nothing was charged
│   └── InDoubt                it went down in the middle of the commit; nobody knows yet
└── Broken                     a bug of ours; nothing was charged
"""

from collections.abc import Iterator, Mapping
from typing import Any, Literal, Self, TypeVar

R = TypeVar("R", bound="Refusal")


class Refusal(Exception):  # noqa: N818 - a refusal is an answer, not an error
    """A normal "no". `code` names it in the call log and in metrics;
    the message may be shown to the caller."""

    code = "refused"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def __reduce__(self) -> tuple[Any, ...]:
        """So that it arrives from another process with all its facts."""
        return _arrived, (type(self), self.__dict__)


def _arrived(leaf: type[R], facts: dict[str, Any]) -> R:
    refusal = leaf.__new__(leaf, facts["message"])
    refusal.__dict__.update(facts)
    return refusal


def refusals() -> Iterator[type[Refusal]]:
    """Every leaf and branch of the tree that a call may end with."""
    waiting = [Refusal]
    while waiting:
        each = waiting.pop()
        waiting += each.__subclasses__()
        if "code" in vars(each) and each is not Refusal:
            yield each


def codes() -> list[str]:
    """The words for them in the call log."""
    return sorted(each.code for each in refusals())


class BadRequest(Refusal):
    code = "bad_request"


class InvalidField(BadRequest):
    """Names the field, what came and what is allowed."""

    def __init__(self, field: str, *, got: str, allowed: str) -> None:
        super().__init__(_said(field, got, allowed))
        self.field, self.got, self.allowed = field, got, allowed

    def in_words(self, names: Mapping[str, str]) -> Self:
        """The same refusal for callers who know the field by another of `names`, `images[2]` as one of
        `images`."""
        name, bracket, place = self.field.partition("[")
        field = names.get(name, name) + bracket + place
        facts = {"field": field, "message": _said(field, self.got, self.allowed)}
        return _arrived(type(self), self.__dict__ | facts)


def _said(field: str, got: str, allowed: str) -> str:
    return f"{field}: got {got}; allowed: {allowed}"


class InvalidImage(InvalidField):
    code = "invalid_image"


class EmptyImage(InvalidImage):
    pass


class ImageTooLarge(InvalidImage):
    pass


class UnknownType(InvalidField):
    code = "unknown_type"


class WrongMethod(InvalidField):
    code = "wrong_method"

    def __init__(self, *, got: str, allowed: str) -> None:
        super().__init__("method", got=got, allowed=allowed)


class WrongContentType(InvalidField):
    code = "wrong_content_type"

    def __init__(self, *, got: str) -> None:
        super().__init__("content-type", got=got, allowed="application/json, with a JSON object as the body")


class BodyTooLarge(BadRequest):
    code = "body_too_large"

    def __init__(self, *, limit: int) -> None:
        super().__init__(f"body: larger than {limit} bytes; allowed: at most {limit} bytes")
        self.limit = limit


class IdempotencyConflict(BadRequest):
    code = "idempotency_conflict"

    def __init__(self) -> None:
        super().__init__(
            "Idempotency-Key: this key was used with another body in the last 24 hours; "
            "allowed: a new key, or the same body again"
        )


class NotOffered(BadRequest):
    code = "not_offered"


class NotAvailable(BadRequest):
    code = "not_available"


UnauthenticatedReason = Literal[
    "missing", "unknown", "revoked", "expired", "disabled", "account_disabled", "address", "conflicting"
]


class Unauthenticated(Refusal):
    code = "unauthenticated"

    def __init__(self, reason: UnauthenticatedReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class NotAllowed(Refusal):
    code = "not_allowed"


class InsufficientCredit(Refusal):
    """Amounts in micros (1e-6 yuan). `spend_cap` tells that it is the key's cap that is reached,
    not the balance."""

    code = "insufficient_credit"

    def __init__(self, *, balance: int, price: int, spend_cap: bool = False) -> None:
        super().__init__("the key's spend cap is reached" if spend_cap else "the balance is under the price")
        self.balance, self.price, self.spend_cap = balance, price, spend_cap


class RateLimited(Refusal):
    """`limit` calls a second are allowed; try again after `retry_after` seconds."""

    code = "rate_limited"

    def __init__(self, *, limit: int, retry_after: float) -> None:
        super().__init__(f"over {limit} requests a second; try again in {retry_after:.1f} s")
        self.limit, self.retry_after = limit, retry_after


class NotFound(Refusal):
    code = "not_found"


class RecognitionFailed(Refusal):
    """`confidence` is what was reached, if anything was read at all; `threshold` what was asked."""

    code = "recognition_failed"

    def __init__(
        self, message: str, *, confidence: float | None = None, threshold: float | None = None
    ) -> None:
        super().__init__(message)
        self.confidence, self.threshold = confidence, threshold


class TimedOut(Refusal):
    code = "timeout"

    def __init__(self, *, seconds: float) -> None:
        super().__init__(f"the recognition took longer than {seconds:g} seconds; nothing was charged")
        self.seconds = seconds


class Unavailable(Refusal):
    code = "unavailable"


class InDoubt(Unavailable):
    """The database went away between our commit and its confirmation, and stays away."""

    code = "in_doubt"

    def __init__(self) -> None:
        super().__init__(
            "the database went away while this call was written, so whether it was charged is not known yet; "
            "send it again with the same Idempotency-Key, which is never charged twice, "
            "or look for its trace id in the call log"
        )


class Broken(Refusal):
    """A bug of ours, already logged with its traceback; the caller gets the trace id and no exception
    text."""

    code = "internal_error"

    def __init__(self) -> None:
        super().__init__("something went wrong on our side; nothing was charged")
