"""2Captcha's older words, in.php and res.php, as createTask's and back: a form becomes the JSON of a task,
and the JSON of a reply a line of text, or their shorter JSON."""

import asyncio
import base64
import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from pydantic_core import from_json
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import Request as HttpRequest
from starlette.types import Message

from legible.dialects.edge import Body, shown, to_json
from legible.errors import InvalidField, NotOffered, WrongContentType

Fields = Mapping[str, str]

MOST_FIELDS, MOST_FILES = 100, 2
MANY_ESCAPES = 20_000  # take milliseconds to be read: elsewhere than in the event loop
NOT_READY, REPORTED, NOTHING_FITS = "CAPCHA_NOT_READY", "OK_REPORT_RECORDED", "No_matching_images"
ACTIONS = "get, get2, getbalance, reportgood, reportbad"
FORM = "a form (urlencoded or multipart) or one JSON object"
# Their names for our fields of a task, in refusals too.
TEXT = {
    "numeric": "numeric",
    "minLength": "min_len",
    "maxLength": "max_len",
    "phrase": "phrase",
    "case": "regsense",
    "math": "calc",
    "confidence": "confidence",
}
CLICK = {
    "comment": "textinstructions",
    "imgInstructions": "imginstructions",
    "confidence": "confidence",
}
GRID = {
    "comment": "textinstructions",
    "rows": "recaptcharows",
    "columns": "recaptchacols",
    "confidence": "confidence",
}
NAMES = {"body": "body", "clientKey": "key", "taskId": "id"} | TEXT | GRID | CLICK
NO_WORDS = {
    "errorCode": "ERROR_NO_SUCH_CAPCHA_ID",
    "errorDescription": "taskId: got a task that in.php does not make; allowed: ask /getTaskResult for it",
}
FIELD = re.compile(r"(?:task\.)?(\w+)")
WHOLE, SWITCHES = re.compile(r"\d{1,9}"), ("phrase", "case", "math")
# Where they have another word for a refusal, or clients try again only at this one.
CODES = {
    "ERROR_NO_SUCH_CAPCHA_ID": "ERROR_WRONG_CAPTCHA_ID",
    "ERROR_TOO_MUCH_REQUESTS": "ERROR_NO_SLOT_AVAILABLE",
    "ERROR_SERVICE_UNAVALIABLE": "ERROR_NO_SLOT_AVAILABLE",
    "ERROR_TASK_TIMEOUT": "ERROR_CAPTCHA_UNSOLVABLE",
}


async def fields_of(request: HttpRequest, body: Body, most_bytes: int) -> dict[str, str]:
    """The fields of the query and of the body, of which files come in base64. Raises `BadRequest`."""
    fields = dict(request.query_params)
    if body.refusal is not None and not isinstance(body.refusal, WrongContentType):
        raise body.refusal
    content_type = request.headers.get("content-type", "").lower()
    if content_type.startswith("multipart/form-data"):
        return fields | await _parts(request, body.data, most_bytes)
    if "json" in content_type:
        return fields | {name: _plain(value) for name, value in _object(body.data).items()}
    if content_type and not content_type.startswith("application/x-www-form-urlencoded"):
        raise InvalidField("content-type", got=shown(content_type), allowed=FORM)
    return fields | (
        _urlencoded(body.data)
        if body.data.count(b"%") < MANY_ESCAPES
        else await asyncio.to_thread(_urlencoded, body.data)
    )


def _urlencoded(data: bytes) -> dict[str, str]:
    try:
        return dict(parse_qsl(data.decode("utf-8", "replace"), True, max_num_fields=MOST_FIELDS))
    except ValueError:
        raise InvalidField("body", got=f"more than {MOST_FIELDS} fields", allowed=FORM) from None


async def _parts(request: HttpRequest, data: bytes, most_bytes: int) -> dict[str, str]:
    async def once() -> Message:
        return {"type": "http.request", "body": data, "more_body": False}

    form = HttpRequest(request.scope, once).form(
        max_files=MOST_FILES, max_fields=MOST_FIELDS, max_part_size=most_bytes
    )
    try:
        async with form as parts:
            return {
                name: base64.b64encode(await part.read()).decode() if isinstance(part, UploadFile) else part
                for name, part in parts.items()
            }
    except (HTTPException, MultiPartException):
        raise InvalidField("body", got="a multipart form that is broken", allowed=FORM) from None


def _object(data: bytes) -> dict[str, Any]:
    try:
        found = from_json(data or b"{}")  # refuses what is nested too deep
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise InvalidField("body", got="text that is no JSON object", allowed=FORM)
    return found


def _plain(value: object) -> str:
    """A value of JSON as a form would have it."""
    match value:
        case None:
            return ""
        case bool():
            return str(int(value))
    return str(value)


def key_of(fields: Fields) -> str:
    """The key without the white space around it, "" when there is none."""
    return fields.get("key", "").strip()


def wants_json(fields: Fields) -> bool:
    return fields.get("json") == "1"


