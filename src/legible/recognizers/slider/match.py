"""Two images: the places in the background where the piece may belong, and what speaks for each of them."""

from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from legible.recognizers.slider.preprocess import Piece

Floats = NDArray[np.floating[Any]]
Pixels = NDArray[np.uint8]
Places = NDArray[np.int64]

# Pictures with more pixels than this are matched at a smaller size, as long as the piece keeps SMALLEST
# pixels a side.
MAX_AREA: Final = 90_000
SMALLEST: Final = 24
# However small the piece is, no picture is matched at more pixels than this: it would take seconds.
HARD_AREA: Final = 1_000_000
# A gradient (grey levels a pixel) of this size counts half.
SOFT: Final = 12.0
# Places taken from the outline and from the content, and how far apart they are at half size, in pixels.
BY_OUTLINE, BY_CONTENT, APART = 8, 4, 3
# Rows above and below the piece's own row in which its gap is looked for, when the rows of both pictures
# agree.
BAND: Final = 5
# Points of the outline and of the inside that are looked at, and how far from the outline "inside" and
# "outside" are.
OUTLINE_POINTS, INNER_POINTS, BESIDE = 128, 200, 3
# Room around the background, so that a piece at its edge has an outside.
MARGIN: Final = 8
# A place is moved by up to this many pixels to where the outline fits best.
REACH: Final = 2
SECTORS: Final = 8


@dataclass(frozen=True, slots=True)
class Match:
    """`boxes` (N, 4): x y w h in pixels of the background that was sent. `features` (N, F): what the ranker
    reads."""

    boxes: Places
    features: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Outline:
    """Points on the edge of a mask, in its pixels: `x`, `y` (K,) integers and outward normals `nx`, `ny`
    (K,)."""

    x: Places
    y: Places
    nx: Floats
    ny: Floats
    sector: Places


def match(background: Pixels, piece: Piece, rows_agree: bool) -> Match:
    """Up to twelve places of the piece in the (H, W, 3) background, best outline first; none if too large.

    `rows_agree`: the gap is in the rows of the background in which the piece is in its own picture.
    """
    size = background.shape[1], background.shape[0]
    background, piece = _smaller(background, piece)
    if piece.mask.shape[0] > background.shape[0] or piece.mask.shape[1] > background.shape[1]:
        return Match(np.zeros((0, 4), np.int64), np.zeros((0, 0), np.float32))
    padded = _framed(background, cv2.BORDER_REPLICATE)
    grey = np.asarray(cv2.cvtColor(padded, cv2.COLOR_RGB2GRAY), np.uint8)
    field = _field(grey)
    slope = _slope(piece.mask)
    band = (piece.y - BAND, piece.y + BAND) if rows_agree else (0, background.shape[0])
    outline = _outline(*slope)
    places = _proposals(field, grey, slope, piece, band)
    places, fit = _refined(field, outline, places, (background.shape[1], background.shape[0]), piece)
    features = np.concatenate([fit, _content(padded, piece, outline, places)], 1)
    rows = (places[:, 1] - piece.y) / BAND if rows_agree else np.zeros(len(places))
    sizes = np.full(len(places), max(piece.mask.shape) / background.shape[1])
    own = np.full(len(places), float(piece.outlined))
    features = np.concatenate(
        [features, np.stack([rows, np.full(len(places), rows_agree), sizes, own], 1)], 1
    )
    # Not the scale that was wanted: sides are whole numbers.
    scale = np.array(size) / background.shape[1::-1]
    return Match(_boxes(places, piece, scale, size), _relative(features).astype(np.float32))


