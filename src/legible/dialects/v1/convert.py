"""Our own words at the edge: pure functions, and one table from refusal to status and title."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import NamedTuple

from legible.calls import CallFilter
from legible.clock import iso
from legible.db.tables import Call
from legible.dialects.edge import parse_object, row_of, sentence, shown
from legible.dialects.inputs import (
    click_options,
    grid_image,
    grid_options,
    image_bytes,
    image_list,
    text_options,
)
from legible.dialects.v1.schemas import (
    ArithmeticFields,
    ClickFields,
    GridFields,
    RecognitionRequest,
    SliderFields,
    TextOptionFields,
)
from legible.errors import (
    BadRequest,
    BodyTooLarge,
    IdempotencyConflict,
    InsufficientCredit,
    InvalidField,
    NotAllowed,
    NotFound,
    RateLimited,
    RecognitionFailed,
    Refusal,
    TimedOut,
    Unauthenticated,
    Unavailable,
    WrongContentType,
    WrongMethod,
    codes,
)
from legible.journal import Receipt
from legible.money import yuan
from legible.prices import PricedType
from legible.tasks import Answer, ArithmeticOptions, ImageLimits, Kind, SliderOptions, Task, TextOptions

QUERY = frozenset(
    {
        "since",
        "until",
        "kind",
        "outcome",
        "dialect",
        "key_id",
        "log_id",
        "trace_id",
        "limit",
        "cursor",
        "format",
    }
)
OUTCOMES = ("answered", "replayed", "refused", *codes())
DIALECTS = ("acedata", "captchaapi", "createtask", "v1")
PICTURE = "a PNG, JPEG, GIF, BMP or WebP picture in base64"


class Row(NamedTuple):
    """What a client gets for a refusal."""

    status: int
    title: str


REFUSALS: Mapping[type[Refusal], Row] = {
    BadRequest: Row(400, "Bad Request"),
    Unauthenticated: Row(401, "Unauthorized"),
    InsufficientCredit: Row(402, "Payment Required"),
    NotAllowed: Row(403, "Forbidden"),
    NotFound: Row(404, "Not Found"),
    WrongMethod: Row(405, "Method Not Allowed"),
    IdempotencyConflict: Row(409, "Conflict"),
    BodyTooLarge: Row(413, "Content Too Large"),
    WrongContentType: Row(415, "Unsupported Media Type"),
    RecognitionFailed: Row(422, "Recognition Failed"),
    RateLimited: Row(429, "Too Many Requests"),
    Unavailable: Row(503, "Service Unavailable"),
    TimedOut: Row(504, "Timeout"),
    Refusal: Row(500, "Internal Server Error"),
}


def status_of(refusal: Refusal) -> int:
    return row_of(REFUSALS, refusal).status


def problem(refusal: Refusal, trace_id: str, log_id: str | None = None) -> dict[str, object]:
    """The body of every error, as RFC 9457 has it. `about:blank` says that the status is the whole type."""
    status, title = row_of(REFUSALS, refusal)
    found_by = {"trace_id": trace_id} | ({} if log_id is None else {"log_id": log_id})
    said = {"type": "about:blank", "title": title, "status": status, "detail": sentence(refusal)}
    return said | {"code": refusal.code} | found_by


def names_of(body: RecognitionRequest) -> dict[str, str]:
    """What a request calls the fields that recognizers name."""
    names = {f: f"options.{f}" for f in ("piece", "question", "anchors")}
    return names if body.images else names | {"images": "image"}


def task_of(body: RecognitionRequest, limits: ImageLimits, max_queries: int) -> Task:
    kind, given = Kind(body.kind), body.options or {}
    if kind is Kind.CLICK:
        return _click_task(body, given, limits, max_queries)
    if body.images:
        allowed = "only with click; the picture goes into image"
        raise InvalidField("images", got=shown(body.images), allowed=allowed)
    if body.image is None:
        raise InvalidField("image", got="nothing", allowed=PICTURE)
    if kind is Kind.GRID:
        fields = parse_object(given, GridFields, field="options")
        options = grid_options(fields.question, fields.top, field="options.question")
        return Task(kind, (grid_image(body.image, limits),), options, body.threshold)
    return Task(
        kind, (image_bytes(body.image, limits),), _simple_options(kind, given, limits), body.threshold
    )


def _simple_options(
    kind: Kind, given: Mapping[str, object], limits: ImageLimits
) -> ArithmeticOptions | SliderOptions | TextOptions:
    if kind is Kind.SLIDER:
        piece = parse_object(given, SliderFields, field="options").piece
        return SliderOptions(None if piece is None else image_bytes(piece, limits, field="options.piece"))
    if kind is Kind.ARITHMETIC:
        parse_object(given, ArithmeticFields, field="options")
        return ArithmeticOptions()
    return text_options(parse_object(given, TextOptionFields, field="options"), prefix="options.")


def _click_task(
    body: RecognitionRequest, given: Mapping[str, object], limits: ImageLimits, most: int
) -> Task:
    fields = parse_object(given, ClickFields, field="options")
    if body.images and body.image is not None:
        raise InvalidField("images", got="image and images", allowed="one of the two")
    if body.images:
        images = image_list("images", body.images, limits, most)
    elif body.image is not None:
        images = (image_bytes(body.image, limits),)
    else:
        raise InvalidField("images", got="nothing", allowed=f"a list of 1 to {most} pictures in base64")
    anchors = image_list("options.anchors", fields.anchors or [], limits, most)
    return Task(Kind.CLICK, images, click_options(fields.question, anchors), body.threshold)


def recognition(answer: Answer, kind: Kind, type_id: int, receipt: Receipt) -> dict[str, object]:
    """The body of a good answer."""
    bill = {
        "log_id": receipt.log_id,
        "type": type_id,
        "cost": yuan(receipt.cost_micros),
        "balance": yuan(receipt.balance_micros),
        "milliseconds": receipt.duration_ms,
    }
    return {"kind": kind, "answer": answer_fields(answer), "receipt": bill, "trace_id": receipt.trace_id}


def call_fields(call: Call) -> dict[str, object]:
    """A row of the call log."""
    return {
        "log_id": call.log_id,
        "trace_id": call.trace_id,
        "created_at": iso(call.created_ms),
        "key_id": call.key_id,
        "dialect": call.dialect,
        "kind": call.kind,
        "type": call.type_id,
        "outcome": call.outcome,
        "status": call.status,
        "result": call.result,
        "confidence": call.confidence,
        "cost": yuan(call.cost_micros),
        "balance": yuan(call.balance_micros),
        "milliseconds": call.duration_ms,
        "address": call.address,
    }


def type_fields(row: PricedType, is_available: bool) -> dict[str, object]:
    """A row of the price list."""
    return {
        "id": row.id,
        "kind": row.kind,
        "name": row.name_en,
        "name_zh": row.name_zh,
        "price": yuan(row.price_micros),
        "is_available": is_available,
    }


def filter_of(query: Mapping[str, str]) -> CallFilter:
    """Which calls are asked for; raises `InvalidField` for a value that cannot be,
    and for a name that is none."""
    unknown = next((name for name in query if name not in QUERY), None)
    if unknown is not None:
        allowed = ", ".join(sorted(QUERY))
        raise InvalidField(shown(unknown), got="a parameter that is not known", allowed=allowed)
    since, until = query.get("since"), query.get("until")
    kind = _one_of("kind", query.get("kind"), list(Kind))
    return CallFilter(
        from_ms=None if since is None else milliseconds_of("since", since),
        until_ms=None if until is None else milliseconds_of("until", until),
        kind=None if kind is None else Kind(kind),
        outcome=_one_of("outcome", query.get("outcome"), OUTCOMES),
        dialect=_one_of("dialect", query.get("dialect"), DIALECTS),
        key_id=number_of("key_id", query.get("key_id"), most=2**63 - 1),
        log_id=query.get("log_id"),
        trace_id=query.get("trace_id"),
    )


def _one_of(field: str, text: str | None, known: Sequence[str]) -> str | None:
    if text is not None and text not in known:
        raise InvalidField(field, got=shown(text), allowed=", ".join(known))
    return text


def number_of(field: str, text: str | None, *, most: int) -> int | None:
    """A whole number from 1 to `most`; raises `InvalidField`."""
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 20 and 1 <= int(text) <= most):
        raise InvalidField(field, got=shown(text), allowed=f"a whole number from 1 to {most}")
    return int(text)


def answer_fields(answer: Answer) -> dict[str, object]:
    """The answer's own fields, without those that do not apply."""
    return {name: value for name, value in asdict(answer).items() if value is not None and value != ()}


def milliseconds_of(field: str, text: str) -> int:
    """A moment in ISO 8601 (UTC unless it says otherwise) as milliseconds since 1970;
    raises `InvalidField`."""
    try:
        moment = datetime.fromisoformat(text)
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
    except (ValueError, OverflowError):
        allowed = "a moment in ISO 8601, such as 2026-11-21 or 2026-11-21T03:04:05Z"
        raise InvalidField(field, got=shown(text), allowed=allowed) from None
