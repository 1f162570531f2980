"""What every dialect needs where HTTP begins and ends: reading a body within its limit,
and the words common to all."""

import hashlib
import ipaddress
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError, create_model
from starlette.datastructures import Headers
from starlette.requests import Request

from legible.errors import (
    BadRequest,
    BodyTooLarge,
    InsufficientCredit,
    InvalidField,
    RateLimited,
    Refusal,
    Unauthenticated,
    Unavailable,
    WrongContentType,
    WrongMethod,
)
from legible.keys import PREFIX
from legible.money import yuan

M = TypeVar("M", bound=BaseModel)
Row = TypeVar("Row")

# A client that is still writing sees a broken connection instead of our 413, so some of the rest is read and
# dropped.
DRAIN_FACTOR = 4
JSON_TYPE = re.compile(r"(application/([\w.-]+\+)?json|text/json)\s*(;.*)?", re.IGNORECASE)
IDEMPOTENCY_KEY = re.compile(r"[!-~]{1,255}")
SHOWN = 40
A_KEY = re.compile(rf"{PREFIX}[A-Za-z0-9_-]+")
BOM = b"\xef\xbb\xbf"  # some clients write it before UTF-8
OBJECT = re.compile(rb"(\xef\xbb\xbf)?[ \t\r\n]*\{")


@dataclass(frozen=True, slots=True)
class Body:
    """What was sent, or the refusal to take it, kept until the caller is known and it can be logged."""

    data: bytes
    refusal: BadRequest | None = None

    def parse(self, model: type[M]) -> M:
        """Raises `BadRequest` naming the first field that is wrong."""
        if self.refusal is not None:
            raise self.refusal
        try:
            return model.model_validate_json(self.data.removeprefix(BOM))
        except ValidationError as error:
            raise _refusal_of(error, model) from None

    def text_of(self, field: str) -> str | None:
        """A top-level string of the body without the white space around it, and without a look at the rest,
        even of one that is refused; None when there is none."""
        try:
            found = getattr(_only(field).model_validate_json(self.data.removeprefix(BOM)), field)
        except ValidationError:
            return None
        return found.strip() if isinstance(found, str) else None

    def unread(self) -> BadRequest | None:
        """What keeps every field of a body from being read, a key among them; None for an object, and where
        nothing was sent."""
        try:
            _only("object").model_validate_json(self.data.removeprefix(BOM))
        except ValidationError as error:
            if self.refusal is not None:
                return self.refusal
            return _refusal_of(error, BaseModel) if self.data else None
        return None


@cache
def _only(field: str) -> type[BaseModel]:
    """A model of one field: what else is in a body is passed over, and no object is made of it."""
    fields: Any = {field: (Any, None)}
    model: type[BaseModel] = create_model(field, **fields)
    return model


async def read_body(request: Request, limit: int) -> Body:
    """The JSON body of a request, of which no more than `limit` bytes are ever held."""
    refusal = _wrong_type(request.headers)
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit and "expect" in request.headers:
        return Body(b"", BodyTooLarge(limit=limit))  # this client waits for our word before it sends anything
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= limit:
            chunks.append(chunk)
        else:
            chunks.clear()
            if size > limit * DRAIN_FACTOR:
                break
    if size > limit:
        return Body(b"", BodyTooLarge(limit=limit))
    data = b"".join(chunks)
    if isinstance(refusal, WrongContentType) and OBJECT.match(data):
        refusal = None  # curl and PHP call every body a form, and browsers theirs a text
    return Body(data, refusal)


def _wrong_type(headers: Headers) -> BadRequest | None:
    coding = headers.get("content-encoding", "identity")
    if coding.strip().lower() != "identity":
        return InvalidField("content-encoding", got=shown(coding), allowed="a body that is not compressed")
    content_type = headers.get("content-type")
    if content_type is None or JSON_TYPE.fullmatch(content_type.strip()):
        return None
    return WrongContentType(got=shown(content_type))


def parse_object(value: Mapping[str, object], model: type[M], *, field: str) -> M:
    """An object inside a body. Raises `BadRequest` naming the first part of `field` that is wrong."""
    try:
        return model.model_validate_json(json.dumps(value))
    except ValidationError as error:
        raise _refusal_of(error, model, f"{field}.") from None


def _refusal_of(error: ValidationError, model: type[BaseModel], prefix: str = "") -> BadRequest:
    details = error.errors(include_url=False, include_context=False)[0]
    kind, location, value = details["type"], details["loc"], details["input"]
    if kind == "json_invalid":
        return InvalidField(
            "body", got=_broken_json(value, details["msg"]), allowed="one JSON object in UTF-8"
        )
    if not location:
        return InvalidField("body", got=shown(value), allowed="one JSON object in UTF-8")
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{_named(part)}" for part in location)
    got = "nothing" if kind == "missing" else shown(value)
    return InvalidField(prefix + path.removeprefix("."), got=got, allowed=_allowed(model, location))