def _smaller(background: Pixels, piece: Piece) -> tuple[Pixels, Piece]:
    """Both pictures at the size they are matched at."""
    height, width = background.shape[:2]
    scale = min((width * height / MAX_AREA) ** 0.5, min(piece.mask.shape) / SMALLEST)
    scale = max(scale, (width * height / HARD_AREA) ** 0.5)
    if scale <= 1.2:
        return background, piece
    small = cv2.resize(
        background, (round(width / scale), round(height / scale)), interpolation=cv2.INTER_AREA
    )
    size = max(1, round(piece.mask.shape[1] / scale)), max(1, round(piece.mask.shape[0] / scale))
    rgb = np.asarray(cv2.resize(piece.rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
    mask = (cv2.resize(piece.mask * 255, size, interpolation=cv2.INTER_AREA) > 127).astype(np.uint8)
    mask = mask if mask.any() else np.ones_like(mask)
    shrunk = Piece(
        rgb, mask, round(piece.x / scale), round(piece.y / scale), round(piece.height / scale), piece.outlined
    )
    return small, shrunk  # type: ignore[return-value]


def _boxes(places: Places, piece: Piece, scale: NDArray[np.float64], size: tuple[int, int]) -> Places:
    """Corners and sizes in pixels of the background that was sent, which is `size` wide and high, `scale`
    (x, y) times as large as the one that was matched."""
    height, width = piece.mask.shape
    first = np.rint(places * scale)
    last = np.minimum(np.rint((places + np.array([width, height])) * scale), size)
    return np.concatenate([first, last - first], 1).astype(np.int64)


def _gradients(grey: Pixels | Floats, per_level: float) -> tuple[Floats, Floats]:
    """Central differences a pixel, in units of `per_level`, a little smoothed along the other axis."""
    scale = 1 / (8 * per_level)
    dx = cv2.Sobel(grey, cv2.CV_32F, 1, 0, scale=scale, borderType=cv2.BORDER_REPLICATE)
    dy = cv2.Sobel(grey, cv2.CV_32F, 0, 1, scale=scale, borderType=cv2.BORDER_REPLICATE)
    return dx, dy  # type: ignore[return-value]


def _field(grey: Pixels) -> Floats:
    """(2, H, W): the direction of the gradient at each pixel, its length between 0 and 1 by strength."""
    field = np.stack(_gradients(grey, SOFT))
    strength = field[0] * field[0]
    strength += field[1] * field[1]
    strength += 1
    field /= cv2.sqrt(strength)
    return field


def _framed(picture: Pixels, border: int) -> Pixels:
    """With MARGIN pixels more on each side: zeros, or what OpenCV's `border` says."""
    return cv2.copyMakeBorder(picture, MARGIN, MARGIN, MARGIN, MARGIN, border).astype(np.uint8, copy=False)


def _slope(mask: Pixels) -> tuple[Floats, Floats]:
    """The gradient of a mask with a margin around it, a little smoothed."""
    soft = cv2.GaussianBlur(_framed(mask, cv2.BORDER_CONSTANT).astype(np.float32), (0, 0), 0.8)
    return _gradients(soft, 1)  # type: ignore[arg-type]


def _outline(dx: Floats, dy: Floats) -> Outline:
    size = np.sqrt(dx * dx + dy * dy)
    y, x = np.nonzero(size > 0.6 * size.max())
    angle = np.arctan2(y - (size.shape[0] - 1) / 2, x - (size.shape[1] - 1) / 2)
    order = np.argsort(angle)
    order = order[np.linspace(0, len(order) - 1, min(OUTLINE_POINTS, len(order))).astype(np.int64)]
    y, x, angle = y[order], x[order], angle[order]
    length = np.maximum(size[y, x], 1e-6)
    sector = np.minimum((angle + np.pi) / (2 * np.pi) * SECTORS, SECTORS - 1).astype(np.int64)
    return Outline(x, y, -dx[y, x] / length, -dy[y, x] / length, sector)


def _proposals(
    field: Floats, grey: Pixels, slope: tuple[Floats, Floats], piece: Piece, band: tuple[int, int]
) -> Places:
    """(N, 2) x y of the mask's own box in the background, found at half size."""
    across, signed = (
        _halved([field[0] ** 2, field[0] * field[1], field[1] ** 2]),
        _halved([field[0], field[1]]),
    )
    nx, ny = slope
    size = cv2.sqrt(nx * nx + ny * ny)
    unit = np.maximum(size, 1e-6)
    across_pattern = _halved([nx * nx / unit, 2 * nx * ny / unit, ny * ny / unit])
    signed_pattern = _halved([nx, ny])
    # Only the rows that the band allows.
    height = across_pattern.shape[0]
    first = min(max(0, band[0] // 2), across.shape[0] - height)
    rows = slice(first, max(first + height, band[1] // 2 + 1 + height))
    scores = cv2.matchTemplate(across[rows], across_pattern, cv2.TM_CCORR)
    scores = scores + 0.7 * np.abs(cv2.matchTemplate(signed[rows], signed_pattern, cv2.TM_CCORR))
    content = _content_map(grey, piece, first, min(rows.stop, across.shape[0]) - first)
    found = _peaks(np.asarray(scores, np.float32), BY_OUTLINE) + _peaks(content, BY_CONTENT)
    return np.unique(np.array([(2 * x, 2 * (y + first)) for x, y in found], np.int64).reshape(-1, 2), axis=0)


def _halved(channels: list[Floats]) -> Floats:
    """(H, W) maps as one (H / 2, W / 2, C) array, each value the mean of four."""
    height, width = channels[0].shape[0] // 2, channels[0].shape[1] // 2
    small = [
        cv2.resize(c[: 2 * height, : 2 * width], (width, height), interpolation=cv2.INTER_AREA)
        for c in channels
    ]
    return cv2.merge(small)  # type: ignore[return-value]


def _content_map(grey: Pixels, piece: Piece, first: int, rows: int) -> Floats:
    """Correlation of the piece's middle with the background at half size, on the grid of the outline's
    map."""
    height, width = piece.mask.shape
    top, left = height // 4, width // 4
    middle = cv2.cvtColor(piece.rgb[top : height - top, left : width - left], cv2.COLOR_RGB2GRAY)
    small = cv2.resize(
        middle, (max(2, middle.shape[1] // 2), max(2, middle.shape[0] // 2)), interpolation=cv2.INTER_AREA
    )
    half = cv2.resize(grey, (grey.shape[1] // 2, grey.shape[0] // 2), interpolation=cv2.INTER_AREA)
    shift_y, shift_x = (MARGIN + top) // 2, (MARGIN + left) // 2
    part = half[first + shift_y : first + rows - shift_y + 1, shift_x : half.shape[1] - shift_x + 1]
    if part.shape[0] < small.shape[0] or part.shape[1] < small.shape[1]:
        return np.zeros((0, 0), np.float32)
    found = cv2.matchTemplate(part, small, cv2.TM_CCOEFF_NORMED)
    return np.asarray(np.nan_to_num(found, posinf=0, neginf=0), np.float32)


def _peaks(scores: Floats, count: int) -> list[tuple[int, int]]:
    """x y of the highest scores, none within APART of a higher one. Spoils `scores`."""
    found = []
    for _ in range(count if scores.size else 0):
        _, best, _, (x, y) = cv2.minMaxLoc(scores)
        if best <= -1:
            break
        found.append((x, y))
        scores[max(0, y - APART) : y + APART + 1, max(0, x - APART) : x + APART + 1] = -2
    return found


def _refined(
    field: Floats, outline: Outline, places: Places, size: tuple[int, int], piece: Piece
) -> tuple[Places, Floats]:
    """Each place at the pixel around it where the outline fits best, without doubles, and how well it fits
    there."""
    limit = np.array([size[0] - piece.mask.shape[1], size[1] - piece.mask.shape[0]])
    reach = np.arange(-REACH, REACH + 1)
    shifts = np.stack(np.meshgrid(reach, reach), -1).reshape(-1, 2)
    around = np.clip(places[:, None] + shifts, 0, limit)
    along = _along(field, outline, around)
    scores = _squares(along) + 0.7 * np.abs(along.mean(2))
    best = around[np.arange(len(places)), scores.argmax(1)]
    order = np.argsort(-scores.max(1), kind="stable")
    near = np.abs(best[:, None] - best).max(2) <= 2
    kept: list[int] = []
    for index in order.tolist():
        if not near[index, kept].any():
            kept.append(index)
    places = best[kept]
    along = _along(field, outline, places)
    squared = along * along
    # A sector of an odd piece may hold no point of its outline: then it counts as any other.
    member = (outline.sector[:, None] == np.arange(SECTORS)).astype(np.float32)
    member[:, member.sum(0) == 0] = 1
    sectors = squared @ (member / member.sum(0))
    sectors.sort(axis=1)
    signed = along.mean(1)
    fit = [
        squared.mean(1),
        np.abs(signed),
        signed,
        *sectors[:, :3].T,
        (squared > 0.15).mean(1),
    ]
    return places, np.stack(fit, 1).astype(np.float32)


def _squares(values: Floats) -> Floats:
    """(...): the mean square over the last axis of (..., K)."""
    squares: Floats = np.einsum("...k,...k->...", values, values) / values.shape[-1]
    return squares


def _along(field: Floats, outline: Outline, places: Places) -> Floats:
    """(..., K): the gradient along the outward normal at each point of the outline, between -1 and 1."""
    width = field.shape[2]
    index = (places[..., 1] * width + places[..., 0])[..., None] + (outline.y * width + outline.x)
    along = field[0].ravel().take(index) * outline.nx + field[1].ravel().take(index) * outline.ny
    return np.asarray(along, np.float32)


def _content(padded: Pixels, piece: Piece, outline: Outline, places: Places) -> Floats:
    """(N, 18): how the piece's content agrees with the background inside the outline and just outside of
    it."""
    shape = piece.mask.shape
    points = [
        _inner(piece.mask, BESIDE),
        # Sites paint broad rims on their pieces: the core is content only.
        _inner(piece.mask, min(shape) // 5),
        _moved(outline, BESIDE, shape, MARGIN),
        _moved(outline, -BESIDE, shape, 0),
    ]
    there = _colours(padded, places, *np.concatenate(points, 1))
    inside, core, outer, inner = np.split(there, np.cumsum([len(x) for x, _ in points])[:-1], 2)
    own = [piece.rgb[y, x].T.astype(np.float32)[:, None] / 255 for x, y in (points[0], points[1], points[3])]
    agreement = [
        _agreement(inside, own[0]),
        _agreement(core, own[1])[:, :3],
        _agreement(outer, own[2])[:, [0, 3, 4]],
        _step(inner, outer),
    ]
    return np.concatenate(agreement, 1).astype(np.float32)


def _colours(padded: Pixels, places: Places, x: Places, y: Places) -> Floats:
    """(3, N, K) in 0..1: the background at the points x, y (K,) of a piece at each place."""
    width = padded.shape[1]
    index = ((places[:, 1] + MARGIN) * width + places[:, 0] + MARGIN)[:, None] + (y * width + x)
    colours: Floats = padded.reshape(-1, 3).take(index, 0).transpose(2, 0, 1).astype(np.float32, "C")
    colours /= 255
    return colours


def _inner(mask: Pixels, distance: int) -> tuple[Places, Places]:
    """Points of a mask at least `distance` pixels from its outline, evenly taken; any if there are none."""
    kernel = np.ones((2 * distance + 1, 2 * distance + 1), np.uint8)
    inside = cv2.erode(mask, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    y, x = np.nonzero(inside if inside.any() else mask)
    take = np.linspace(0, len(y) - 1, min(INNER_POINTS, len(y))).astype(np.int64)
    return x[take], y[take]


def _moved(outline: Outline, distance: float, shape: tuple[int, ...], room: int) -> tuple[Places, Places]:
    """The points of the outline, moved along their normals, in pixels of the mask, at most `room` outside
    of it."""
    x = np.rint(outline.x + distance * outline.nx).astype(np.int64) - MARGIN
    y = np.rint(outline.y + distance * outline.ny).astype(np.int64) - MARGIN
    return np.clip(x, -room, shape[1] - 1 + room), np.clip(y, -room, shape[0] - 1 + room)


def _agreement(there: Floats, own: Floats) -> Floats:
    """(N, 8) of `there` (3, N, K) and `own` (3, 1, K): correlation, slope, what is left over, distances,
    spreads."""
    a, b = _centred(there), _centred(own)
    count = b.size
    own_variance, variance, both = _mean(b * b), _mean(a * a), _mean(a * b)
    slope = both / (own_variance + 1e-4)
    left = variance - 2 * slope * both + slope * slope * own_variance
    return np.stack(
        [
            both / np.sqrt(variance * own_variance + 1e-3 / count**2),
            np.clip(slope, -2, 2),
            np.sqrt(np.maximum(left, 0)),
            *_distance(there - own),
            np.sqrt(variance),
            np.full(len(variance), np.sqrt(own_variance + 1e-4)),
        ],
        1,
    )


def _step(inner: Floats, outer: Floats) -> Floats:
    """(N, 4) of two sides (3, N, K) of an outline: how far apart they are, and their correlation."""
    a, b = _centred(inner), _centred(outer)
    scale = np.sqrt(_mean(a * a) * _mean(b * b) + 1e-3 / a[:, 0].size ** 2)
    size, middle, signed = _distance(inner - outer)
    return np.stack([size, signed, middle, _mean(a * b) / scale], 1)


def _centred(colours: Floats) -> Floats:
    """Each colour of each place around its own mean over the points."""
    centred: Floats = colours - colours.mean(2, keepdims=True)
    return centred


def _distance(difference: Floats) -> tuple[Floats, Floats, Floats]:
    """(N,) of (3, N, K): mean size, median of the largest of the three, signed mean."""
    size = np.abs(difference)
    return _mean(size), _median(size.max(0)), _mean(difference)


def _mean(values: Floats) -> Floats:
    """(N,) over colours and points of (3, N, K); several times as fast as NumPy's own over two axes."""
    means: Floats = values.sum(0).mean(1) / len(values)
    return means


def _median(values: Floats) -> Floats:
    """(N,) of (N, K); several times as fast as NumPy's own for so few."""
    ordered = np.sort(values, 1)
    middle = ordered.shape[1] // 2
    medians: Floats = (ordered[:, middle] + ordered[:, -1 - middle]) / 2
    return medians


def _relative(features: Floats) -> Floats:
    """(N, 2 F): every feature, and by how much it stays under the best of the other places."""
    if len(features) == 1:
        return np.concatenate([features, features], 1)
    ordered = np.sort(features, 0)
    others = np.where(features == ordered[-1], ordered[-2], ordered[-1])
    return np.concatenate([features, features - others], 1)
