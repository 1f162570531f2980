"""Try it: the page gets what it needs to know and makes the real HTTP call itself, as a program would."""

from fastapi import APIRouter
from fastapi.responses import Response

from legible.console.i18n import mark
from legible.console.kinds import DIALECTS, as_json, offered
from legible.console.web import MemberDep

router = APIRouter(prefix="/console/try")

# What the script says: it gets these in the visitor's language.
WORDS = {
    "running": mark("Running …"),
    "run": mark("Run"),
    "answer": mark("Answer"),
    "refused": mark("Refused"),
    "no_image": mark("Choose a sample, or drop a picture here."),
    "piece_again": mark("A picture of the piece is not kept: add it again."),
    "stays": mark("It stays in this page until you press Run."),
    "no_key": mark("Paste a key first, or take a trial key."),
    "not_image": mark("That is no picture. PNG, JPEG, GIF, BMP and WebP are read."),
    "too_large": mark("That picture is larger than this server accepts."),
    "reload": mark("This page is out of date: load it again. Nothing was called."),
    "offline": mark("The server does not answer. Check your connection and try again."),
    "milliseconds": mark("in the page"),
    "server": mark("on the server"),
    "cost": mark("Cost"),
    "balance": mark("Balance"),
    "gap": mark("gap"),
    "piece": mark("piece"),
    "point": mark("point"),
    "origin": mark("origin"),
    "tiles": mark("tiles"),
    "none": mark("none"),
    "log": mark("Open it in the call log"),
    "confidence": mark("Confidence"),
    "trial": mark("A trial key (one hour, at most ¥0.50)"),
}


@router.get("")
def try_it(visit: MemberDep) -> Response:
    pages = offered(visit.console.engine.kinds)
    wanted = visit.request.query_params.get("kind", "")
    chosen = next((page for page in pages if page.kind.value == wanted), pages[0] if pages else None)
    return visit.page(
        "try.html",
        here="try",
        pages=pages,
        chosen=chosen,
        data={
            "base": visit.base_url,
            "kinds": [as_json(page, visit.translate) for page in pages],
            "kind": chosen.kind.value if chosen else None,
            "dialect": visit.request.query_params.get("dialect", ""),
            "call": visit.request.query_params.get("call", ""),
            "dialects": DIALECTS,
            "words": {name: visit.translate(message) for name, message in WORDS.items()},
            "maxImageBytes": visit.console.settings.max_image_bytes,
            "maxImages": visit.console.settings.max_queries,
        },
    )
