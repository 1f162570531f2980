"""Languages of the console: the catalogues, read from `locale/` at start, and which one a visitor gets."""

import io
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from babel import Locale, negotiate_locale
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import NullTranslations, Translations

LANGUAGES = {"en": "English", "zh_Hans": "中文"}
# Browsers name Chinese in many ways; what is not traditional script we answer in simplified.
ALIASES = {"zh": "zh_Hans", "zh_CN": "zh_Hans", "zh_SG": "zh_Hans", "zh_TW": "zh_Hans", "zh_HK": "zh_Hans"}
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
    return negotiate_locale(_preferred(accept_language), list(LANGUAGES), aliases=ALIASES) or "en"


def _preferred(accept_language: str) -> list[str]:
    """The locales of an Accept-Language header, best first, in Babel's spelling."""
    ranked = []
    for place, part in enumerate(accept_language[:500].split(",")):
        name, _, quality = part.strip().partition(";q=")
        try:
            weight = float(quality or 1)
        except ValueError:
            weight = 0.0
        ranked.append((-weight, place, name.replace("-", "_")))
    return [ALIASES.get(name, name) for _, _, name in sorted(ranked) if name]
