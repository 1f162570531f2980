"""From probabilities a frame to characters (CTC), within what the caller knows about charset, length
and case."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from string import ascii_letters, digits

import numpy as np
from numpy.typing import NDArray

from legible.errors import RecognitionFailed
from legible.recognizers.text.looks import Further, no_further, until_sure
from legible.recognizers.text.model import Floats, Network
from legible.tasks import Character, TextAnswer, TextOptions

ALPHANUMERIC = digits + ascii_letters
NAMED_CHARSETS = {
    "digits": digits,
    "letters": ascii_letters,
    "lower": ascii_letters[:26],
    "upper": ascii_letters[26:],
    "alphanumeric": ALPHANUMERIC,
}
BEAM, LEAST = 24, 1e-4  # when the length is given, or the best path is no sum
# For every picture; a prefix that is this much less likely than the best one is given up.
QUICK_BEAM, QUICK_LEAST, QUICK_FAINT = 6, 0.01, 0.03
# How usual a text of that length is: sites ask for three to ten characters, and mostly for four to six.
LENGTH_PRIOR = (0.02, 0.02, 0.03, 0.3, 1.0, 1.0, 1.0, 0.6, 0.5, 0.25, 0.2)
LONGER_PRIOR = 0.05
MIXED, LOWER, UPPER = 0.35, 0.33, 0.32  # share of sites whose letters are of both cases, or of one
# What is no captcha often looks like a letter or two. Sites ask for so few hardly ever, and callers know it.
SHORT, SELDOM = 2, 0.1
SURE = 0.9
FOREIGN = 0.05  # the share of a frame under which the allowed characters are taken for none of them
LONGEST = 32  # characters
NEVER = (0.0, 0.0)

Prefix = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Reading:
    """A text with the raw probability (0-1) of its paths."""

    text: str
    probability: float


def decode(
    first: Floats,
    network: Network,
    options: TextOptions,
    threshold: float | None = None,
    further: Further = no_further,
) -> TextAnswer:
    """The likeliest text of (T, C) likelihoods of a view of the picture, and while it is not sure, of
    `further` ones. Raises `RecognitionFailed` under the threshold."""
    chars = allowed(options)
    limit = network.texts[0].threshold if threshold is None else threshold
    looks: list[Floats] = []

    def read(probs: Floats) -> list[Reading]:
        looks.append(restrict(probs, network.charset, chars))
        return candidates(looks[-1], chars, options.min_length, options.max_length)

    choose = likeliest if options.max_length > SHORT else usually_short
    text, confidence = until_sure(first, further, read, choose, network.texts)
    if text is None:
        raise RecognitionFailed(
            "no text of that charset and length was found in the picture", threshold=limit
        )
    if confidence < limit:
        raise RecognitionFailed(
            f"the text was read with confidence {confidence:.4g}, under the threshold {limit:.4g}",
            confidence=confidence,
            threshold=limit,
        )
    cased = {"keep": text, "lower": text.lower(), "upper": text.upper()}[options.case]
    symbols = [chars.index(c) for c in text]
    # Of the look that shows this text best: another may have been read otherwise.
    peaks = max((_peaks(frames, symbols) for frames in looks), key=math.prod)
    characters = tuple(Character(c, round(p, 4)) for c, p in zip(cased, peaks, strict=True))
    return TextAnswer(cased, round(confidence, 4), characters)


def likeliest(readings: list[Reading], looks: int) -> tuple[str, float] | None:
    """The best text of readings of so many looks, with its probability, of which little is left if it is
    short: it is more likely no text at all than another, longer one."""
    found = usually_short(readings, looks)
    return (found[0], SELDOM * found[1]) if found and len(found[0]) <= SHORT else found


def usually_short(readings: list[Reading], looks: int) -> tuple[str, float] | None:
    """The same for callers who know that a text is short."""
    ranked = usual(readings, looks)
    return (ranked[0].text, ranked[0].probability) if ranked else None


@lru_cache(maxsize=256)
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
    """(T, C) -> (T, len(chars) + 1) probabilities: a letter whose case is not allowed counts for its twin.

    A frame that shows nearly nothing but what is not allowed has less than 1 in all: what is read there is
    doubtful, whatever the caller knows.
    """
    shared = probs @ _sharing(charset, chars)
    shared += np.float32(1e-12)
    shared /= np.maximum(shared.sum(1, keepdims=True), FOREIGN * probs.sum(1, keepdims=True))
    return shared


def candidates(probs: Floats, chars: str, min_length: int = 1, max_length: int = LONGEST) -> list[Reading]:
    """The likely readings of (T, C) within the bounds of length. A length that the quick search did not
    expect is searched for more patiently."""
    quick = beam_search(probs, chars, 0, LONGEST, QUICK_BEAM, QUICK_LEAST, QUICK_FAINT)
    likeliest = len(quick[0].text)
    if not likeliest and min_length <= 1:
        return []
    if not min_length <= likeliest <= max_length:
        return beam_search(probs, chars, max(1, min_length), max_length)
    return [each for each in quick if each.text and min_length <= len(each.text) <= max_length]


def usual(readings: list[Reading], looks: int = 1) -> list[Reading]:
    """One reading for each text ignoring case, the best first, with the probability of all its cases: the
    mean of that many looks, weighed by how usual the text is.

    The square root of each prior, since the network has seen lengths and cases too: length chooses between
    texts, case between the forms of one.
    """
    texts: dict[str, dict[str, float]] = {}
    for reading in readings:
        forms = texts.setdefault(reading.text.lower(), {})
        forms[reading.text] = forms.get(reading.text, 0.0) + reading.probability / looks
    ranked = []
    for text, forms in texts.items():
        probability = sum(forms.values())
        form = max(forms, key=lambda form: forms[form] * case_prior(form) ** 0.5)
        length = LENGTH_PRIOR[len(text)] if len(text) < len(LENGTH_PRIOR) else LONGER_PRIOR
        ranked.append((probability * length**0.5, Reading(form, min(1.0, probability))))
    return [reading for _, reading in sorted(ranked, key=lambda item: -item[0])]


def case_prior(text: str) -> float:
    """How usual these cases are: a site's letters are of one case, or each is of either."""
    both = MIXED * 0.5 ** sum(map(str.isalpha, text))
    return both + (LOWER if text == text.lower() else 0.0) + (UPPER if text == text.upper() else 0.0)


