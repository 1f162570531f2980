"""Languages of the console: the catalogues, read from `locale/` at start, and which one a visitor gets."""

import io
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from babel import Locale
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import NullTranslations, Translations

LANGUAGES = {"en": "English", "zh_Hans": "中文"}
# Browsers name Chinese in many ways, with script, region or both; we answer all of them in simplified.
SPOKEN = {"en": "en", "zh": "zh_Hans"}
LOCALE_DIR = Path(__file__).parent / "locale"


def mark(message: str) -> str:
    """Marks a sentence for the catalogue; it is translated where it is shown."""
    return message


@cache
def translations(language: str) -> NullTranslations:
    """The catalogue of a language. It is compiled here, so no compiled file can go stale."""
    path = LOCALE_DIR / language / "LC_MESSAGES" / "messages.po"
    if not path.exists():
        return NullTranslations()
    with path.open("rb") as file:
        catalog = read_po(file, locale=language)
    compiled = io.BytesIO()
    write_mo(compiled, catalog)
    compiled.seek(0)
    return Translations(compiled)


@cache
def locale(language: str) -> Locale:
    """Babel's rules for dates and numbers of a language."""
    return Locale.parse(language)


def choose(wanted: Sequence[str | None], accept_language: str) -> str:
    """The first language of `wanted` that we speak, else the browser's, else English."""
    for language in wanted:
        if language in LANGUAGES:
            return str(language)
    return next((SPOKEN[name] for name in _preferred(accept_language) if name in SPOKEN), "en")


def _preferred(accept_language: str) -> list[str]:
    """Those of an Accept-Language header (RFC 9110, 12.5.4), best first, without script or region."""
    ranked = []
    for place, part in enumerate(accept_language[:500].lower().split(",")):
        tag, _, quality = part.partition(";")
        try:
            weight = float(quality.strip().removeprefix("q=") or 1)
        except ValueError:
            weight = 0.0
        if weight > 0:
            ranked.append((-weight, place, tag.strip().partition("-")[0]))
    return [language for _, _, language in sorted(ranked)]