def task_request(fields: Fields) -> bytes:
    """The body of createTask that asks the same. Raises `NotOffered` and `InvalidField`."""
    method = fields.get("method", "post")
    if method not in ("post", "base64") or _is_on(fields, "canvas"):
        got = shown("canvas" if method in ("post", "base64") else method)
        raise NotOffered(
            f"method: got {got}; allowed: post, base64. This service reads the picture that is in the "
            "request; what needs a browser, a site key, a proxy or a token is not offered, on purpose"
        )
    if fields.get("pingback"):
        raise InvalidField("pingback", got="a URL, which is not called", allowed="nothing: ask res.php")
    if _is_on(fields, "recaptcha") or fields.get("img_type") == "recaptcha":
        task = {"type": "GridTask"} | _renamed(fields, GRID)
    elif _is_on(fields, "coordinatescaptcha"):
        task = {"type": "CoordinatesTask"} | _renamed(fields, CLICK)
    else:
        task = {"type": "ImageToTextTask"} | _renamed(fields, TEXT)
    # A form turns a plus sign that was not written as %2B into a space.
    picture = (fields.get("file") or fields.get("body") or "").replace(" ", "+")
    return to_json({"clientKey": key_of(fields), "softId": 0, "task": task | {"body": picture}})


def _is_on(fields: Fields, name: str) -> bool:
    return fields.get(name) == "1"


def _renamed(fields: Fields, names: Mapping[str, str]) -> dict[str, object]:
    found: dict[str, object] = {}
    for ours, theirs in names.items():
        value = fields.get(theirs, "")
        if value and ours in SWITCHES:
            found[ours] = {"0": False, "1": True}.get(value, value)
        elif value:
            found[ours] = int(value) if WHOLE.fullmatch(value) and ours != "comment" else value
    return found


def asked(fields: Fields) -> bytes:
    """The body of getTaskResult, getBalance or a report that asks the same."""
    return to_json({"clientKey": key_of(fields), "taskId": fields.get("id", "")})


def submitted(reply: bytes, fields: Fields) -> bytes:
    """What in.php says of a reply of createTask."""
    kept = json.loads(reply)
    return _refused(kept, fields) if kept["errorId"] else _said(str(kept["taskId"]), fields)


def solved(reply: bytes, fields: Fields, *, with_price: bool = False) -> bytes:
    """What res.php says of a reply of getTaskResult."""
    kept = json.loads(reply)
    if kept["errorId"]:
        return _refused(kept, fields)
    if kept["status"] != "ready":
        return to_json({"status": 0, "request": NOT_READY}) if wants_json(fields) else NOT_READY.encode()
    solution, price = _solution(kept["solution"]), kept["cost"]
    if solution is None:
        return _refused(NO_WORDS, fields)
    if wants_json(fields):
        return to_json({"status": 1, "request": solution} | ({"price": price} if with_price else {}))
    line = solution if isinstance(solution, str) else _coordinates(solution)
    return _said(f"{line}|{price}" if with_price else line, fields)


def _solution(solution: Mapping[str, Any]) -> str | list[dict[str, str]] | None:
    """None for that of a task which in.php has not."""
    if "coordinates" in solution:
        points = (each if isinstance(each, list) else each.values() for each in solution["coordinates"])
        return [{"x": str(x), "y": str(y)} for x, y in points]
    if "click" in solution:
        tiles = "/".join(map(str, solution["click"]))
        return f"click:{tiles}" if tiles else NOTHING_FITS
    return str(solution["text"]) if "text" in solution else None


def _coordinates(points: list[dict[str, str]]) -> str:
    return "coordinates:" + ";".join(f"x={point['x']},y={point['y']}" for point in points)


def balance(reply: bytes, fields: Fields) -> bytes:
    """What res.php says of a reply of getBalance: the amount alone."""
    kept = json.loads(reply, parse_float=str, parse_int=str)
    if kept["errorId"] != "0":
        return _refused(kept, fields)
    if wants_json(fields):
        return to_json({"status": 1, "request": kept["balance"]})
    return str(kept["balance"]).encode()


def reported(reply: bytes, fields: Fields) -> bytes:
    """What res.php says of a reply to a report."""
    kept = json.loads(reply)
    if kept["errorId"]:
        return _refused(kept, fields)
    return to_json({"status": 1, "request": REPORTED}) if wants_json(fields) else REPORTED.encode()


def _said(text: str, fields: Fields) -> bytes:
    return to_json({"status": 1, "request": text}) if wants_json(fields) else f"OK|{text}".encode()


def _refused(kept: Mapping[str, Any], fields: Fields) -> bytes:
    """The code alone, which is what clients compare; JSON has the sentence too, with their names."""
    code = CODES.get(kept["errorCode"], kept["errorCode"])
    if not wants_json(fields):
        return str(code).encode()
    said = FIELD.sub(lambda match: NAMES.get(match[1], match[0]), kept["errorDescription"], count=1)
    return to_json({"status": 0, "request": code, "error_text": said})
