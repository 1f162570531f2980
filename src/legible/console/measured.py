"""The measured numbers that pages may show: the rows of `measured.toml`, each with its command and commit."""

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Row:
    """`kind` is a kind or "service"; `value` has its unit."""

    kind: str
    name_en: str
    name_zh: str
    value: str
    on_en: str
    on_zh: str
    command: str
    commit: str
    machine: str
    headline: bool = False


@cache
def rows() -> tuple[Row, ...]:
    """All of them, in the order of the file."""
    table = tomllib.loads((Path(__file__).parent / "measured.toml").read_text("utf-8"))
    return tuple(Row(**row) for row in table.get("row", []))
