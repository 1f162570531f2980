"""What the network that names things can answer: its classes, in ImageNet and in the words of our sources."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Class:
    """A table of vocabulary.toml."""

    imagenet: tuple[int, ...]
    near: tuple[int, ...]
    folders: tuple[str, ...]
    words: re.Pattern[str] | None
    unlike: re.Pattern[str] | None
    means: tuple[str, ...]
    unsure: tuple[str, ...]


def _class(name: str, table: Mapping[str, str]) -> Class:
    imagenet, near = (numbers(table.get(key, "")) for key in ("imagenet", "near"))
    patterns = (table.get(key, "").replace("\n", "") for key in ("words", "unlike"))
    words, unlike = (re.compile(pattern) if pattern else None for pattern in patterns)
    means, unsure = (tuple(re.findall(r"[^,]+", table.get(key, ""))) for key in ("wider", "unsure"))
    folders = tuple(table.get("folders", "").split())
    return Class(imagenet, near, folders, words, unlike, (name, *means), unsure)


def numbers(ranges: str) -> tuple[int, ...]:
    numbers: list[int] = []
    for part in ranges.split():
        first, _, last = part.partition("-")
        numbers += range(int(first), int(last or first) + 1)
    return tuple(numbers)


_TABLES = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
CLASSES: Mapping[str, Class] = {name: _class(name, table) for name, table in _TABLES.items()}
# The class that is everything else; it comes last.
NONE = "none"
NAMES = (*CLASSES, NONE)


def class_of(name: str, source: str) -> str | None:
    """The class that a name of sources.py means; None for any other thing, or where several would fit."""
    last = re.sub(r" (?:mirror|cartoon|photo|outline|\d+)$", "", name.rsplit(" / ", 1)[-1])
    found = [each for each, known in CLASSES.items() if _means(last, known, whole=source != "openclipart")]
    return found[0] if len(found) == 1 else None


def _means(words: str, known: Class, *, whole: bool) -> bool:
    """Clip art has its author's name behind that of the thing."""
    if known.words is None or known.words.fullmatch(words):
        return known.words is not None
    if known.unlike is not None and known.unlike.search(words):
        return False
    singular = re.sub(r"s\b", "", words, count=1)
    if whole:
        return known.words.fullmatch(singular) is not None
    found = known.words.match(words) or known.words.match(singular)
    return found is not None and not found.string[found.end() : found.end() + 1].strip()
