"""A picture with the answer drawn on it, to see at a glance what a recognizer saw."""

import math
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw

from legible import images
from legible.cli.common import Failure
from legible.tasks import Answer, ArithmeticAnswer, ClickAnswer, GridAnswer, SliderAnswer, TextAnswer

COLOUR = (255, 0, 80)
LINE_PX = 3
CROSS_PX = 12
MARGIN_PX = 6
PAPER, INK = (255, 255, 255), (60, 60, 60)


def draw(encoded: Sequence[bytes], answer: Answer, path: Path) -> None:
    """Writes the picture to `path`, in its format by name; several as one, in rows. Raises `Failure` for an
    answer without place."""
    if isinstance(answer, TextAnswer | ArithmeticAnswer):
        raise Failure("--output: this answer has no place in the picture; leave the option out.")
    try:
        drawn(encoded, answer).save(path)
    except (OSError, ValueError) as error:
        raise Failure(f"--output: cannot write {path} ({error}).") from None


def drawn(encoded: Sequence[bytes], answer: Answer | None) -> Image.Image:
    """The picture in RGB, with the answer on it where it has a place; several as tiles of one."""
    picture = _in_rows([Image.fromarray(images.decode(each).rgb) for each in encoded])
    pen = ImageDraw.Draw(picture)
    match answer:
        case SliderAnswer(box=(x, y, width, height)):
            pen.rectangle((x, y, x + width - 1, y + height - 1), outline=COLOUR, width=LINE_PX)
        case GridAnswer(objects=tiles, confidences=confidences):
            _tiles(pen, picture.size, tiles, confidences)
        case ClickAnswer(objects=fits, confidences=confidences) if fits:
            chosen = tuple(place for place, each in enumerate(fits) if each)
            _tiles(pen, picture.size, chosen, confidences)
        case ClickAnswer(point=tuple() as point, points=points):
            for x, y in points or (point,):
                pen.line((x - CROSS_PX, y, x + CROSS_PX, y), fill=COLOUR, width=LINE_PX)
                pen.line((x, y - CROSS_PX, x, y + CROSS_PX), fill=COLOUR, width=LINE_PX)
    return picture


def _in_rows(pictures: Sequence[Image.Image]) -> Image.Image:
    width, height = size = pictures[0].size
    across, down = _shape(len(pictures))
    whole = Image.new("RGB", (across * width, down * height), PAPER)
    for place, picture in enumerate(pictures):
        whole.paste(picture.resize(size), (place % across * width, place // across * height))
    return whole


def _shape(count: int) -> tuple[int, int]:
    """So many tiles a row, and rows: as square as can be."""
    across = math.isqrt(count - 1) + 1
    return across, -(-count // across)


def _tiles(
    pen: ImageDraw.ImageDraw, size: tuple[int, int], tiles: tuple[int, ...], confidences: tuple[float, ...]
) -> None:
    """A frame around each tile that was chosen, and in the corner of every tile how sure it is."""
    across, down = _shape(len(confidences))
    width, height = size[0] / across, size[1] / down
    for tile, confidence in enumerate(confidences):
        x, y = tile % across * width, tile // across * height
        if tile in tiles:
            pen.rectangle((x, y, x + width - 1, y + height - 1), outline=COLOUR, width=LINE_PX)
        words = f"{confidence:.0%}"
        box = pen.textbbox((x + MARGIN_PX, y + MARGIN_PX), words)
        pen.rectangle((box[0] - 1, box[1] - 1, box[2] + 1, box[3] + 1), fill=PAPER)
        pen.text((x + MARGIN_PX, y + MARGIN_PX), words, fill=COLOUR if tile in tiles else INK)
