"""The call log: filters, one call with its ledger entry, "this was wrong", and files to take away."""

import json
import re
from collections.abc import Iterator
from datetime import date, timedelta
from itertools import chain
from typing import Annotated

from fastapi import APIRouter, HTTPException, Path, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from sqlalchemy import func, select

from legible.calls import CallFilter, CallLog
from legible.clock import now_ms
from legible.console.explain import EXPLANATIONS
from legible.console.formats import moment, parse_whole
from legible.console.kinds import DIALECTS, known
from legible.console.statistics import day_start_ms
from legible.console.web import FormDep, MemberDep, MemberVisit
from legible.db.session import storable
from legible.db.tables import ApiKey, Call, Entry, KeptImage, WrongAnswer
from legible.errors import InvalidField, NotFound
from legible.tasks import Kind

router = APIRouter(prefix="/console/calls")

PAGE_SIZE = 50
EXCEL_MARK = "\ufeff"  # without it, Excel takes the file for one in the code page of its country
LOG_ID = re.compile(r"LOG\d{8,}")
IMAGE_TYPES = {b"\x89PNG": "image/png", b"\xff\xd8": "image/jpeg", b"GIF8": "image/gif", b"BM": "image/bmp"}


def _filter(visit: MemberVisit) -> CallFilter:
    """The filter that the address asks for; what cannot be understood (`_unclear`) is left out. What is no
    log id may be a trace id, or a task's."""
    query = {name: storable(value) for name, value in visit.request.query_params.items()}
    reference = query.get("id", "").strip()[:100]
    is_log_id = LOG_ID.fullmatch(reference.upper()) is not None
    trace_id = None
    if reference and not is_log_id:
        of_task = CallLog(visit.console.database).trace_of_task(visit.person.id, reference)
        trace_id = of_task or reference
    return CallFilter(
        from_ms=_day_ms(visit, query.get("from", "")),
        until_ms=_day_ms(visit, query.get("until", ""), days=1),
        kind=known(query.get("kind", "")),
        outcome=query.get("outcome", "")[:50] or None,
        dialect=query.get("dialect", "")[:20] or None,
        key_id=parse_whole(query.get("key", "")),
        log_id=reference.upper() if is_log_id else None,
        trace_id=trace_id,
        at_least_ms=parse_whole(query.get("slower", "")),
    )


def _day_ms(visit: MemberVisit, text: str, days: int = 0) -> int | None:
    try:
        return day_start_ms(date.fromisoformat(text) + timedelta(days), visit.zone)
    except (ValueError, OverflowError):
        return None


def _unclear(visit: MemberVisit, chosen: CallFilter) -> list[str]:
    """The fields of the filter that hold something which could not be understood."""
    understood = {
        "from": chosen.from_ms,
        "until": chosen.until_ms,
        "kind": chosen.kind,
        "key": chosen.key_id,
        "slower": chosen.at_least_ms,
    }
    return [
        name for name, value in understood.items() if value is None and visit.request.query_params.get(name)
    ]


def _clear_filter(visit: MemberVisit) -> CallFilter:
    """The filter of a file, which has no room to say what was left out. Raises 400."""
    chosen = _filter(visit)
    if _unclear(visit, chosen):
        raise HTTPException(400)
    return chosen


@router.get("")
def call_log(visit: MemberDep, cursor: str | None = None) -> Response:
    chosen = _filter(visit)
    unclear = _unclear(visit, chosen)
    log = CallLog(visit.console.database)
    try:
        page = log.page(visit.person.id, chosen, cursor, PAGE_SIZE)
    except InvalidField:
        raise HTTPException(404) from None
    return visit.page(
        "calls.html",
        here="calls",
        calls=page.calls,
        older=visit.link(cursor=page.next_cursor) if page.next_cursor else None,
        newer=visit.link(cursor=None) if cursor else None,
        is_filtered=chosen != CallFilter() or unclear,
        unclear=unclear,
        values=visit.request.query_params,
        keys=visit.console.keys.list(visit.person.id),
        kinds=list(Kind),
        outcomes=["answered", "refused", "replayed", *EXPLANATIONS],
        dialects=list(DIALECTS),
    )


@router.get(".csv")
def calls_csv(visit: MemberDep) -> Response:
    lines = CallLog(visit.console.database).csv(visit.person.id, _clear_filter(visit))
    return _file(visit, chain([EXCEL_MARK], lines), "text/csv; charset=utf-8", "csv")


@router.get(".json")
def calls_json(visit: MemberDep) -> Response:
    return _file(visit, _json_lines(visit), "application/json", "json")


