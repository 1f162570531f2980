"""The OpenAPI of the dialects: bodies that we read ourselves,
and every refusal with an example in the dialect's own words."""

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel

from legible.errors import (
    BodyTooLarge,
    Broken,
    IdempotencyConflict,
    InsufficientCredit,
    InvalidField,
    NotAllowed,
    NotAvailable,
    RateLimited,
    RecognitionFailed,
    Refusal,
    TimedOut,
    Unauthenticated,
    Unavailable,
)

# Every method that a router names when it answers the ones that are not offered.
METHODS = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"]

UNAUTHENTICATED = Unauthenticated("unknown", "this API key is not known")
RATE_LIMITED = RateLimited(limit=10, retry_after=0.4)
BROKEN = Broken()
# What a recognition call may be refused for.
RECOGNITION = (
    InvalidField("image", got="nothing", allowed="a PNG, JPEG, GIF, BMP or WebP picture in base64"),
    RecognitionFailed("the text could not be read with enough confidence"),
    IdempotencyConflict(),
    NotAvailable("recognizing click is not available yet; available: text"),
    UNAUTHENTICATED,
    NotAllowed("this key may not recognize text; allowed: grid"),
    InsufficientCredit(balance=500, price=1000),
    BodyTooLarge(limit=6 * 1024 * 1024),
    RATE_LIMITED,
    Unavailable("256 recognitions are waiting already; try again in a moment"),
    TimedOut(seconds=20),
    BROKEN,
)

IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "1 to 255 printable ASCII characters without spaces. The same key with the same body "
    "within 24 hours answers the same reply again, byte for byte, and charges nothing; "
    "a call that failed for free runs again.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
}


def request_body(model: type[BaseModel], *parameters: dict[str, Any]) -> dict[str, Any]:
    """What FastAPI cannot see, since we read bodies ourselves: with a limit, and without its detours."""
    schema = _inlined(model.model_json_schema())
    return {
        "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
        "parameters": list(parameters),
    }


def _inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema with its own definitions in their places, since it will stand inside of another document."""
    definitions = schema.pop("$defs", {})

    def inlined(value: Any) -> Any:
        if isinstance(value, dict):
            if "$ref" in value:
                return inlined(definitions[value["$ref"].rsplit("/", 1)[1]])
            return {name: inlined(each) for name, each in value.items()}
        return [inlined(each) for each in value] if isinstance(value, list) else value

    made: dict[str, Any] = inlined(schema)
    return made


def refusals(
    words: Iterable[Refusal],
    status_of: Callable[[Refusal], int],
    body_of: Callable[[Refusal], Any],
    model: type[BaseModel],
    media_type: str = "application/json",
) -> dict[int | str, dict[str, Any]]:
    """Replies by status, each refusal with its example."""
    replies: dict[int | str, dict[str, Any]] = {}
    for refusal in words:
        status = status_of(refusal)
        schema = {"$ref": f"#/components/schemas/{model.__name__}"}
        content = {media_type: {"schema": schema, "examples": {}}}
        reply = replies.setdefault(
            status, {"description": HTTPStatus(status).phrase, "content": content, "model": model}
        )
        reply["content"][media_type]["examples"][refusal.code] = {
            "summary": refusal.code,
            "value": body_of(refusal),
        }
    return replies