def _named(part: str) -> str:
    """A field's name; one that a caller made up may be long, or not printable."""
    return part if part.isidentifier() and len(part) <= SHOWN else shown(part)


def _broken_json(value: object, message: str) -> str:
    if value in (b"", ""):
        return "nothing"
    place = re.search(r"at line \d+ column \d+", message)
    return f"text that is not JSON{' (' + place.group() + ')' if place else ''}"


def _allowed(model: type[BaseModel], location: Sequence[int | str]) -> str:
    """The description of a field, the innermost one: it is written so that it reads well after "allowed:"."""
    said = "see the reference page"
    for part in location:
        fields = model.model_fields.items()
        field = next((each for name, each in fields if part in (name, each.alias)), None)
        if field is None:
            break
        said = field.description or said
        if not (isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)):
            break
        model = field.annotation
    return said


def shown(value: object) -> str:
    """A value as a sentence may show it: short, on one line, printable, and without an API key."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value) if abs(value) < 1e15 else "a very large number"
        case str():
            value = A_KEY.sub(f"{PREFIX}...", value)
            text = repr(value[:SHOWN])  # what cannot be printed stays escaped
            return text if len(value) <= SHOWN else f"{text} and {len(value) - SHOWN} more characters"
        case list():
            return f"a list of {len(value)}"
        case _:
            return "an object"


def header(headers: Headers, name: str) -> str | None:
    """The value of a header, without the white space around it (RFC 9110, 5.5)."""
    value = headers.get(name)
    return None if value is None else value.strip(" \t")


def bearer_key(headers: Headers) -> str | None:
    """The key in `Authorization: Bearer <key>`; a bare key without the word is accepted too."""
    value = headers.get("authorization", "").strip()
    scheme, _, rest = value.partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip() or None
    return value if value and not rest else None


def client_address(request: Request) -> str:
    """Who is calling, as an IP address ("" when it cannot be told);
    proxies that are trusted were looked through."""
    return _address(request.client.host) if request.client else ""


@lru_cache(maxsize=1024)
def _address(host: str) -> str:
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return ""


def idempotency_token(headers: Headers) -> str | None:
    """The name a charged reply is kept under; raises `InvalidField` for a header that cannot be one."""
    value = header(headers, "idempotency-key")
    if value is None:
        return None
    if not IDEMPOTENCY_KEY.fullmatch(value):
        raise InvalidField(
            "Idempotency-Key", got=shown(value), allowed="1 to 255 printable ASCII characters without spaces"
        )
    return f"idempotency:{value}"


def fingerprint(path: str, body: bytes) -> bytes:
    """SHA-256 of what was asked, and where, so that one idempotency key cannot mean two things."""
    return hashlib.sha256(path.encode() + b"\n" + body).digest()


def row_of(table: Mapping[type[Refusal], Row], refusal: Refusal) -> Row:
    """The row of the nearest ancestor: a table names a branch of the tree once,
    and its leaves only where they differ."""
    return row_of_type(table, type(refusal))


def row_of_type(table: Mapping[type[Refusal], Row], kind: type[Refusal]) -> Row:
    """The same for a kind of refusal."""
    return next(table[leaf] for leaf in kind.__mro__ if leaf in table)


def refusal_headers(refusal: Refusal) -> dict[str, str]:
    """The headers that go with a refusal, whatever the dialect."""
    match refusal:
        case RateLimited():
            seconds = str(max(1, math.ceil(refusal.retry_after)))
            return {
                "Retry-After": seconds,
                "RateLimit-Limit": str(refusal.limit),
                "RateLimit-Remaining": "0",
                "RateLimit-Reset": seconds,
            }
        case Unauthenticated():
            return {"WWW-Authenticate": "Bearer"}
        case Unavailable():
            return {"Retry-After": "1"}
        case WrongMethod():
            return {"Allow": refusal.allowed}
    return {}


ADVICE: Mapping[str, str] = {
    "missing": "send a key that you made in the console",
    "unknown": "check that the key is whole, or make a new one in the console",
    "revoked": "make a new one in the console",
    "expired": "make a new one in the console",
    "disabled": "enable it in the console, or use another one",
    "account_disabled": "ask the administrator",
    "address": "add this address to the key's allow list, or call from one that is on it",
    "conflicting": "send the key only once",
}


def sentence(refusal: Refusal) -> str:
    """What happened and what to do, in English."""
    match refusal:
        case Unauthenticated():
            return f"{refusal.message}; {ADVICE[refusal.reason]}"
        case InsufficientCredit():
            advice = "raise the key's spend cap" if refusal.spend_cap else "top up the account"
            amounts = f"balance {yuan(refusal.balance)} yuan, price {yuan(refusal.price)} yuan"
            return f"{refusal.message}: {amounts}; {advice} and try again"
    return refusal.message


def to_json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
