"""Sliders: where is the gap? In one image a small network sees it; with the piece beside it, the piece is
matched."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from legible import images
from legible.errors import InvalidImage, RecognitionFailed
from legible.images import Picture
from legible.recognizers.slider.compare import changed, without_piece
from legible.recognizers.slider.decode import decode, decode_changed, decode_places, found
from legible.recognizers.slider.match import match
from legible.recognizers.slider.model import closer, finder, ranker
from legible.recognizers.slider.preprocess import Piece, piece, preprocess
from legible.recognizers.slider.refine import refined
from legible.tasks import SliderAnswer, SliderOptions, Task

# A picture of which more is transparent holds a piece, not a background; less is enough where more than half
# of its edge is transparent too, as around a piece that touches all four sides.
MOSTLY_TRANSPARENT, AT_THE_EDGE = 0.4, 0.15
# Sides of the smallest background and piece in which anything can be told.
LEAST_BACKGROUND, LEAST_PIECE = 32, 8
# A piece is at most so wide, as a share of its background; those of real sliders are a third at most.
MOST_ACROSS = 0.5
# As large as the background and hardly anything transparent, as at round corners: it is the whole photo and
# no piece.
OPAQUE, MOSTLY_OPAQUE = 250, 0.95
# A reading of the piece that is so sure is the last.
SURE = 0.95
# Grey levels by which a shadow on the paper around a piece may differ from it.
FLATTENED = 70
# Mean difference, in grey levels, under which two pictures are the same one saved twice.
SAME = 3.0


def recognize(task: Task) -> SliderAnswer:
    """The gap's box in pixels of the task's image; `piece_x` is the left edge of the piece where it is seen.

    Raises `InvalidImage` for pictures that cannot be a background and its piece, `RecognitionFailed` under
    the threshold.
    """
    background = images.decode(task.images[0], task.limits)
    _check_background(background)
    data = task.options.piece if isinstance(task.options, SliderOptions) else None
    if data is None:
        return _one(background, task.threshold)
    picture = images.decode(data, task.limits, field="piece")
    whole = _whole_photo(background, picture)
    if whole is not None:
        return _whole(background, whole, task.threshold)
    return _two(background, picture, task.threshold)


def _one(background: Picture, threshold: float | None) -> SliderAnswer:
    canvas, network = preprocess(background.rgb), finder()
    seen = refined(found(network.maps(canvas.tensor), canvas), canvas, closer())
    return decode(seen, canvas, network.calibration, threshold)


def _whole_photo(background: Picture, picture: Picture) -> NDArray[np.uint8] | None:
    """The photo without its gap, if the second picture is that: where it is transparent, the background."""
    if picture.rgb.shape != background.rgb.shape:
        return None
    if picture.alpha is None:
        return picture.rgb
    opaque = picture.alpha >= OPAQUE
    if opaque.mean() < MOSTLY_OPAQUE:
        return None
    return np.where(opaque[..., None], picture.rgb, background.rgb)


def _whole(background: Picture, photo: NDArray[np.uint8], threshold: float | None) -> SliderAnswer:
    places = changed(background.rgb, photo)
    if not places and np.abs(background.rgb.astype(np.int16) - photo).mean() < SAME:
        raise InvalidImage(
            "piece",
            got="the same picture as the background",
            allowed="the picture of the piece, or the photo without its gap",
        )
    limit = ranker().calibration.threshold if threshold is None else threshold
    return decode_changed(*without_piece(background.rgb, photo, places), limit)


def _two(background: Picture, picture: Picture, threshold: float | None) -> SliderAnswer:
    """The surest of all readings of the piece; one in its own rows is doubted half as much as another."""
    found: list[tuple[float, SliderAnswer]] = []
    for part, rows_agree in _readings(background, picture):
        try:
            answer = _matched(background, part, rows_agree, threshold)
        except RecognitionFailed as refusal:
            refused = refusal
            continue
        found.append(((1 - answer.confidence) / (2 if rows_agree else 1), answer))
        if answer.confidence >= SURE:
            break
    if not found:
        raise refused
    return min(found, key=lambda each: each[0])[1]


def _readings(background: Picture, picture: Picture) -> Iterator[tuple[Piece, bool]]:
    """What may be the piece, and whether it is to be looked for in its own rows alone."""
    tight = _checked_piece(background, picture)
    # Pictures of one height by chance: the piece may belong to other rows than its own.
    rows = (True, False) if picture.rgb.shape[0] == background.rgb.shape[0] else (False,)
    for rows_agree in rows:
        yield tight, rows_agree
    loose = piece(picture.rgb, picture.alpha, FLATTENED)
    # Of a picture that was flattened, a shadow that was around the piece is not.
    if loose is None or loose.mask.shape == tight.mask.shape or min(loose.mask.shape) < LEAST_PIECE:
        return
    if all(side <= whole for side, whole in zip(loose.mask.shape, tight.mask.shape, strict=True)):
        for rows_agree in rows:
            yield loose, rows_agree


def _matched(background: Picture, part: Piece, rows_agree: bool, threshold: float | None) -> SliderAnswer:
    network = ranker()
    places = match(background.rgb, part, rows_agree)
    return decode_places(places, network.scores(places.features), part, network.calibration, threshold)


def _check_background(background: Picture) -> None:
    height, width = background.rgb.shape[:2]
    if min(width, height) < LEAST_BACKGROUND:
        raise InvalidImage(
            "image",
            got=f"a picture of {width}x{height} pixels",
            allowed=f"a background with sides of at least {LEAST_BACKGROUND} pixels",
        )
    if background.alpha is not None and _holds_a_piece(background.alpha < 128):
        raise InvalidImage(
            "image",
            got="a picture that is partly transparent, like a piece without its background",
            allowed="the background with the gap; the piece is a picture of its own",
        )


def _holds_a_piece(clear: NDArray[np.bool_]) -> bool:
    """Whether the transparent pixels of a (H, W) picture are those around a piece."""
    share = float(clear.mean())
    edge = np.concatenate([clear[0], clear[-1], clear[:, 0], clear[:, -1]])
    return share > MOSTLY_TRANSPARENT or (share > AT_THE_EDGE and float(edge.mean()) > 0.5)


def _checked_piece(background: Picture, picture: Picture) -> Piece:
    height, width = background.rgb.shape[:2]
    part = piece(picture.rgb, picture.alpha)
    if part is None:
        raise InvalidImage(
            "piece", got="a picture in which nothing can be seen", allowed="the picture of the piece"
        )
    down, across = part.mask.shape
    if min(across, down) < LEAST_PIECE:
        raise InvalidImage(
            "piece",
            got=f"a piece of {across}x{down} pixels",
            allowed=f"a piece with sides of at least {LEAST_PIECE} pixels",
        )
    if down > height or across > MOST_ACROSS * width:
        raise InvalidImage(
            "piece",
            got=f"a piece of {across}x{down} pixels for a background of {width}x{height}",
            allowed="a piece at most as high and half as wide as the background",
        )
    return part
