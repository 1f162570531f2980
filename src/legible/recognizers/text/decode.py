"""From probabilities a frame to characters (CTC), within what the caller knows about charset, length
and case."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from string import ascii_letters, digits

import numpy as np
from numpy.typing import NDArray

from legible.errors import RecognitionFailed
from legible.recognizers.text.model import Network
from legible.tasks import Character, TextAnswer, TextOptions

Floats = NDArray[np.float32]

ALPHANUMERIC = digits + ascii_letters
NAMED_CHARSETS = {
    "digits": digits,
    "letters": ascii_letters,
    "lower": ascii_letters[:26],
    "upper": ascii_letters[26:],
    "alphanumeric": ALPHANUMERIC,
}
BEAM = 24
BRANCHES = 6  # symbols tried a frame: the others are never the right ones


@dataclass(frozen=True, slots=True)
class Reading:
    """A text with the raw probability (0-1) of its path, and the peak probability of each character."""

    text: str
    probability: float
    peaks: tuple[float, ...]


def decode(
    probs: Floats, network: Network, options: TextOptions, threshold: float | None = None
) -> TextAnswer:
    """The likeliest text of (T, C) probabilities; raises `RecognitionFailed` under the threshold."""
    chars = allowed(options)
    found = candidates(restrict(probs, network.charset, chars), chars, options.min_length, options.max_length)
    limit = network.text.threshold if threshold is None else threshold
    if not found:
        raise RecognitionFailed(
            "no text of that charset and length was found in the picture", threshold=limit
        )
    best = found[0]
    confidence = network.text(best.probability)
    if confidence < limit:
        raise RecognitionFailed(
            f"the text was read with confidence {confidence:.2f}, under the threshold {limit:.2f}",
            confidence=confidence,
            threshold=limit,
        )
    text = {"keep": best.text, "lower": best.text.lower(), "upper": best.text.upper()}[options.case]
    characters = tuple(Character(c, round(p, 4)) for c, p in zip(text, best.peaks, strict=True))
    return TextAnswer(text, round(confidence, 4), characters)


def allowed(options: TextOptions) -> str:
    """The characters that the answer may hold, in the one case that the caller wants to see if there is
    one."""
    chars = NAMED_CHARSETS.get(options.charset or "alphanumeric", options.charset or "")
    if options.case == "lower":
        chars = chars.lower()
    elif options.case == "upper":
        chars = chars.upper()
    return "".join(dict.fromkeys(chars))


@lru_cache(maxsize=256)
def _sharing(charset: str, chars: str) -> Floats:
    """(C, len(chars) + 1) of 0 and 1: which of `chars` each class counts for: its own, else its case twin."""
    matrix = np.zeros((len(charset) + 1, len(chars) + 1), np.float32)
    for i, char in enumerate(charset):
        for twin in (char, char.swapcase()):
            if twin in chars:
                matrix[i, chars.index(twin)] = 1
                break
    matrix[-1, -1] = 1
    return matrix


def restrict(probs: Floats, charset: str, chars: str) -> Floats:
    """(T, C) -> (T, len(chars) + 1) probabilities: a letter whose case is not allowed counts for its twin."""
    shared = probs @ _sharing(charset, chars)
    shared += np.float32(1e-12)
    shared /= shared.sum(1, keepdims=True)
    return shared


def candidates(
    probs: Floats, chars: str, min_length: int = 1, max_length: int = 32, count: int = 1
) -> list[Reading]:
    """The likeliest readings of (T, C) within the bounds of length, best first: the best path if that will
    do."""
    if count == 1:
        best = greedy(probs, chars)
        if not best.text and min_length <= 1:
            return []
        if min_length <= len(best.text) <= max_length:
            return [best]
    return beam_search(probs, chars, max(1, min_length), max_length)[:count]


def greedy(probs: Floats, chars: str) -> Reading:
    """The best path: repeats melt, blanks vanish (Graves et al. 2006)."""
    best = probs.argmax(1)
    starts = np.flatnonzero(np.append(True, best[1:] != best[:-1]))
    visible = best[starts] != len(chars)
    shown = starts[visible]
    symbols = best[shown]
    peaks = np.maximum.reduceat(probs.max(1), starts)[visible]
    text = "".join(chars[i] for i in symbols)
    return Reading(text, _probability(probs, symbols, shown) * float(peaks.prod()), tuple(peaks.tolist()))


def _probability(probs: Floats, symbols: NDArray[np.intp], starts: NDArray[np.intp]) -> float:
    """How surely nothing else was seen: a frame may show a blank, the character before it or the one after.

    Where a character begins and ends is never sure, so the probability of the one best path says little.
    """
    blank = probs.shape[1] - 1
    padded = np.concatenate(([blank], symbols, [blank]))
    frames = np.arange(len(probs))
    here = np.searchsorted(starts, frames, side="right")
    before, after = padded[here], padded[here + 1]
    seen = probs[:, blank] + probs[frames, before] * (before != blank)
    seen += probs[frames, after] * ((after != blank) & (after != before))
    return float(np.minimum(seen, 1.0).prod())


def beam_search(probs: Floats, chars: str, min_length: int, max_length: int) -> list[Reading]:
    """Prefix beam search (Hannun et al. 2014): readings of allowed length, likeliest first."""
    blank = len(chars)
    tried = np.argsort(-probs[:, :blank], axis=1)[:, :BRANCHES]
    # prefix (class numbers) -> probability of ending in a blank, and of ending in its last character
    beams: dict[tuple[int, ...], tuple[float, float]] = {(): (1.0, 0.0)}
    for t, frame in enumerate(probs.astype(np.float64)):
        grown: dict[tuple[int, ...], tuple[float, float]] = {}
        # A prefix too short for what is left of the picture stays: the frames to come may still lengthen it.
        left = len(probs) - t - 1
        for prefix, (in_blank, in_char) in beams.items():
            both = in_blank + in_char
            stay = frame[prefix[-1]] * in_char if prefix else 0.0
            _add(grown, prefix, both * frame[blank], stay)
            if len(prefix) == max_length:
                continue
            for symbol in tried[t]:
                again = bool(prefix) and prefix[-1] == symbol
                _add(grown, (*prefix, int(symbol)), 0.0, frame[symbol] * (in_blank if again else both))
        reachable = {p: v for p, v in grown.items() if len(p) + left + 1 >= min_length}
        ranked = sorted(reachable.items(), key=lambda item: -sum(item[1]))[:BEAM]
        total = sum(sum(v) for _, v in ranked) or 1.0
        beams = {p: (a / total, b / total) for p, (a, b) in ranked} if total < 1e-200 else dict(ranked)
    found = [(p, sum(v)) for p, v in beams.items() if min_length <= len(p) <= max_length and p]
    found.sort(key=lambda item: -item[1])
    return [_reading(p, total, probs, chars) for p, total in found]


def _add(
    beams: dict[tuple[int, ...], tuple[float, float]],
    prefix: tuple[int, ...],
    in_blank: float,
    in_char: float,
) -> None:
    old_blank, old_char = beams.get(prefix, (0.0, 0.0))
    beams[prefix] = (old_blank + in_blank, old_char + in_char)


def _reading(prefix: Iterable[int], probability: float, probs: Floats, chars: str) -> Reading:
    """Peaks of each character, looked for from left to right."""
    symbols = list(prefix)
    bounds = np.linspace(0, len(probs), len(symbols) + 1).astype(int)
    best = [
        float(probs[max(0, a - 3) : b + 3, s].max())
        for s, a, b in zip(symbols, bounds, bounds[1:], strict=False)
    ]
    return Reading("".join(chars[s] for s in symbols), min(1.0, probability), tuple(best))