def greedy(probs: Floats, chars: str) -> Reading:
    """The best path: repeats melt, blanks vanish (Graves et al. 2006)."""
    best = probs.argmax(1)
    starts = np.flatnonzero(np.append(True, best[1:] != best[:-1]))
    visible = best[starts] != len(chars)
    shown = starts[visible]
    symbols = best[shown]
    peaks = np.maximum.reduceat(probs.max(1), starts)[visible]
    text = "".join(chars[i] for i in symbols)
    return Reading(text, _probability(probs, symbols, shown) * float(peaks.prod()))


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


def beam_search(
    probs: Floats,
    chars: str,
    min_length: int,
    max_length: int,
    width: int = BEAM,
    least: float = LEAST,
    faint: float = 0.0,
    begins: Callable[[str], bool] | None = None,
) -> list[Reading]:
    """Prefix beam search (Hannun et al. 2014): the likeliest readings of allowed length, best first.

    `width` prefixes are kept, none under `faint` times the best; a symbol under probability `least` is not
    tried in that frame. `begins` says whether a text can be the beginning of a reading; others are not
    followed.
    """
    blank = len(chars)
    blanks = probs[:, blank].tolist()
    tried: list[list[tuple[int, float]]] = [[] for _ in blanks]
    frames, symbols = np.nonzero(probs[:, :blank] > least)
    for t, symbol, p in zip(frames.tolist(), symbols.tolist(), probs[frames, symbols].tolist(), strict=True):
        tried[t].append((symbol, p))
    # prefix (class numbers) -> probability of ending in a blank, and of ending in its last character
    beams: dict[Prefix, tuple[float, float]] = {(): (1.0, 0.0)}
    between, was_between = 1.0, True  # what the frames between characters make of every prefix alike
    for left, p_blank, here in zip(range(len(blanks) - 1, -1, -1), blanks, tried, strict=True):
        if not here:
            between *= p_blank
            if not was_between:
                beams = {prefix: (a + b, 0.0) for prefix, (a, b) in beams.items()}
            was_between = True
            continue
        was_between = False
        grown: dict[Prefix, tuple[float, float]] = {}
        for prefix, (in_blank, in_char) in beams.items():
            both = in_blank + in_char
            last = prefix[-1] if prefix else -1
            repeats = 0.0
            for symbol, p in here:
                more = both * p
                if symbol == last:
                    repeats, more = in_char * p, in_blank * p
                if more and len(prefix) < max_length:
                    longer = (*prefix, symbol)
                    if begins and longer not in grown and not begins("".join(chars[s] for s in longer)):
                        continue
                    a, b = grown.get(longer, NEVER)
                    grown[longer] = (a, b + more)
            a, b = grown.get(prefix, NEVER)
            grown[prefix] = (a + both * p_blank, b + repeats)
        if len(grown) > width or faint:
            totals = [in_blank + in_char for in_blank, in_char in grown.values()]
            if left < min_length:  # what is too short for the frames that are left to mend goes first
                mends = (len(prefix) + left >= min_length for prefix in grown)
                totals = [total - (not mend) for total, mend in zip(totals, mends, strict=True)]
            ranked = sorted(totals)
            last_kept = max(ranked[-width:][0], faint * ranked[-1])
            grown = {
                prefix: ends
                for (prefix, ends), total in zip(grown.items(), totals, strict=True)
                if total >= last_kept
            }
        beams = grown
    found = [
        Reading("".join(chars[s] for s in prefix), min(1.0, between * sum(ends)))
        for prefix, ends in beams.items()
        if min_length <= len(prefix) <= max_length
    ]
    return sorted(found, key=lambda reading: reading.probability, reverse=True)


def _peaks(probs: Floats, symbols: list[int]) -> list[float]:
    """The probability (0-1) of each character in the frame that shows it, all placed in their order in the
    likeliest way."""
    columns = np.log(probs[:, symbols].T)
    # A repeat needs a frame between the two.
    steps = [1 + (left == right) for left, right in pairwise(symbols)]
    totals = list(columns[:1])
    for column, step in zip(columns[1:], steps, strict=True):
        before = np.full_like(column, -np.inf)
        before[step:] = np.maximum.accumulate(totals[-1])[:-step]
        totals.append(column + before)
    peaks, end = [], len(probs)
    for total, symbol, step in zip(reversed(totals), reversed(symbols), [*reversed(steps), 1], strict=True):
        place = int(total[: max(1, end)].argmax())
        peaks.append(float(probs[place, symbol]))
        end = place - step + 1
    return peaks[::-1]