def _json_lines(visit: MemberVisit) -> Iterator[str]:
    """One JSON array, written call by call."""
    log, chosen, cursor, comma = CallLog(visit.console.database), _clear_filter(visit), None, "[\n"
    while True:
        page = log.page(visit.person.id, chosen, cursor, 500)
        for call in page.calls:
            yield comma + json.dumps(as_json(call), ensure_ascii=False)
            comma = ",\n"
        cursor = page.next_cursor
        if cursor is None:
            yield "[]\n" if comma == "[\n" else "\n]\n"
            return


def _file(visit: MemberVisit, lines: Iterator[str], media_type: str, suffix: str) -> Response:
    """A download. How many rows come is told ahead, so that the page can show how far it is."""
    rows = select(func.count()).where(Call.account_id == visit.person.id, *_clear_filter(visit).conditions())
    with visit.console.database.read() as session:
        total = session.scalar(rows) or 0
    name = f"legible-calls-{moment(now_ms()):%Y%m%d-%H%M%S}.{suffix}"
    headers = {
        "Content-Disposition": f'attachment; filename="{name}"',
        "Cache-Control": "no-store",
        "X-Total-Rows": str(total),
    }
    return StreamingResponse(lines, media_type=media_type, headers=headers)


def as_json(call: Call) -> dict[str, object]:
    """A call as the user may have it."""
    return {
        "log_id": call.log_id,
        "trace_id": call.trace_id,
        "created_at": moment(call.created_ms).isoformat(timespec="milliseconds"),
        "key_id": call.key_id,
        "dialect": call.dialect,
        "kind": call.kind,
        "type_id": call.type_id,
        "outcome": call.outcome,
        "status": call.status,
        "result": call.result,
        "detail": call.detail,
        "confidence": call.confidence,
        "cost_micros": call.cost_micros,
        "balance_micros": call.balance_micros,
        "duration_ms": call.duration_ms,
        "address": call.address,
    }


def _find(visit: MemberVisit, reference: str) -> Call:
    try:
        return CallLog(visit.console.database).find(visit.person.id, reference)
    except NotFound:
        raise HTTPException(404) from None


@router.get("/{reference}.json")
def call_json(visit: MemberDep, reference: str) -> Response:
    """What "Try it" asks after a call: its row, and what is left."""
    call = _find(visit, reference)
    known = EXPLANATIONS.get(call.outcome)
    more = {
        "balance_now_micros": visit.person.balance_micros,
        "cause": visit.translate(known.cause) if known else None,
        "fix": visit.translate(known.fix) if known else None,
    }
    return JSONResponse(as_json(call) | more, headers={"Cache-Control": "no-store"})


@router.get("/{reference}")
def one_call(visit: MemberDep, reference: str) -> Response:
    call = _find(visit, reference)
    with visit.console.database.read() as session:
        key = session.get(ApiKey, call.key_id)
        return visit.page(
            "call.html",
            here="calls",
            call=call,
            key=key,
            entry=session.scalar(select(Entry).where(Entry.call_id == call.id)),
            report=session.scalar(select(WrongAnswer).where(WrongAnswer.call_id == call.id)),
            images=session.scalars(
                select(KeptImage.place).where(KeptImage.call_id == call.id).order_by(KeptImage.place)
            ).all(),
            explanation=EXPLANATIONS.get(call.outcome),
            detail=json.dumps(call.detail, ensure_ascii=False, indent=2) if call.detail else None,
        )


@router.get("/{reference}/images/{place}")
def kept_image(visit: MemberDep, reference: str, place: Annotated[int, Path(ge=0, lt=2**31)]) -> Response:
    call = _find(visit, reference)
    with visit.console.database.read() as session:
        image = session.scalar(
            select(KeptImage.image).where(KeptImage.call_id == call.id, KeptImage.place == place)
        )
    if image is None:
        raise HTTPException(404)
    media_type = next((kind for start, kind in IMAGE_TYPES.items() if image.startswith(start)), "image/webp")
    return Response(image, media_type=media_type, headers={"Cache-Control": "no-store"})


@router.post("/{reference}/wrong")
def report_wrong(visit: MemberDep, form: FormDep, reference: str, request: Request) -> Response:
    call, log = _find(visit, reference), CallLog(visit.console.database)
    if form["withdraw"]:
        log.withdraw_report(call.id)
    else:
        log.report_wrong(call.id, form["expected"])
    return visit.redirect(f"/console/calls/{call.log_id}", "withdrawn" if form["withdraw"] else "reported")
