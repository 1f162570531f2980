"""Pages for everybody: the landing page with its examples, prices, benchmarks, the guide and llms.txt."""

import time

from fastapi import APIRouter, HTTPException
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from legible.console import demo, guide, measured
from legible.console.attempts import DEMO_BY_ADDRESS
from legible.console.explain import EXPLANATIONS, codes
from legible.console.kinds import KINDS, offered
from legible.console.statistics import ANSWERED
from legible.console.web import Visit, VisitDep
from legible.db.tables import Call
from legible.errors import Refusal
from legible.money import yuan
from legible.recognizers.grid.labels import LABELS
from legible.tasks import Kind

router = APIRouter()

RECENT_CALLS = 1000
LOOKED_AT = 20_000  # calls, of the newest: anybody may ask for the page, and the log may be long
SHOWN_EXAMPLES = 3


@router.get("/")
def landing(visit: VisitDep) -> Response:
    pages = offered(visit.console.engine.kinds)
    examples = [(page, page.samples[0]) for page in pages if page.samples]
    examples += [(page, sample) for page in pages for sample in page.samples[1:]]
    return visit.page(
        "landing.html",
        here="landing",
        pages=pages,
        examples=examples[:SHOWN_EXAMPLES],
        rows=[row for row in measured.rows() if row.headline],
        types=[row for row in visit.console.prices.rows() if row.is_enabled],
        kinds=visit.console.engine.kinds,
        free_quota=visit.console.settings.free_quota_micros,
    )


@router.get("/demo/{file}.json")
async def run_demo(visit: VisitDep, file: str) -> Response:
    """Reads one of our own samples; nobody's key, nobody's money, so only so often."""
    found = demo.find(file)
    if found is None or found[0] not in visit.console.engine.kinds:
        raise HTTPException(404)
    if not visit.console.attempts.allow(DEMO_BY_ADDRESS, visit.address):
        raise HTTPException(429)
    started = time.perf_counter()
    try:
        answer = await visit.console.engine.recognize(demo.task(*found))
    except Refusal as refusal:
        known = EXPLANATIONS.get(refusal.code, EXPLANATIONS["internal_error"])
        refused = {"refused": refusal.code, "cause": visit.translate(known.cause)}
        return JSONResponse(refused, headers={"Cache-Control": "no-store"})
    milliseconds = round((time.perf_counter() - started) * 1000, 1)
    return JSONResponse(
        {"answer": demo.as_json(answer), "milliseconds": milliseconds}, headers={"Cache-Control": "no-store"}
    )


@router.get("/pricing")
def pricing(visit: VisitDep) -> Response:
    types = [row for row in visit.console.prices.rows() if row.is_enabled]
    with visit.console.database.read() as session:
        speeds = {kind: _median_ms(session, kind) for kind in {row.kind for row in types}}
    return visit.page(
        "pricing.html",
        here="pricing",
        sidebar=bool(visit.person),
        types=types,
        pages=KINDS,
        kinds=visit.console.engine.kinds,
        speeds=speeds,
        rows=measured.rows(),
    )


def _median_ms(session: Session, kind: Kind) -> int | None:
    """The median duration of the last answered calls of a kind on this server, whoever made them."""
    newest = session.scalar(select(func.max(Call.id))) or 0
    query = (
        select(Call.duration_ms)
        .where(Call.kind == kind.value, Call.outcome == ANSWERED, Call.id > newest - LOOKED_AT)
        .order_by(Call.id.desc())
        .limit(RECENT_CALLS)
    )
    durations = sorted(session.scalars(query))
    return durations[len(durations) // 2] if durations else None


@router.get("/benchmarks")
def benchmarks(visit: VisitDep) -> Response:
    return visit.page("benchmarks.html", here="benchmarks", rows=measured.rows())


@router.get("/guide")
def guide_start(visit: VisitDep) -> Response:
    return visit.redirect("/guide/quick-start")


@router.get("/guide/{name}")
def guide_page(visit: VisitDep, name: str) -> Response:
    chapter = next((chapter for chapter in guide.CHAPTERS if chapter.name == name), None)
    if chapter is None:
        raise HTTPException(404)
    return visit.page(
        "guide.html",
        here="docs",
        sidebar=False,
        chapter=chapter,
        chapters=guide.CHAPTERS,
        body=guide.page(name, visit.language, _values(visit, visit.language)),
    )


def _values(visit: Visit, language: str) -> dict[str, object]:
    """What the guide's pages may fill in."""
    settings = visit.console.settings
    return {
        "base": visit.base_url,
        "yuan": yuan,
        "types": [row for row in visit.console.prices.rows() if row.is_enabled],
        "kinds": [kind.value for kind in visit.console.engine.kinds],
        "settings": settings,
        "explanations": [(*map(visit.translate, (each.name, each.cause, each.fix)), codes(outcome))
                         for outcome, each in EXPLANATIONS.items()],
        "labels": [(label, names[0], next(name for name in names if not name.isascii()))
                   for label, names in LABELS.items()],
        "chinese": language == "zh_Hans",
    }  # fmt: skip


@router.get("/llms.txt")
def llms(visit: VisitDep) -> Response:
    """The whole guide as one text, for programs that read."""
    values = _values(visit, visit.language)
    chapters = "\n\n".join(guide.text(chapter.name, visit.language, values) for chapter in guide.CHAPTERS)
    return PlainTextResponse(f"{chapters}\n\nOpenAPI: {visit.base_url}/openapi.json\n")
