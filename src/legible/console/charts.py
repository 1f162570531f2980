"""Charts as numbers: what the template draws as SVG, and the table beside it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import floor, log10

HEIGHT = 180
LEFT, RIGHT, TOP, BOTTOM = 54, 6, 10, 24


@dataclass(frozen=True, slots=True)
class Series:
    """Values by day; None where there was nothing to measure. `style` is a class of the style sheet."""

    name: str
    style: str
    values: Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Chart:
    """`labels` are the days' names, `show` writes a value for people, `width` is in units of the drawing.
    Where there is nothing to draw, the axis goes up to `empty`."""

    title: str
    labels: Sequence[str]
    series: Sequence[Series]
    show: Callable[[float], str]
    empty: float
    width: int = 460

    @property
    def top(self) -> float:
        """A round number over everything that is stacked in a day."""
        return round_up(max((sum(v or 0 for v in day) for day in self._by_day()), default=0)) or self.empty

    @property
    def peak(self) -> float:
        """A round number over every single value."""
        return round_up(max((v or 0 for row in self.series for v in row.values), default=0)) or self.empty

    def _by_day(self) -> list[tuple[float | None, ...]]:
        return list(zip(*(row.values for row in self.series), strict=True))

    def ticks(self, top: float) -> list[tuple[float, str]]:
        """Heights and words of the three lines of the grid."""
        return [(self._y(top * part, top), self.show(top * part)) for part in (0, 0.5, 1)]

    def _y(self, value: float, top: float) -> float:
        return round(TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / top), 2)

    @property
    def step(self) -> float:
        return (self.width - LEFT - RIGHT) / max(1, len(self.labels))

    def bars(self) -> list[tuple[float, float, float, float, str, str]]:
        """Stacked bars: x, y, width, height, style, and what is said on hover."""
        drawn = []
        for index, day in enumerate(self._by_day()):
            below = 0.0
            for row, value in zip(self.series, day, strict=True):
                if not value:
                    continue
                y = self._y(below + value, self.top)
                height = max(1.0, self._y(below, self.top) - y)
                x = LEFT + index * self.step + self.step * 0.14
                words = f"{self.labels[index]}: {row.name} {self.show(value)}"
                drawn.append((round(x, 2), y, round(self.step * 0.72, 2), round(height, 2), row.style, words))
                below += value
        return drawn

    def lines(self) -> list[tuple[str, str, list[tuple[float, float, str]]]]:
        """For each series its style, its path, and its dots: x, y, and what is said on hover."""
        return [self._line(row) for row in self.series]

    def _line(self, row: Series) -> tuple[str, str, list[tuple[float, float, str]]]:
        path, dots, pen = "", [], "M"
        for index, value in enumerate(row.values):
            if value is None:
                pen = "M"
                continue
            x, y = round(LEFT + (index + 0.5) * self.step, 2), self._y(value, self.peak)
            path += f"{pen}{x} {y}"
            dots.append((x, y, f"{self.labels[index]}: {row.name} {self.show(value)}"))
            pen = "L"
        return row.style, path, dots

    def days(self) -> list[tuple[float, str]]:
        """Where a day's name stands under the axis; not more than eight of them."""
        every = max(1, -(-len(self.labels) // 8))
        return [
            (round(LEFT + (index + 0.5) * self.step, 2), label)
            for index, label in enumerate(self.labels)
            if index % every == 0
        ]


def round_up(value: float) -> float:
    """The next of 1, 2, 5, 10, 20, 50, ... (and smaller ones); 0 for nothing."""
    if value <= 0:
        return 0.0
    unit = 10.0 ** floor(log10(value))
    return next(unit * step for step in (1, 2, 5, 10) if unit * step >= value * 0.999999)
