"""What questions say of things without naming them: sets of the labels and classes of the network that names
things, from attributes.toml."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from training.click.vocabulary import CLASSES, NAMES, numbers

# The labels of ImageNet, with one for none of them, come before the rows of our classes.
IMAGENET = 1001
# Levels that are compared: what one of them has, no other may have.
SCALES = ("size", "price")

_TABLES: Mapping[str, Mapping[str, str]] = tomllib.loads(
    Path(__file__).with_suffix(".toml").read_text("utf-8")
)
ATTRIBUTES = tuple(_TABLES)


def rows_of(name: str) -> frozenset[int]:
    """The rows of the head that an attribute means: labels of ImageNet, then classes of ours."""
    table = _TABLES[name]
    rows = set(numbers(table.get("imagenet", "")))
    for each in _listed(table.get("classes", "")):
        rows |= {*CLASSES[each].imagenet, IMAGENET + NAMES.index(each)}
    for other in _listed(table.get("of", "")):
        rows |= rows_of(other)
    for other in _listed(table.get("but", "")):
        rows -= rows_of(other)
    return frozenset(rows)


def members() -> NDArray[np.float32]:
    """(attributes, rows of the head) of 0 and 1."""
    matrix = np.zeros((len(ATTRIBUTES), IMAGENET + len(NAMES)), np.float32)
    for place, name in enumerate(ATTRIBUTES):
        matrix[place, sorted(rows_of(name))] = 1
    for scale in SCALES:
        levels = [place for place, name in enumerate(ATTRIBUTES) if name.startswith(f"{scale} ")]
        twice = np.flatnonzero(matrix[levels].sum(0) > 1)
        if len(twice):
            raise ValueError(f"attributes.toml: rows {twice.tolist()} have more than one {scale}")
    return matrix


def levels() -> dict[str, dict[str, int]]:
    """How large and how dear each class is, of those that have a level."""
    found: dict[str, dict[str, int]] = {scale: {} for scale in SCALES}
    for name in ATTRIBUTES:
        scale, _, level = name.rpartition(" ")
        for row in sorted(rows_of(name)) if scale in SCALES else ():
            if row >= IMAGENET:
                found[scale][NAMES[row - IMAGENET]] = int(level)
    return found


def _listed(words: str) -> list[str]:
    return re.findall(r"[^,\n]+", words)
