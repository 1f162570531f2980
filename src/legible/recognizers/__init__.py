"""Which recognizers this installation has, by kind: those whose models are named in `models.toml`."""

from collections.abc import Callable, Collection, Mapping
from importlib import import_module
from typing import NamedTuple

import cv2

from legible.model_store import model_files
from legible.tasks import Answer, Kind, Task

Recognizer = Callable[[Task], Answer]


class Room(NamedTuple):
    """The package of a kind, the models without which it cannot work, and those that it has use for."""

    package: str
    needs: frozenset[str]
    uses: frozenset[str] = frozenset()


ROOMS: Mapping[Kind, Room] = {
    Kind.TEXT: Room("legible.recognizers.text", frozenset({"text"})),
    Kind.ARITHMETIC: Room("legible.recognizers.arithmetic", frozenset({"text"})),
    Kind.SLIDER: Room("legible.recognizers.slider", frozenset({"slider", "slider_edges", "slider_piece"})),
    Kind.GRID: Room("legible.recognizers.grid", frozenset({"grid"}), frozenset({"grid_scene"})),
    Kind.CLICK: Room(
        "legible.recognizers.click",
        frozenset({"click_objects", "click_looks"}),
        frozenset({"click_names", "grid"}),
    ),
}


def available() -> dict[Kind, Recognizer]:
    """The `recognize` of every kind that can be read here."""
    # OpenCV shares out even a small picture among all cores, which costs more CPU than it saves.
    cv2.setNumThreads(0)
    models = model_files().keys()
    return {
        kind: import_module(room.package).recognize for kind, room in ROOMS.items() if room.needs <= models
    }


def models_of(kinds: Collection[Kind]) -> frozenset[str]:
    """The names of the models that these kinds use here."""
    used = frozenset().union(*(ROOMS[kind].needs | ROOMS[kind].uses for kind in kinds))
    return used & model_files().keys()
