"""Discs of one size on any background: every edge pixel votes for the centres that it may be the rim of."""

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

RADII = (9, 35)
MOST = 14
FEWEST = 4
# A gradient under this (grey levels a pixel) is no rim, not even of a faded disc.
LEAST_GRADIENT = 4.0
# Blocks have edges along the axes only, a rim in every direction: such edges count this little.
ALONG_AXES = 0.15
# How many times more votes the last disc has than the best place that is none.
CLEAR = 1.3
# A rim is looked for in this many directions. It is there in nearly all of them for a typical disc, and in
# most for
# each: a star, a heart or a block shows less than half a rim.
DIRECTIONS, TYPICAL_RIM, LEAST_RIM = 48, 0.85, 0.6


def find_discs(rgb: NDArray[np.uint8]) -> Floats | None:
    """(n, 3) centre x, y and radius of 4 to 14 discs of one radius, in pixels of `rgb`; None where there
    are none."""
    votes = Votes(rgb)
    low, high = RADII
    radii = range(low, min(high, min(rgb.shape[:2]) // 4) + 1, 2)
    if not radii:
        return None
    # Every second edge pixel is enough to tell the radius by.
    coarse = max(votes.discs(radius, 1.5, every=2) for radius in radii)
    near = range(max(low, coarse[1] - 1), coarse[1] + 2)
    score, radius, clearness, centres = max(votes.discs(radius, 1.0) for radius in near)
    if score <= 0 or clearness < CLEAR:
        return None
    rims = np.array([votes.rim(x, y, radius) for x, y in centres])
    discs = np.array([(x, y, radius) for x, y in centres], np.float32)[rims >= LEAST_RIM]
    return discs if np.median(rims) >= TYPICAL_RIM and len(discs) >= FEWEST else None


class Votes:
    """The edge pixels of a picture, and their votes for centres at a given radius."""

    def __init__(self, rgb: NDArray[np.uint8]) -> None:
        across, down, strength = self.gradient = _gradient(rgb)
        self.shape = strength.shape
        limit = max(LEAST_GRADIENT, float(np.quantile(strength, 0.6)))
        self.y, self.x = (v.astype(np.float32) for v in np.nonzero(strength > limit))
        rows, columns = self.y.astype(np.intp), self.x.astype(np.intp)
        self.across = across[rows, columns] / strength[rows, columns]
        self.down = down[rows, columns] / strength[rows, columns]
        self.weight = np.clip(4 * np.minimum(abs(self.across), abs(self.down)), ALONG_AXES, 1)

    def discs(
        self, radius: int, blur: float, every: int = 1
    ) -> tuple[float, int, float, tuple[tuple[int, int], ...]]:
        """Score, radius, clearness (ratio of the last disc to the best of the rest), and centres (x, y)."""
        field = cv2.GaussianBlur(self._field(radius, every), (0, 0), blur) / radius**0.5
        peaks = _peaks(field, radius)
        # Where many large discs fit, the last of them leave nothing to compare with but the field itself.
        usual = max(float(np.quantile(field[::3, ::3], 0.98)), 1e-3)
        votes = np.maximum([value for value, _ in peaks], usual)
        ratios = votes[FEWEST - 1 : -1] / votes[FEWEST:]
        count = FEWEST + int(ratios.argmax())
        score = float((votes[:count] - votes[count]).sum()) * radius**0.25
        return score, radius, float(ratios.max()), tuple(centre for _, centre in peaks[:count])

    def rim(self, x: float, y: float, radius: int) -> float:
        """The share (0-1) of directions in which an edge crosses the radius, of those that are inside the
        picture."""
        across, down, strength = self.gradient
        turn = np.arange(DIRECTIONS) * 2 * np.pi / DIRECTIONS
        reach = radius + np.arange(-1, 2)[:, None]
        columns, rows = (
            np.rint(v).astype(np.intp) for v in (x + reach * np.cos(turn), y + reach * np.sin(turn))
        )
        inside = (columns >= 0) & (columns < self.shape[1]) & (rows >= 0) & (rows < self.shape[0])
        rows, columns = np.where(inside, rows, 0), np.where(inside, columns, 0)
        outward = abs(across[rows, columns] * np.cos(turn) + down[rows, columns] * np.sin(turn))
        there = (
            inside & (strength[rows, columns] > LEAST_GRADIENT) & (outward > 0.85 * strength[rows, columns])
        )
        return float(there.any(0).sum() / max(1, inside.any(0).sum()))

    def _field(self, radius: int, every: int) -> Floats:
        height, width = self.shape
        field = np.zeros(height * width)
        for sign in (radius, -radius):
            x = np.rint(self.x[::every] + sign * self.across[::every]).astype(np.intp)
            y = np.rint(self.y[::every] + sign * self.down[::every]).astype(np.intp)
            inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
            field += np.bincount(y[inside] * width + x[inside], self.weight[::every][inside], height * width)
        return field.reshape(height, width).astype(np.float32)


def _gradient(rgb: NDArray[np.uint8]) -> tuple[Floats, Floats, Floats]:
    """Across, down and strength of the gradient, of whichever channel has the strongest."""
    smooth = cv2.GaussianBlur(rgb, (0, 0), 0.8)
    across, down = (
        (cv2.Scharr(smooth, cv2.CV_32F, *order) / 16).astype(np.float32) for order in ((1, 0), (0, 1))
    )
    squared = across * across + down * down
    strongest = squared.argmax(2)[..., None]
    across, down, squared = (np.take_along_axis(v, strongest, 2)[..., 0] for v in (across, down, squared))
    return across, down, np.sqrt(squared).astype(np.float32)


def _peaks(field: Floats, radius: int) -> list[tuple[float, tuple[int, int]]]:
    """The highest places of a field with their votes, apart from each other by more than discs can be."""
    left, peaks = field.copy(), []
    for _ in range(MOST + 1):
        y, x = divmod(int(left.argmax()), left.shape[1])
        peaks.append((float(left[y, x]), (x, y)))
        cv2.circle(left, (x, y), int(1.6 * radius), 0, -1)
    return peaks
