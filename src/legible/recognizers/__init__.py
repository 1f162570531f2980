"""Which recognizers this installation has, by kind: those whose models are named in `models.toml`."""

from collections.abc import Callable, Collection, Mapping
from importlib import import_module

import cv2

from legible.model_store import model_files
from legible.tasks import Answer, Kind, Task

Recognizer = Callable[[Task], Answer]

# The room of each kind, and the models without which it cannot work.
ROOMS: Mapping[Kind, tuple[str, frozenset[str]]] = {
    Kind.TEXT: ("legible.recognizers.text", frozenset({"text"})),
    Kind.ARITHMETIC: ("legible.recognizers.arithmetic", frozenset({"text"})),
    Kind.SLIDER: ("legible.recognizers.slider", frozenset({"slider", "slider_edges", "slider_piece"})),
    Kind.GRID: ("legible.recognizers.grid", frozenset({"grid"})),
    Kind.CLICK: ("legible.recognizers.click", frozenset({"click_objects", "click_looks"})),
}


def available() -> dict[Kind, Recognizer]:
    """The `recognize` of every kind that can be read here."""
    # OpenCV shares out even a small picture among all cores, which costs more CPU than it saves.
    cv2.setNumThreads(0)
    models = model_files().keys()
    return {kind: import_module(room).recognize for kind, (room, needs) in ROOMS.items() if needs <= models}


def models_of(kinds: Collection[Kind]) -> frozenset[str]:
    """The names of the models that these kinds need."""
    return frozenset().union(*(ROOMS[kind][1] for kind in kinds))
