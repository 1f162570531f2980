"""Image grids: which tiles show the object? One tile, 3x3 tiles of their own, or one scene cut in 4x4
cells."""

from legible import images
from legible.errors import InvalidField
from legible.recognizers.grid.decode import decode
from legible.recognizers.grid.labels import known_labels, label_of
from legible.recognizers.grid.model import likelihoods, scene_likelihoods
from legible.recognizers.grid.preprocess import SCENE, across, check_not_plain, scene_tensor, tensor, tiles
from legible.tasks import GridAnswer, GridOptions, Task


def recognize(task: Task) -> GridAnswer:
    """The tiles that show what is asked for. `task.threshold` is that of a tile (0-1), None the likeliest set
    of tiles.

    Raises `InvalidImage` for a picture that is not 100x100, 300x300 or 450x450, `InvalidField` for an unknown
    question,
    and `RecognitionFailed` for a picture of one colour, or when the likeliest set is too unsure.
    """
    label, top = _asked(task)
    rgb = images.decode(task.images[0], task.limits).rgb
    count = across(rgb)
    check_not_plain(rgb)
    if count == SCENE:
        evidence = scene_likelihoods(scene_tensor(rgb), label)
    else:
        evidence = likelihoods(tensor(tiles(rgb, count)), label)
    return decode(evidence, label, rgb.shape[0], task.threshold, top)


def _asked(task: Task) -> tuple[str, int | None]:
    if not isinstance(task.options, GridOptions):
        raise TypeError(f"a grid needs GridOptions, not {type(task.options).__name__}")
    label = label_of(task.options.question)
    if label is None:
        raise InvalidField("question", got=repr(task.options.question[:80]), allowed=known_labels())
    return label, task.options.top
