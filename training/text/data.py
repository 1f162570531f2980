"""Draws captchas: one generator of our own that composes independent dials, each of which is logged with
its sample."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from fonts import CAP_PX, HAN, Face, Glyph, load_faces
from numpy.typing import NDArray

Array = NDArray[np.float32]
Pixels = NDArray[np.uint8]
Colour = tuple[float, float, float]

LOOK_ALIKES = set("0Oo1lIi5S2Z8B9gq6b")
CONSONANTS, VOWELS = "bcdfghjklmnpqrstvwxyz", "aeiou"
CHARSETS: dict[str, tuple[str, float]] = {
    "digits": ("0123456789", 0.16),
    "hex": ("0123456789abcdef", 0.03),
    "lower": ("abcdefghijklmnopqrstuvwxyz", 0.12),
    "upper": ("ABCDEFGHIJKLMNOPQRSTUVWXYZ", 0.10),
    "lower+digits": ("0123456789abcdefghijklmnopqrstuvwxyz", 0.14),
    "upper+digits": ("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", 0.15),
    "letters": ("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", 0.06),
    "all": ("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", 0.24),
}
HAN_DIGITS = "零一二三四五六七八九十"
FINANCIAL = "零壹贰叁肆伍陆柒捌玖"
MAX_LENGTH = 16  # characters that training has room for
TIMES = "x"  # what a multiplication sign is labelled, since it looks the same


@dataclass(slots=True)
class Sample:
    """`rgb` (H, W, 3) as a site would serve it; `spans`: centre and width in px of each character of
    `label`."""

    rgb: Pixels
    label: str
    spans: list[tuple[float, float]]
    dials: dict[str, object] = field(default_factory=dict)


def financial_number(value: int) -> str:
    """A digit in the numerals of Chinese banks."""
    return FINANCIAL[value % 10]


def han_number(value: int, counted: bool = False) -> str:
    """0 to 99 in Chinese numerals; two as it is `counted`, if so."""
    if value == 2 and counted:
        return "两"
    if value <= 10:
        return HAN_DIGITS[value]
    tens, ones = divmod(value, 10)
    return ("" if tens == 1 else HAN_DIGITS[tens]) + "十" + (HAN_DIGITS[ones] if ones else "")


def expression(rng: random.Random) -> str:
    """A sum as a site would ask it, or what looks like one and has no answer; the multiplication sign as
    drawn."""
    form = rng.random()
    if form < 0.16:
        return odd_expression(rng)
    han_operator = rng.random() < 0.38
    han_numbers = rng.random() < (0.55 if han_operator else 0.04)
    symbols = {"+": "加", "-": "减", "*": "乘", "/": "除"} if han_operator else {}
    if han_operator and rng.random() < 0.25:
        symbols = {"+": "加上", "-": "减去", "*": "乘以", "/": "除以"}
    top = rng.choice((9, 9, 10, 20, 50, 99))
    operands = [rng.randint(0, top) for _ in range(2 if rng.random() < 0.88 else 3)]
    if rng.random() < 0.25:
        operands[1] = rng.randint(0, 9)
    signs = [rng.choice("++--**/") for _ in operands[1:]]
    for i, sign in enumerate(signs):
        if sign == "/" and rng.random() < 0.85:
            operands[i + 1] = rng.randint(1, 9)
            operands[i] = operands[i + 1] * rng.randint(0, 10)
    number: Callable[[int], str] = str
    if han_numbers:
        financial = rng.random() < 0.06
        number = financial_number if financial else lambda value: han_number(value, rng.random() < 0.4)
    text = number(operands[0])
    if rng.random() < 0.03 and not han_numbers:
        text = text.zfill(2)
    for sign, operand in zip(signs, operands[1:], strict=True):
        if symbols:
            text += symbols[sign]
        elif sign == "*":
            text += rng.choice("*x××x" if rng.random() < 0.95 else "·")
        elif sign == "/":
            text += rng.choice("/÷÷" if rng.random() < 0.95 else ":")
        else:
            text += sign
        text += number(operand)
    endings = ("=?", "=?", "=?", "=", "=", "", "等于?", "等于几", "等于", "=几", "是多少", "等于多少", "?")
    weights = (
        (8, 4, 0, 4, 0, 2.5, 1, 1, 0.3, 0.3, 0.2, 0.2, 0.4)
        if symbols or han_numbers
        else (10, 4, 0, 6, 0, 3, 0.2, 0.2, 0, 0, 0, 0, 0.5)
    )
    text += rng.choices(endings, weights)[0]
    if rng.random() < (0.12 if symbols or han_numbers else 0.03):
        text = rng.choice(("请计算", "计算")) + rng.choice(("", "", ":")) + text
    return text


def odd_expression(rng: random.Random) -> str:
    """What few sites ask: numbers below zero, with a point, in brackets, five of them; sums that ask for one
    of their numbers, or for nothing."""
    top = rng.choice((9, 9, 20, 50))
    a, b, c, d, e = (rng.randint(0, top) for _ in range(5))
    plus, times = rng.choice("++--"), rng.choice("*x×")
    any_ = rng.choice((plus, plus, times))
    ending = rng.choice(("=?", "=?", "=", ""))
    match rng.choices(range(9), (3, 2, 2, 2.5, 2, 2.5, 2, 1, 0.7))[0]:
        case 0:
            return f"-{a}{any_}{b}{ending}"
        case 1:
            return f"{a}{any_}?={b}"
        case 2:
            return f"?{any_}{a}={b}"
        case 3:
            return f"?={a}{any_}{b}"
        case 4:
            return f"{a}{any_}{b}={c}"
        case 5:
            return rng.choice(
                (f"({a}{plus}{b}){times}{c % 10}", f"{c % 10}{times}({a}{plus}{b})", f"({a}{any_}{b})",
                 f"{a}{plus}({b}{plus}{c})", f"({a}{plus}{b}){plus}{c}")
            ) + ending  # fmt: skip
        case 6:
            return f"{a}.{c % 10}{any_}{b}{rng.choice(('', f'.{d % 10}'))}{ending}"
        case 7:
            return f"{a}{plus}{b}{rng.choice('+-')}{c}{rng.choice('+-')}{d}{ending}"[:MAX_LENGTH]
        case _:
            small = [str(each % 10) for each in (a, b, c, d, e)]
            return small[0] + "".join(rng.choice("+-") + each for each in small[1:]) + ending


def word(rng: random.Random, length: int) -> str:
    """Something that can be pronounced."""
    start = rng.random() < 0.5
    return "".join(rng.choice(VOWELS if (i + start) % 2 else CONSONANTS) for i in range(length))


class Noise:
    """Random fields made once and cut at random places, so that noise costs a slice."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.normal = rng.standard_normal((512, 1024, 3)).astype(np.float32)
        self.uniform = rng.random((512, 1024), dtype=np.float32)
        self.smooth = []
        for scale in (3, 6, 12, 25, 50):
            small = rng.standard_normal((768 // scale + 3, 1280 // scale + 3, 3)).astype(np.float32)
            big = cv2.resize(small, (1280, 768), interpolation=cv2.INTER_CUBIC)
            self.smooth.append(np.ascontiguousarray(big / big.std()))

    @staticmethod
    def cut(source: Array, rng: random.Random, height: int, width: int) -> Array:
        y, x = rng.randrange(source.shape[0] - height), rng.randrange(source.shape[1] - width)
        return source[y : y + height, x : x + width]


def luma(colour: Sequence[float]) -> float:
    return 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]


class Generator:
    """Draws samples without end; the same seed gives the same pictures. `level` (0-1) is how hard they may
    be."""

    def __init__(self, seed: int, level: float = 1.0) -> None:
        self.rng = random.Random(seed)
        self.level = level
        self.noise = Noise(seed ^ 0x5EED)
        faces = load_faces()
        self.latin = self._by_family(
            [f for f in faces if sum(c.isalnum() and c.isascii() for c in f.glyphs) >= 50]
        )
        self.han = self._by_family([f for f in faces if sum(c in f.glyphs for c in HAN) >= 20])

    @staticmethod
    def _by_family(faces: list[Face]) -> tuple[list[list[Face]], list[float]]:
        groups: dict[str, list[Face]] = {}
        for face in faces:
            groups.setdefault(face.family, []).append(face)
        # Display faces of one odd collection would be a third of all: they count for less.
        weights = [0.35 if group[0].package == "aenigma" else 1.0 for group in groups.values()]
        return list(groups.values()), weights

    # ------------------------------------------------------------------ dials

    def _chance(self, share: float) -> bool:
        """True with that probability at full difficulty, never at none; each trait makes the next one less
        likely,
        so that pictures stay readable."""
        if self.rng.random() >= share * self.hardness:
            return False
        self.hardness *= 0.88
        return True

    def _colour(self, low: float = 0, high: float = 255) -> Colour:
        """A random colour whose brightness is within the bounds; greys are common."""
        rng = self.rng
        target = rng.uniform(low, high)
        if rng.random() < 0.35:
            return (target, target, target)
        colour = [rng.uniform(0, 255) for _ in range(3)]
        if rng.random() < 0.4:
            colour[rng.randrange(3)] = rng.choice((0.0, 255.0))
        for _ in range(3):
            shift = target - luma(colour)
            colour = [min(255.0, max(0.0, c + shift)) for c in colour]
        return (colour[0], colour[1], colour[2])

    def _against(self, ground: Colour, contrast: float) -> Colour:
        """A colour whose brightness differs from the ground by at least `contrast`."""
        rng, here = self.rng, luma(ground)
        dark, light = here - contrast, 255 - here - contrast
        if dark <= 0 and light <= 0:
            contrast = 90
            dark, light = here - contrast, 255 - here - contrast
        if rng.random() * (max(dark, 0) + max(light, 0)) < max(dark, 0):
            return self._colour(0, here - contrast)
        return self._colour(here + contrast, 255)

    def _text(self) -> tuple[str, str]:
        """What is drawn, and of what kind."""
        rng = self.rng
        if rng.random() < 0.2:
            return "arithmetic", expression(rng)
        length = rng.choices((3, 4, 5, 6, 7, 8, 9, 10, 1, 2), (4, 30, 24, 24, 8, 6, 2, 1.5, 0.5, 0.5))[0]
        if rng.random() < 0.05:
            return "word", word(rng, length)
        kind = rng.choices(list(CHARSETS), [w for _, w in CHARSETS.values()])[0]
        chars = CHARSETS[kind][0]
        if rng.random() < 0.3 and kind not in ("digits", "hex"):
            chars = "".join(c for c in chars if c not in LOOK_ALIKES)
        return kind, "".join(rng.choice(chars) for _ in range(length))

    def _faces(self, text: str) -> list[Face]:
        """A face for each character, most often the same."""
        rng = self.rng
        groups, weights = self.han if any(c in HAN for c in text) else self.latin
        several = rng.random() < 0.25
        pool: list[Face] = []
        for _ in range(60):
            face = rng.choice(rng.choices(groups, weights)[0])
            if all(c in face.glyphs for c in set(text)):
                pool.append(face)
                if not several or len(pool) == 5:
                    break
        if not pool:
            return []
        return [rng.choice(pool) for _ in text]

    # ------------------------------------------------------------------ one picture

    def sample(self) -> Sample:
        """The next captcha."""
        while True:
            drawn = self._try()
            if drawn is not None:
                return drawn

    def _try(self) -> Sample | None:
        rng = self.rng
        # Most pictures are of middling difficulty, some have everything at once.
        self.hardness = self.level * rng.choice((0.1, 0.3, 0.5, 0.7, 0.9))
        kind, text = self._text()
        faces = self._faces(text)
        if not faces:
            return None
        caps = [face.caps_only for face in faces]
        if any(caps) and kind != "arithmetic":
            text = text.upper()
            if not all(c in f.glyphs for c, f in zip(text, faces, strict=True)):
                return None
        dials: dict[str, object] = {
            "kind": kind,
            "length": len(text),
            "face": faces[0].name,
            "hardness": round(self.hardness, 2),
        }
        layer, ground, spans, ink = self._compose(text, faces, kind, dials)
        picture = self._finish(layer, ground, spans, ink, dials)
        label = text.replace("×", TIMES)
        return Sample(picture, label, spans, dials)

    def _compose(
        self, text: str, faces: list[Face], kind: str, dials: dict[str, object]
    ) -> tuple[Array, Pixels, list[tuple[float, float]], list[Colour]]:
        """The layer of text (H, W, 4), premultiplied with 0-1 alpha, the ground under it, the spans, the
        text's colours."""
        rng, hardness = self.rng, self.hardness
        # --- sizes: everything follows from the height of a capital
        cap = math.exp(rng.uniform(math.log(9.5), math.log(40)))
        size_jitter = rng.choice((0, 0.08, 0.2, 0.3)) * hardness
        stretch = math.exp(rng.gauss(0, 0.13))
        baseline_jitter = rng.choice((0, 0.05, 0.15, 0.3)) * hardness
        turn = rng.choice((0, 5, 12, 20, 30, 40, 60 if rng.random() < 0.3 else 25)) * min(1.0, 1.4 * hardness)
        same_turn = rng.uniform(-12, 12) * hardness if rng.random() < 0.15 else 0
        shear = rng.choice((0, 0, 0.15, 0.3, 0.5)) * hardness
        same_shear = rng.uniform(-0.5, 0.5) * hardness if rng.random() < 0.15 else 0
        quad = rng.choice((0, 0, 0, 0.1, 0.2)) * hardness
        spacing = rng.choice(("natural", "natural", "wide", "tight", "overlap", "cells"))
        monospace = spacing == "cells" or rng.random() < 0.25
        as_typeset = rng.random() < 0.4
        gap = {
            "natural": rng.uniform(0.95, 1.2),
            "wide": rng.uniform(1.2, 1.9),
            "tight": rng.uniform(0.84, 0.96),
            "overlap": rng.uniform(0.64, 0.86),
            "cells": rng.uniform(1.0, 1.7),
        }[spacing]
        if spacing == "overlap" and not self._chance(0.9):
            gap = 1.0
        bold = rng.choice((0, 0, 0, 0, 1, 2, -1)) if cap > 14 else 0
        form = self._form()
        dials |= {
            "cap": round(cap),
            "turn": round(turn),
            "shear": round(shear + abs(same_shear), 2),
            "spacing": spacing,
            "form": form,
        }

        glyphs = [face.glyphs[c] for face, c in zip(faces, text, strict=True)]
        scale = cap / CAP_PX
        cell = 0.8 * cap * stretch
        pens: list[float] = []
        x = 0.0
        for char, glyph in zip(text, glyphs, strict=True):
            wide = char in HAN
            advance = max(glyph.advance, glyph.mask.shape[1]) * scale * stretch
            middle = advance / 2
            if monospace:
                advance = max(cell * (1.4 if wide else 1), 0.9 * advance)
                middle = advance / 2
            elif as_typeset:  # a J may reach under the letter before it
                advance = glyph.advance * scale * stretch
                middle = (glyph.left + glyph.mask.shape[1] / 2) * scale * stretch
            pens.append(x + middle * gap)
            x += advance * gap * (1 + rng.uniform(-0.06, 0.06) * hardness)
            if kind == "arithmetic" and rng.random() < 0.08:
                x += rng.uniform(0.1, 0.8) * cap
        spaced_sums = kind == "arithmetic" and rng.random() < 0.3
        if spaced_sums:
            extra, pens = rng.uniform(0.2, 0.6) * cap, [p + 0.0 for p in pens]
            shift = 0.0
            for i, char in enumerate(text):
                if not char.isdigit() and char not in HAN_DIGITS and char != ".":
                    shift += extra
                    pens[i] += shift
                    shift += extra
                else:
                    pens[i] += shift
            x += shift
        # --- canvas
        margin = rng.choice((0.1, 0.25, 0.5, 1.0)) * cap
        left, right = margin * rng.uniform(0.5, 1.5), margin * rng.uniform(0.5, 1.5)
        wide_canvas = self._chance(0.12)
        if wide_canvas:
            extra_width = rng.uniform(0.3, 2.0) * x
            part = rng.random()
            left, right = left + part * extra_width, right + (1 - part) * extra_width
        cut_left, cut_right = self._chance(0.05), self._chance(0.08)
        if cut_left:  # up to two fifths of a character are outside
            left = -rng.choice((0.12, 0.24)) * cap * rng.random()
        if cut_right:
            right = -rng.choice((0.12, 0.28)) * cap * rng.random()
        height = cap * rng.choice((rng.uniform(1.05, 1.5), rng.uniform(1.4, 2.2), rng.uniform(1.6, 3.2)))
        height, width = max(16, round(height)), max(30, round(x + left + right))
        if width > 420 or height > 130:
            factor = min(420 / width, 130 / height)
            height, width, cap, scale, left = (
                round(height * factor),
                round(width * factor),
                cap * factor,
                scale * factor,
                left * factor,
            )
            pens = [p * factor for p in pens]
        dials |= {"size": (width, height), "wide_canvas": wide_canvas, "cut": cut_left or cut_right}
        # --- colours
        ground_colour = self._ground_colour()
        contrast = rng.choice((140, 100, 70, 45)) if not self._chance(0.12) else rng.uniform(14, 40)
        one = self._against(ground_colour, contrast)
        many = rng.random() < 0.3
        close = rng.random() < 0.3
        ink = []
        for _ in text:
            colour = self._against(ground_colour, contrast) if many and not close else one
            if many and close:
                c = [min(255.0, max(0.0, v + rng.uniform(-40, 40))) for v in one]
                colour = (c[0], c[1], c[2])
                if abs(luma(colour) - luma(ground_colour)) < min(contrast, 40):
                    colour = one
            ink.append(colour)
        dials |= {
            "contrast": round(abs(luma(ink[0]) - luma(ground_colour))),
            "dark_text": luma(ink[0]) < luma(ground_colour),
            "many_colours": many,
        }
        fade = self._chance(0.1)
        # --- glyphs onto the layer
        layer = np.zeros((height, width, 4), np.float32)
        slack = height - cap
        baseline = height - slack * rng.uniform(0.3, 0.7)
        if rng.random() < 0.1:
            baseline = height - slack * rng.uniform(0.1, 0.9)
        slope = rng.uniform(-0.25, 0.25) * slack if self._chance(0.12) else 0.0
        spans: list[tuple[float, float]] = []
        order = list(range(len(text)))
        if rng.random() < 0.5:
            order.reverse()
        boxes: dict[int, tuple[float, float]] = {}
        alternate = rng.random() < 0.5
        for i in order:
            glyph, char = glyphs[i], text[i]
            own = scale * (1 + rng.uniform(-1, 1) * size_jitter)
            if kind == "arithmetic" and char in "+-=" and rng.random() < 0.2:
                own *= rng.uniform(0.8, 1.2)
            angle = same_turn + (
                rng.uniform(-1, 1) * turn if char not in "-/=" or turn < 15 else rng.uniform(-12, 12)
            )
            if alternate and turn > 10 and char not in "-/=+x*×":
                angle = same_turn + (abs(angle) if i % 2 else -abs(angle))
            lean = same_shear + rng.uniform(-1, 1) * shear
            drop = rng.uniform(-1, 1) * baseline_jitter * cap + slope * (i / max(1, len(text) - 1) - 0.5)
            boxes[i] = self._glyph(
                layer,
                glyph,
                left + pens[i],
                baseline + drop,
                own,
                stretch,
                angle,
                lean,
                quad,
                bold,
                form,
                ink[i],
                ground_colour,
                rng.uniform(0.3, 1) if fade else 1.0,
            )
        spans = [boxes[i] for i in range(len(text))]
        self._texture(layer, form, cap)
        ground = self._ground(height, width, ground_colour, luma(ink[0]), contrast, dials)
        return layer, ground, spans, ink

    def _form(self) -> str:
        forms = {
            "fill": 5.2,
            "hollow": 0.9,
            "outlined": 0.5,
            "shadow": 0.8,
            "emboss": 0.35,
            "double": 0.25,
            "dots": 0.25,
            "stripes": 0.3,
            "box": 0.25,
            "dither": 0.3,
            "erased": 0.25,
            "gradient": 0.4,
            "dashes": 0.25,
        }
        if self.rng.random() > 0.3 + 0.7 * self.hardness:
            return "fill"
        return self.rng.choices(list(forms), list(forms.values()))[0]

    def _glyph(
        self,
        layer: Array,
        glyph: Glyph,
        x: float,
        baseline: float,
        scale: float,
        stretch: float,
        angle: float,
        lean: float,
        quad: float,
        bold: int,
        form: str,
        colour: Colour,
        ground: Colour,
        alpha: float,
    ) -> tuple[float, float]:
        """Paints one character; returns the centre and width of what it covers, in px."""
        rng = self.rng
        mask, top = glyph.mask, glyph.top
        source_h, source_w = mask.shape
        if scale < 0.4:  # shrink first, so that thin strokes do not alias away
            ratio = max(scale * 1.6, 0.2)
            mask = cv2.resize(
                mask,
                (max(2, round(source_w * ratio)), max(2, round(source_h * ratio))),
                interpolation=cv2.INTER_AREA,
            )
        ratio_x, ratio_y = source_w / mask.shape[1], source_h / mask.shape[0]
        pad = 4
        mask = cv2.copyMakeBorder(mask, pad, pad, pad, pad, cv2.BORDER_CONSTANT)
        if bold > 0:
            mask = cv2.dilate(mask, np.ones((1 + bold, 1 + bold), np.uint8))
        elif bold < 0:
            thin = cv2.erode(mask, np.ones((2, 2), np.uint8))
            if int(thin.sum()) > 0.55 * int(mask.sum()):
                mask = thin
        # glyph pixels -> canvas: about the glyph's middle
        half_w, half_h = source_w / 2, source_h / 2
        cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
        sx, sy = scale * stretch, scale
        a = np.array([[cos * sx, (cos * lean - sin) * sy], [sin * sx, (sin * lean + cos) * sy]])
        centre = np.array([x, baseline - (top - half_h) * scale])
        corners = np.array([[-half_w, -half_h], [half_w, -half_h], [half_w, half_h], [-half_w, half_h]])
        target = corners @ a.T
        if quad:
            target = target * (
                1 + np.array([[rng.uniform(-quad, quad), rng.uniform(-quad, quad)] for _ in range(4)])
            )
        target = target + centre
        border = 3
        x0, y0 = math.floor(target[:, 0].min()) - border, math.floor(target[:, 1].min()) - border
        x1, y1 = math.ceil(target[:, 0].max()) + border, math.ceil(target[:, 1].max()) + border
        width, height = x1 - x0, y1 - y0
        span = (float(target[:, 0].mean()), float(target[:, 0].max() - target[:, 0].min()))
        if width < 2 or height < 2 or width > 400 or height > 300:
            return span
        inner = np.array(
            [
                [pad, pad],
                [pad + source_w / ratio_x, pad],
                [pad + source_w / ratio_x, pad + source_h / ratio_y],
                [pad, pad + source_h / ratio_y],
            ],
            np.float32,
        )
        moved = (target - [x0, y0]).astype(np.float32)
        if quad:
            patch = cv2.warpPerspective(
                mask, cv2.getPerspectiveTransform(inner, moved), (width, height), flags=cv2.INTER_LINEAR
            )
        else:
            patch = cv2.warpAffine(
                mask, cv2.getAffineTransform(inner[:3], moved[:3]), (width, height), flags=cv2.INTER_LINEAR
            )
        stroke = 2 if scale * CAP_PX < 26 else 3
        self._paint(layer, patch, x0, y0, form, colour, ground, alpha, stroke)
        return span

    def _paint(
        self,
        layer: Array,
        patch: Pixels,
        x: int,
        y: int,
        form: str,
        colour: Colour,
        ground: Colour,
        alpha: float,
        stroke: int,
    ) -> None:
        rng = self.rng
        kernel = np.ones((stroke, stroke), np.uint8)
        lighter = tuple(min(255.0, c + 70) for c in ground)
        darker = tuple(max(0.0, c - 80) for c in ground)
        if form in ("hollow", "dashes"):
            grown = cv2.dilate(patch, kernel)
            paste(
                layer,
                cv2.subtract(grown, patch)
                if stroke > 2 or rng.random() < 0.7
                else cv2.morphologyEx(grown, cv2.MORPH_GRADIENT, kernel),
                x,
                y,
                colour,
                alpha,
            )
        elif form == "outlined":
            paste(layer, cv2.dilate(patch, kernel), x, y, self._against(colour, 80), alpha)
            paste(layer, patch, x, y, colour, alpha)
        elif form == "shadow":
            if not hasattr(self, "shadow") or rng.random() < 0.2:
                reach = 1 + min(2.5, stroke * patch.shape[0] / 60)
                self.shadow = (
                    round(rng.choice((-3, -2, -1, 1, 2, 2, 3)) * reach),
                    round(rng.choice((-1, 1, 1, 2, 3)) * reach),
                    rng.choice((0, 0, 3, 5, 7)),
                    rng.choice((None, None, 0.0, 30.0, 60.0)),
                    rng.uniform(0.4, 1.0),
                )
            dx, dy, blurred, dark, depth = self.shadow
            under = cv2.blur(patch, (blurred, blurred)) if blurred else patch
            shade = (
                tuple((c + g) / 2 for c, g in zip(colour, ground, strict=True))
                if dark is None
                else (dark,) * 3
            )
            paste(layer, under, x + dx, y + dy, shade, depth)
            paste(layer, patch, x, y, colour, alpha)
        elif form == "emboss":
            paste(layer, patch, x - 1, y - 1, lighter, 1)
            paste(layer, patch, x + 1, y + 1, darker, 1)
            paste(
                layer, patch, x, y, tuple(0.75 * g + 0.25 * c for c, g in zip(colour, ground, strict=True)), 1
            )
        elif form == "double":
            d = rng.choice((2, 3))
            paste(
                layer,
                cv2.morphologyEx(patch, cv2.MORPH_GRADIENT, kernel),
                x + d,
                y + rng.choice((-1, 0, 1)),
                colour,
                0.6,
            )
            paste(layer, patch, x, y, colour, alpha)
        elif form == "box":
            box = np.zeros_like(patch)
            cv2.rectangle(box, (1, 1), (box.shape[1] - 2, box.shape[0] - 2), 255, -1)
            paste(layer, box, x, y, colour, alpha)
            paste(layer, patch, x, y, ground, 1)
        else:
            paste(layer, patch, x, y, colour, alpha)

    def _texture(self, layer: Array, form: str, cap: float) -> None:
        """Forms that cut a pattern out of the finished text."""
        rng = self.rng
        height, width = layer.shape[:2]
        if form == "dots":
            step = rng.choice((2, 3)) if cap < 24 else rng.choice((3, 4))
            yy, xx = np.arange(height)[:, None] % step, np.arange(width)[None] % step
            keep = (yy > 0) & (xx > 0)
        elif form == "stripes":
            period, tilt = rng.choice((3, 4, 5, 6)), rng.choice((0, 0, 1, -1))
            phase = np.arange(height)[:, None] + tilt * np.arange(width)[None]
            if rng.random() < 0.3:
                phase = np.arange(width)[None] + 0 * np.arange(height)[:, None]
            keep = phase % period > 0
        elif form == "dashes":
            period, tilt = rng.choice((4, 5, 6, 8)), rng.choice((1, -1, 1.5, -1.5, 0.6))
            phase = np.arange(height)[:, None] + tilt * np.arange(width)[None]
            keep = phase % period >= rng.choice((1, 1.5, 2, period / 2))
        elif form == "dither":
            keep = Noise.cut(self.noise.uniform, rng, height, width) < rng.uniform(0.45, 0.8)
        elif form == "erased":
            keep = Noise.cut(self.noise.smooth[rng.choice((0, 1, 2))], rng, height, width)[
                ..., 0
            ] > -rng.uniform(0.5, 1.2)
        elif form == "gradient":
            ramp = np.linspace(rng.uniform(0.35, 1), rng.uniform(0.35, 1), width, dtype=np.float32)
            layer[..., :3] = (
                layer[..., :3] * ramp[None, :, None]
                + layer[..., 3:] * (1 - ramp[None, :, None]) * np.array(self._colour(), np.float32) * 0.3
            )
            return
        else:
            return
        layer *= keep[..., None].astype(np.float32)

    # ------------------------------------------------------------------ grounds

    def _ground_colour(self) -> Colour:
        rng = self.rng
        pick = rng.random()
        if pick < 0.35:
            return (255, 255, 255) if rng.random() < 0.7 else (245, 245, 245)
        if pick < 0.65:
            return self._colour(185, 250)
        if pick < 0.72:
            return self._colour(0, 255)
        if pick < 0.85:
            return self._colour(60, 190)
        return self._colour(0, 60)

    def _ground(
        self, height: int, width: int, colour: Colour, ink: float, contrast: float, dials: dict[str, object]
    ) -> Pixels:
        rng = self.rng
        canvas = np.empty((height, width, 3), np.float32)
        canvas[:] = colour
        room = max(6.0, 0.45 * abs(ink - luma(colour)))
        styles = {
            "plain": 6.0,
            "gradient": 1.2,
            "grid": 0.9,
            "lattice": 0.3,
            "spiral": 0.25,
            "texture": 1.0,
            "tiles": 0.4,
            "photo": 0.8,
            "static": 0.5,
            "hatching": 0.5,
            "arcs": 0.5,
        }
        style = rng.choices(list(styles), list(styles.values()))[0] if self._chance(0.6) else "plain"
        dials["ground"] = style
        if style == "gradient":
            ramp = (
                np.linspace(0, 1, width, dtype=np.float32)[None, :]
                if rng.random() < 0.6
                else np.linspace(0, 1, height, dtype=np.float32)[:, None]
            )
            if rng.random() < 0.3:
                ramp = (
                    np.linspace(0, 0.5, width, dtype=np.float32)[None, :]
                    + np.linspace(0, 0.5, height, dtype=np.float32)[:, None]
                )
            other = np.array([rng.uniform(-1, 1) * room * 1.5 for _ in range(3)], np.float32)
            canvas += np.broadcast_to(ramp, (height, width))[..., None] * other
        elif style in ("texture", "photo"):
            field_ = Noise.cut(rng.choice(self.noise.smooth), rng, height, width)
            if style == "texture":
                canvas += field_[..., :1] * room * rng.uniform(0.15, 0.5)
            else:
                canvas += field_ * room * rng.uniform(0.2, 0.6)
        elif style == "static":
            canvas += Noise.cut(self.noise.normal, rng, height, width)[..., :1] * room * rng.uniform(0.3, 0.9)
        canvas = np.clip(canvas, 0, 255).astype(np.uint8)
        near = tuple(
            min(255.0, max(0.0, c + rng.choice((-1, 1)) * rng.uniform(0.5, 1.6) * room)) for c in colour
        )
        if style == "grid":
            step_x, step_y, thick = rng.randint(4, 24), rng.randint(4, 24), 1 if rng.random() < 0.8 else 2
            grid = self._colour() if self._chance(0.3) else near
            for gx in range(rng.randrange(step_x), width, step_x):
                cv2.line(canvas, (gx, 0), (gx, height), grid, thick)
            for gy in range(rng.randrange(step_y), height, step_y):
                cv2.line(canvas, (0, gy), (width, gy), grid, thick)
        elif style in ("hatching", "lattice"):
            step, lean = rng.randint(4, 14), rng.choice((-1, 1)) * rng.randint(height // 3, height * 2)
            for gx in range(-abs(lean), width + abs(lean), step):
                cv2.line(canvas, (gx, 0), (gx + lean, height), near, 1, cv2.LINE_AA)
                if style == "lattice":
                    cv2.line(canvas, (gx + lean, 0), (gx, height), near, 1, cv2.LINE_AA)
        elif style == "spiral":
            centre = (rng.randrange(width), rng.randrange(height))
            turns = np.arange(0, 14 * math.pi, 0.15)
            points = np.stack([centre[0] + turns * width / 40, centre[1] + 0 * turns], 1)
            points[:, 0] = centre[0] + turns * width / 60 * np.cos(turns)
            points[:, 1] = centre[1] + turns * width / 60 * np.sin(turns)
            cv2.polylines(canvas, [points.astype(np.int32)], False, near, 1, cv2.LINE_AA)
        elif style == "arcs":
            centre = (rng.uniform(-0.5, 1.5) * width, rng.uniform(-1, 2) * height)
            thick, squeeze = rng.choice((1, 1, 2)), rng.uniform(0.5, 1.5)
            for radius in range(4, 2 * width, rng.randint(4, 12)):
                cv2.ellipse(
                    canvas,
                    (round(centre[0]), round(centre[1])),
                    (radius, round(radius * squeeze)),
                    0,
                    0,
                    360,
                    near,
                    thick,
                    cv2.LINE_AA,
                )
        elif style == "tiles":
            step = rng.randint(6, 30)
            for gx in range(0, width, step):
                for gy in range(0, height, step):
                    shift = rng.uniform(-0.7, 0.7) * room
                    cv2.rectangle(
                        canvas,
                        (gx, gy),
                        (gx + step, gy + step),
                        tuple(min(255.0, max(0.0, c + shift)) for c in colour),
                        -1,
                    )
        elif style == "photo":
            for _ in range(rng.randint(1, 6)):
                shade = tuple(min(255.0, max(0.0, c + rng.uniform(-1, 1) * room)) for c in colour)
                x, y, r = rng.randrange(width), rng.randrange(height), rng.randint(3, max(4, height // 2))
                if rng.random() < 0.5:
                    cv2.circle(canvas, (x, y), r, shade, -1, cv2.LINE_AA)
                else:
                    cv2.fillPoly(
                        canvas,
                        [np.array([[x + rng.randint(-r, r) * 2, y + rng.randint(-r, r)] for _ in range(4)])],
                        shade,
                    )
        return canvas

    # ------------------------------------------------------------------ clutter

    def _curve(self, height: int, width: int, across: bool) -> NDArray[np.int32]:
        """Points of a line, sine, bezier or arc."""
        rng = self.rng
        t = np.linspace(0, 1, 24)
        x0, x1 = (
            (rng.uniform(-0.1, 0.25) * width, rng.uniform(0.75, 1.1) * width)
            if across
            else (rng.uniform(0, width), rng.uniform(0, width))
        )
        y0, y1 = rng.uniform(0.05, 0.95) * height, rng.uniform(0.05, 0.95) * height
        shape = rng.random()
        x, y = x0 + t * (x1 - x0), y0 + t * (y1 - y0)
        if shape < 0.3:
            pass
        elif shape < 0.37:  # a zigzag
            corners = rng.randint(2, 5)
            x = (
                np.linspace(x0, x1, corners)
                + np.array([rng.uniform(-0.1, 0.1) for _ in range(corners)]) * width
            )
            y = np.array([rng.uniform(0.05, 0.95) for _ in range(corners)]) * height
        elif shape < 0.7:
            y = y + rng.uniform(0.05, 0.35) * height * np.sin(rng.uniform(0, 6.3) + t * rng.uniform(2, 14))
        else:
            cx, cy = rng.uniform(0, width), rng.uniform(-0.3, 1.3) * height
            x = (1 - t) ** 2 * x0 + 2 * t * (1 - t) * cx + t**2 * x1
            y = (1 - t) ** 2 * y0 + 2 * t * (1 - t) * cy + t**2 * y1
        return np.rint(np.stack([x, y], 1)).astype(np.int32)

    def _strike(self, layer: Array, ink: list[Colour], cap: float, dials: dict[str, object]) -> None:
        """Lines of the text's own colour, in the text's layer (so that they are warped with it), and lines
        that erase."""
        rng = self.rng
        height, width = layer.shape[:2]
        for what, share in (("own_lines", 0.4), ("erasing_lines", 0.05)):
            count = rng.choice((1, 1, 1, 2, 2, 3)) if self._chance(share) else 0
            dials[what] = count
            for _ in range(count):
                mask = np.zeros((height, width), np.uint8)
                thick = max(1, round(cap * rng.choice((0.03, 0.05, 0.07, 0.1, 0.13))))
                cv2.polylines(
                    mask, [self._curve(height, width, True)], False, 255, min(thick, 5), cv2.LINE_AA
                )
                if what == "own_lines":
                    paste(layer, mask, 0, 0, rng.choice(ink), 1.0)
                else:
                    layer *= 1 - (mask.astype(np.float32) / 255)[..., None]

    def _clutter(
        self, canvas: Pixels, ink: list[Colour], cap: float, where: str, dials: dict[str, object]
    ) -> None:
        """Lines, arcs, circles, bubbles and dots, under or over the text, of any colour."""
        rng = self.rng
        height, width = canvas.shape[:2]
        over = where == "over"
        lines = rng.choice((1, 2, 3, 4, 6, 9, 12)) if self._chance(0.45 if over else 0.28) else 0
        one = self._colour() if rng.random() < 0.5 else None
        for _ in range(lines):
            colour = one or (rng.choice(ink) if rng.random() < 0.35 else self._colour())
            thick = 1 if rng.random() < 0.75 or lines > 5 or cap < 18 else rng.choice((2, 2, 3))
            cv2.polylines(
                canvas,
                [self._curve(height, width, rng.random() < 0.6)],
                False,
                colour,
                thick,
                cv2.LINE_AA if rng.random() < 0.7 else cv2.LINE_8,
            )
        rings = rng.choice((1, 2, 3, 5, 8)) if self._chance(0.12) else 0
        for _ in range(rings):
            axes = (
                (rng.randint(2, max(3, height // 3)),) * 2
                if rng.random() < 0.6
                else (rng.randint(3, width // 2), rng.randint(3, height // 2))
            )
            cv2.ellipse(
                canvas,
                (rng.randrange(width), rng.randrange(height)),
                axes,
                rng.uniform(0, 180),
                0,
                rng.choice((360, 360, rng.uniform(40, 300))),
                self._colour(),
                1 if rng.random() < 0.8 else 2,
                cv2.LINE_AA,
            )
        dots = rng.choice((10, 20, 40, 80, 150)) if self._chance(0.27 if over else 0.15) else 0
        if dots:
            dots = max(4, round(dots * height * width / 9000))
            radius = rng.choice((0, 0, 0, 1, 1, 2)) if cap > 18 else rng.choice((0, 0, 1))
            colours = (
                [rng.choice(ink), self._colour(), self._colour()] if rng.random() < 0.6 else [rng.choice(ink)]
            )
            for _ in range(dots):
                x, y = rng.randrange(width), rng.randrange(height)
                if radius == 0:
                    canvas[y, x] = rng.choice(colours)
                else:
                    cv2.circle(
                        canvas, (x, y), radius if rng.random() < 0.9 else radius + 1, rng.choice(colours), -1
                    )
        scribbles = rng.choice((4, 8, 15, 30)) if self._chance(0.1) else 0
        colour = rng.choice(ink) if rng.random() < 0.5 else self._colour()
        for _ in range(scribbles):
            x, y, reach = rng.uniform(0, width), rng.uniform(0, height), cap * rng.uniform(0.15, 0.6)
            points = [(x, y)]
            for _ in range(rng.choice((1, 2, 3))):
                points.append(
                    (points[-1][0] + rng.uniform(-reach, reach), points[-1][1] + rng.uniform(-reach, reach))
                )
            cv2.polylines(
                canvas,
                [np.array(points).astype(np.int32)],
                False,
                colour,
                1 if rng.random() < 0.7 else 2,
                cv2.LINE_AA,
            )
        dials[f"scribbles_{where}"] = scribbles
        dials[f"lines_{where}"], dials[f"rings_{where}"], dials[f"dots_{where}"] = lines, rings, dots

    def _mesh(self, canvas: Pixels, ink: list[Colour]) -> None:
        """Lines along and across, over the text, whole or broken."""
        rng = self.rng
        height, width = canvas.shape[:2]
        step_x, step_y = rng.randint(3, 14), rng.randint(3, 14)
        colour = rng.choice(ink) if rng.random() < 0.4 else self._colour()
        thick = 2 if min(step_x, step_y) > 5 and rng.random() < 0.4 else 1
        along = (np.arange(height) + rng.randrange(step_y))[:, None] % step_y < thick
        across = (np.arange(width) + rng.randrange(step_x))[None] % step_x < thick
        if rng.random() < 0.3:
            dash = rng.choice((4, 6, 8, 11))
            along = along & (np.arange(width)[None] % dash < 0.6 * dash)
            across = across & (np.arange(height)[:, None] % dash < 0.6 * dash)
        canvas[along | across] = colour

    def _decoys(
        self, canvas: Pixels, ground: Pixels, ink: list[Colour], cap: float, dials: dict[str, object]
    ) -> Pixels:
        """Small or faint characters under the text."""
        rng = self.rng
        dials["decoys"] = 0
        if not self._chance(0.07):
            return canvas
        count = rng.choice((4, 8, 15, 30, 50))
        dials["decoys"] = count
        groups, weights = self.latin
        face = rng.choice(rng.choices(groups, weights)[0])
        chars = [c for c in face.glyphs if c.isascii() and c.isalnum()]
        height, width = canvas.shape[:2]
        layer = np.zeros((height, width, 4), np.float32)
        mean = ground.reshape(-1, 3).mean(0)
        small = rng.random() < 0.6
        faint = not small or rng.random() < 0.5
        for _ in range(count):
            colour = np.array(self._against(tuple(mean), 40))
            if faint:
                colour = mean + (colour - mean) * rng.uniform(0.15, 0.35)
            size = cap / CAP_PX * (rng.uniform(0.25, 0.5) if small else rng.uniform(0.5, 1.1))
            self._glyph(
                layer,
                face.glyphs[rng.choice(chars)],
                rng.uniform(0, width),
                rng.uniform(0.1, 1.1) * height,
                size,
                1.0,
                rng.uniform(-40, 40),
                0,
                0,
                0,
                "fill",
                tuple(colour),
                tuple(mean),
                1.0,
            )
        return over(canvas, layer)

    # ------------------------------------------------------------------ warps

    def _warp(self, height: int, width: int, cap: float, dials: dict[str, object]) -> Array | None:
        """(2, H, W) how far to look aside for each pixel, or None."""
        rng = self.rng
        names = []
        field_ = np.zeros((2, height, width), np.float32)
        yy, xx = np.arange(height, dtype=np.float32)[:, None], np.arange(width, dtype=np.float32)[None]
        if self._chance(0.3):
            names.append("sine_y")
            period = rng.uniform(1.5, 8) * cap
            field_[1] += min(rng.uniform(0.04, 0.3) * cap, 0.12 * period) * np.sin(
                xx * (2 * math.pi / period) + rng.uniform(0, 6.3)
            )
        if self._chance(0.25):
            names.append("sine_x")
            period = rng.uniform(1.0, 6) * cap
            field_[0] += min(rng.uniform(0.04, 0.6) * cap, 0.15 * period) * np.sin(
                yy * (2 * math.pi / period) + rng.uniform(0, 6.3)
            )
        if self._chance(0.08):
            names.append("ripple")
            period, size = rng.uniform(0.5, 1.2) * cap, rng.uniform(0.02, 0.05) * cap
            field_[0] += size * np.sin(yy * (2 * math.pi / period))
            field_[1] += size * np.sin(xx * (2 * math.pi / period))
        if self._chance(0.07):
            names.append("smooth")
            noise = Noise.cut(self.noise.smooth[rng.choice((2, 3, 4))], rng, height, width)
            size = rng.uniform(0.02, 0.06) * cap
            field_ += noise[..., :2].transpose(2, 0, 1) * size
        if self._chance(0.05):
            names.append("scatter")
            size = rng.uniform(0.015, 0.05) * cap
            field_ += Noise.cut(self.noise.normal, rng, height, width)[..., :2].transpose(2, 0, 1) * size
        if self._chance(0.05):
            names.append("row_shift")
            block = rng.choice((1, 1, 2, 3))
            shifts = (
                np.array([rng.uniform(-1, 1) for _ in range(height // block + 1)], np.float32)
                * rng.uniform(0.02, 0.08)
                * cap
            )
            field_[0] += np.repeat(shifts, block)[:height, None]
        if self._chance(0.08):
            names.append("bulge")
            for _ in range(rng.choice((1, 1, 2))):
                cx, cy, radius = (
                    rng.uniform(0.15, 0.85) * width,
                    rng.uniform(0.3, 0.7) * height,
                    rng.uniform(0.5, 1.1) * height,
                )
                dx, dy = xx - cx, yy - cy
                inside = np.clip(1 - (dx**2 + dy**2) / radius**2, 0, 1)
                strength = rng.choice((-0.35, 0.5, 0.65)) * rng.uniform(0.4, 1)
                field_[0] -= strength * inside * dx
                field_[1] -= strength * inside * dy
        if self._chance(0.04):
            names.append("swirl")
            cx, cy, radius = rng.uniform(0.2, 0.8) * width, 0.5 * height, rng.uniform(0.6, 1.5) * height
            dx, dy = xx - cx, yy - cy
            angle = rng.uniform(-0.7, 0.7) * np.clip(1 - np.sqrt(dx**2 + dy**2) / radius, 0, 1)
            field_[0] += (np.cos(angle) - 1) * dx - np.sin(angle) * dy
            field_[1] += np.sin(angle) * dx + (np.cos(angle) - 1) * dy
        if self._chance(0.07):
            names.append("plane")
            field_[0] += rng.uniform(-0.35, 0.35) * (yy - height / 2)
            field_[1] += rng.uniform(-0.06, 0.06) * (xx - width / 2)
            field_[1] += rng.uniform(-0.25, 0.25) * (yy - height / 2) * (xx / width - 0.5) * 2
        dials["warp"] = "+".join(names) or "none"
        return field_ if names else None

    @staticmethod
    def _moved(spans: list[tuple[float, float]], field_: Array) -> list[tuple[float, float]]:
        """Where the spans are after the warp (a fixed point of p = start - field(p), at mid-height)."""
        height, width = field_.shape[1:]
        row = field_[0, height // 4 : max(height // 4 + 1, 3 * height // 4)].mean(0)
        moved = []
        for centre, size in spans:
            p = centre
            for _ in range(4):
                p = centre - float(row[min(width - 1, max(0, round(p)))])
            moved.append((p, size))
        return moved

    # ------------------------------------------------------------------ all together

    def _finish(
        self,
        layer: Array,
        ground: Pixels,
        spans: list[tuple[float, float]],
        ink: list[Colour],
        dials: dict[str, object],
    ) -> Pixels:
        rng = self.rng
        height, width = ground.shape[:2]
        cap = float(dials["cap"])  # type: ignore[arg-type]
        self._strike(layer, ink, cap, dials)
        field_ = self._warp(height, width, cap, dials)
        everything = rng.random() < 0.4
        maps = None
        if field_ is not None:
            spans[:] = self._moved(spans, field_)
            maps = (
                field_[0] + np.arange(width, dtype=np.float32)[None],
                field_[1] + np.arange(height, dtype=np.float32)[:, None],
            )
            if not everything:
                layer = cv2.remap(layer, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
        if cap > 17 and self._chance(0.06):  # smaller ones cannot be read
            canvas = self._relief(layer, ground, ink, cap, dials)
        else:
            self._clutter(ground, ink, cap, "under", dials)
            canvas = self._decoys(ground, ground, ink, cap, dials)
            canvas = over(canvas, layer)
        dials["mesh"] = self._chance(0.08)
        if dials["mesh"]:
            self._mesh(canvas, ink)
        late = rng.random() < 0.5
        if late:
            self._clutter(canvas, ink, cap, "over", dials)
        if maps is not None and everything:
            canvas = cv2.remap(canvas, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        if not late:
            self._clutter(canvas, ink, cap, "over", dials)
        return self._soften(canvas, spans, cap, dials)

    def _relief(
        self, layer: Array, ground: Pixels, ink: list[Colour], cap: float, dials: dict[str, object]
    ) -> Pixels:
        """Text that shows only where lines bend or texture changes: a plane seen aslant, rods, or dots."""
        rng = self.rng
        height, width = ground.shape[:2]
        alpha = layer[..., 3]
        pick = rng.random()
        if pick < 0.45:
            dials["relief"] = "plane"
            return self._plane(alpha, ground, ink[0], cap)
        if pick < 0.75:
            dials["relief"] = "rods"
            lift = cv2.blur(alpha, (3, 3)) * rng.uniform(0.12, 0.25) * cap
            period, width_ = rng.uniform(3, 5), rng.uniform(0.35, 0.6)
            rows = (
                np.arange(height, dtype=np.float32)[:, None]
                + lift
                + 0.08 * np.arange(width)[None] * rng.uniform(-1, 1)
            )
            show = (rows / period) % 1 < width_
            shade = 0.35 + 0.65 * np.clip(alpha, 0, 1) if rng.random() < 0.6 else np.ones_like(alpha)
        else:
            dials["relief"] = "dots"
            noise = Noise.cut(self.noise.uniform, rng, height, width)
            show = noise < np.where(alpha > 0.5, rng.uniform(0.5, 0.85), rng.uniform(0.05, 0.22))
            shade = np.ones_like(alpha)
        mask = show.astype(np.float32) * shade
        return (ground * (1 - mask[..., None]) + np.array(ink[0], np.float32) * mask[..., None]).astype(
            np.uint8
        )

    def _plane(self, alpha: Array, ground: Pixels, colour: Colour, cap: float) -> Pixels:
        """Letters lifted out of a waved plane with a mesh on it, painted from its far row to its near one."""
        rng = self.rng
        height, width = alpha.shape
        lift = cv2.blur(alpha, (2, 2)) * rng.uniform(0.12, 0.3) * cap
        steep = cv2.blur(np.abs(cv2.Sobel(alpha, cv2.CV_32F, 0, 1)) / 4, (1, 2)) * rng.uniform(0.3, 0.8)
        shade = 1 - np.clip(steep + alpha * rng.choice((0.0, 0.0, 0.25)), 0, 0.9)
        if rng.random() < 0.5:
            shade *= np.linspace(1, rng.uniform(0.4, 0.8), width, dtype=np.float32)[None]
        step, mesh = rng.randint(2, 5), rng.uniform(0.6, 0.92)
        shade[::step] *= mesh
        shade[:, ::step] *= mesh
        surface = np.array(self._colour(90, 250), np.float32)
        if rng.random() < 0.4:
            surface = np.array(colour, np.float32)
        columns = np.arange(width)
        wave = rng.uniform(0, 0.25) * cap * np.sin(columns * rng.uniform(1, 7) / width + rng.uniform(0, 6.3))
        squeeze, lean = rng.uniform(0.65, 0.95), rng.uniform(-0.5, 0.5)
        top = (1 - squeeze) * height * rng.uniform(0.6, 1.0)
        edge = rng.choice((0, 0, 4, 12))
        canvas = ground.astype(np.float32)
        rows = np.arange(height)[:, None]
        for row in range(height):
            source = columns - round(lean * (row - height / 2))
            inside = (source >= edge) & (source < width - edge)
            source = np.clip(source, 0, width - 1)
            at = top + squeeze * row + wave - lift[row, source]
            seen = (rows >= at) & (rows <= top + squeeze * row + wave + 1) & inside
            canvas = np.where(seen[..., None], surface * shade[row, source][None, :, None], canvas)
        return np.clip(canvas, 0, 255).astype(np.uint8)

    def _soften(
        self, canvas: Pixels, spans: list[tuple[float, float]], cap: float, dials: dict[str, object]
    ) -> Pixels:
        rng = self.rng
        height, width = canvas.shape[:2]
        done = []
        if self._chance(0.2):
            done.append("blur")
            canvas = cv2.GaussianBlur(canvas, (0, 0), rng.uniform(0.3, 0.045 * cap + 0.3))
        if self._chance(0.12):
            done.append("salt")
            share = rng.choice((0.01, 0.03, 0.06, 0.1))
            noise = Noise.cut(self.noise.uniform, rng, height, width)
            canvas[noise < share / 2] = rng.choice((0, 255, 128))
            canvas[noise > 1 - share / 2] = rng.choice((0, 255))
        if self._chance(0.15):
            done.append("gauss")
            noise = Noise.cut(self.noise.normal, rng, height, width) * rng.uniform(3, 22)
            if rng.random() < 0.5:
                noise = noise[..., :1]
            canvas = np.clip(canvas + noise, 0, 255).astype(np.uint8)
        if self._chance(0.06):
            done.append("half_inverted")
            part = np.zeros((height, width), np.uint8)
            pick = rng.random()
            if pick < 0.4:
                cv2.rectangle(
                    part,
                    (rng.randrange(width), 0 if rng.random() < 0.5 else rng.randrange(height)),
                    (rng.randrange(width), height),
                    1,
                    -1,
                )
            elif pick < 0.7:
                cv2.circle(part, (rng.randrange(width), rng.randrange(height)), rng.randint(4, height), 1, -1)
            else:
                part[(np.arange(height) // rng.randint(3, 20)) % 2 == 0] = 1
            canvas = np.where(part[..., None] > 0, 255 - canvas, canvas)
        if self._chance(0.08):
            done.append("blur_after")
            canvas = cv2.blur(canvas, rng.choice(((2, 2), (3, 3), (3, 1), (1, 3), (2, 3))))
        pick = rng.random()
        if pick < 0.06 and cap > 22:
            done.append("pixelated")
            factor = rng.uniform(0.4, 0.7)
            small = cv2.resize(canvas, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
            canvas = cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST)
        elif pick < 0.12:
            done.append("resized")
            factor = rng.uniform(0.7, 1.6)
            canvas = cv2.resize(
                canvas,
                None,
                fx=factor,
                fy=factor * rng.choice((1, 1, rng.uniform(0.7, 1.4))),
                interpolation=cv2.INTER_LINEAR if rng.random() < 0.6 else cv2.INTER_NEAREST,
            )
            factor = canvas.shape[1] / width
            spans[:] = [(c * factor, w * factor) for c, w in spans]
        if self._chance(0.03):
            done.append("edges")
            blurred = cv2.GaussianBlur(canvas, (0, 0), rng.uniform(0.8, 1.6))
            strength = rng.choice((-3, -2, 2, 3))
            canvas = np.clip(128 + strength * (canvas.astype(np.float32) - blurred), 0, 255).astype(np.uint8)
        if self._chance(0.08):
            done.append("palette")
            step = rng.choice((16, 32, 51, 64))
            canvas = (canvas // step * step + step // 2).astype(np.uint8)
        if self._chance(0.05):
            done.append("threshold")
            grey = canvas.mean(2)
            low, high = float(grey.min()), float(grey.max())
            canvas = np.repeat(((grey > (low + high) / 2) * 255).astype(np.uint8)[..., None], 3, 2)
        if rng.random() < 0.3:
            done.append("jpeg")
            quality = rng.randint(30, 95) if self._chance(0.4) else rng.randint(70, 95)
            _, data = cv2.imencode(".jpg", canvas, [cv2.IMWRITE_JPEG_QUALITY, quality])
            canvas = cv2.imdecode(data, cv2.IMREAD_COLOR)
        if rng.random() < 0.08:
            done.append("framed")
            cv2.rectangle(canvas, (0, 0), (canvas.shape[1] - 1, canvas.shape[0] - 1), self._colour(), 1)
        dials["softness"] = "+".join(done) or "none"
        return np.ascontiguousarray(canvas, np.uint8)


def paste(layer: Array, mask: Pixels, x: int, y: int, colour: Sequence[float], alpha: float) -> None:
    """Paints `colour` through `mask` onto the premultiplied layer, its top left corner at (x, y)."""
    height, width = layer.shape[:2]
    x0, y0 = max(0, x), max(0, y)
    x1, y1 = min(width, x + mask.shape[1]), min(height, y + mask.shape[0])
    if x1 <= x0 or y1 <= y0:
        return
    m = mask[y0 - y : y1 - y, x0 - x : x1 - x].astype(np.float32)[..., None] * (alpha / 255)
    part = layer[y0:y1, x0:x1]
    part += m * (np.array([*colour, 1.0], np.float32) - part)


def over(canvas: Pixels, layer: Array) -> Pixels:
    """The layer composited over the canvas."""
    return np.clip(canvas * (1 - layer[..., 3:]) + layer[..., :3], 0, 255).astype(np.uint8)
