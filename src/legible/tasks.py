"""The neutral words of the house: what is asked (`Task`) and what is read (`Answer`),
with no vendor and no HTTP in them."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


class Kind(StrEnum):
    """What a recognizer reads."""

    TEXT = "text"
    ARITHMETIC = "arithmetic"
    SLIDER = "slider"
    GRID = "grid"
    CLICK = "click"


@dataclass(frozen=True, slots=True)
class TextOptions:
    """What the caller knows about the text: its characters (None: letters and digits), length, and case."""

    charset: str | None = None
    min_length: int = 1
    max_length: int = 32
    case: Literal["keep", "lower", "upper"] = "keep"


@dataclass(frozen=True, slots=True)
class ArithmeticOptions:
    """Arithmetic takes no options yet."""


@dataclass(frozen=True, slots=True)
class SliderOptions:
    """The two-image form of a slider: the encoded picture of the piece."""

    piece: bytes | None = None


@dataclass(frozen=True, slots=True)
class GridOptions:
    """`question` is a label id or a name; `top` asks for that many best tiles instead of those over the
    threshold."""

    question: str
    top: int | None = None


@dataclass(frozen=True, slots=True)
class ClickOptions:
    """`question` in English or Chinese; `anchors` are encoded example pictures, for questions that speak of
    a sample. `place_only`: which of several pictures fit is no answer that the caller can use."""

    question: str
    anchors: tuple[bytes, ...] = ()
    place_only: bool = False


Options = TextOptions | ArithmeticOptions | SliderOptions | GridOptions | ClickOptions


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """`max_bytes` of the encoded picture, `max_side` in pixels, `max_pixels` in all."""

    max_bytes: int = 4 * 1024 * 1024
    max_side: int = 4096
    max_pixels: int = 8_000_000
    min_side: int = 2


DEFAULT_LIMITS = ImageLimits()


@dataclass(frozen=True, slots=True)
class Task:
    """One thing to recognize: encoded pictures (PNG, JPEG, GIF, BMP or WebP;
    one unless the kind is click) and options.

    `threshold` (0-1) is the confidence below which the recognizer refuses, or from which a tile is chosen;
    None takes the calibrated default. `limits` are those of each picture.
    """

    kind: Kind
    images: tuple[bytes, ...]
    options: Options
    threshold: float | None = None
    limits: ImageLimits = DEFAULT_LIMITS


@dataclass(frozen=True, slots=True)
class Character:
    """One character that was read, and how surely (0-1, not calibrated) its frame shows it."""

    text: str
    confidence: float


@dataclass(frozen=True, slots=True)
class TextAnswer:
    text: str
    confidence: float
    characters: tuple[Character, ...] = ()


@dataclass(frozen=True, slots=True)
class ArithmeticAnswer:
    """`expression` as read, in ASCII ("3+5"); `text` its value ("8")."""

    text: str
    expression: str
    confidence: float


@dataclass(frozen=True, slots=True)
class Candidate:
    """A place where the gap may be: its left edge in pixels of the image that was sent."""

    x: int
    confidence: float


@dataclass(frozen=True, slots=True)
class SliderAnswer:
    """`box` is x, y, width, height of the gap in pixels of the image that was sent, from its top left."""

    box: tuple[int, int, int, int]
    confidence: float
    piece_x: int | None = None
    candidates: tuple[Candidate, ...] = ()


@dataclass(frozen=True, slots=True)
class GridAnswer:
    """`confidences`: a probability a tile, left to right, top to bottom;
    `objects`: the tiles that show the label."""

    label: str
    size: int
    confidences: tuple[float, ...]
    objects: tuple[int, ...]
    confidence: float


@dataclass(frozen=True, slots=True)
class ClickAnswer:
    """One image: the `point` to click (x, y from the top left),
    and all `points` where several objects are asked for.
    Several images: which `objects` fit, with their confidences."""

    label: str
    confidence: float
    size: tuple[int, int]
    point: tuple[int, int] | None = None
    objects: tuple[bool, ...] = ()
    confidences: tuple[float, ...] = ()
    points: tuple[tuple[int, int], ...] = ()


Answer = TextAnswer | ArithmeticAnswer | SliderAnswer | GridAnswer | ClickAnswer
