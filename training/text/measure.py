"""How well a network reads: on fresh pictures of our own, and on folders of labelled families (measured
only)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from data import TIMES, Generator, Sample
from fonts import HAN, LETTERS
from numpy.typing import NDArray
from training.precision import quick

from legible.images import decode
from legible.recognizers.arithmetic.decode import CHARS
from legible.recognizers.text.decode import ALPHANUMERIC, greedy, restrict
from legible.recognizers.text.preprocess import fit, flatten, to_tensor

CHARSET = LETTERS + "+-*/÷=?" + HAN + "().·:"
BLANK = len(CHARSET)
OWN_SEED, OWN_SIZE = 987654321, 1500

# family -> [(tensor of one picture, label)]
Measured = dict[str, list[tuple[NDArray[np.float32], str]]]


def own_samples(size: int, seed: int, level: float = 1.0) -> list[Sample]:
    """Pictures of our own generator that no training sees; `level` (0-1) is how hard they may be."""
    generator = Generator(seed, level)
    return [generator.sample() for _ in range(size)]


def own_set(size: int = OWN_SIZE, seed: int = OWN_SEED) -> Measured:
    """Such pictures as the network sees them."""
    return {"own": [(to_tensor(fit(s.rgb)[0]), s.label) for s in own_samples(size, seed)]}


def families(root: Path) -> Measured:
    """The families under `root`, each a folder with labels.tsv."""
    result: Measured = {}
    for folder in sorted(p for p in root.iterdir() if (p / "labels.tsv").exists()):
        rows = []
        for line in (folder / "labels.tsv").read_text("utf-8").splitlines():
            name, label, *_ = line.split("\t")
            picture = decode((folder / name).read_bytes())
            rows.append((to_tensor(fit(flatten(picture))[0]), label))
        result[folder.name] = rows
    return result


def is_sum(label: str) -> bool:
    return not (label.isascii() and label.isalnum())


@torch.no_grad()
def read(net: torch.nn.Module, measured: Measured) -> dict[str, list[tuple[str, str]]]:
    """family -> [(label, what was read)]; sums are read with all characters, texts with letters and
    digits."""
    flat = [(f, i, x) for f, rows in measured.items() for i, (x, _) in enumerate(rows)]
    found: dict[tuple[str, int], str] = {}
    for width in sorted({x.shape[2] for *_, x in flat}):
        group = [item for item in flat if item[2].shape[2] == width]
        for start in range(0, len(group), 128):
            part = group[start : start + 128]
            x = torch.from_numpy(np.stack([item[2] for item in part])).to(memory_format=torch.channels_last)
            with quick():
                logits = net(x).float().softmax(-1).numpy()
            for (family, i, _), row in zip(part, logits, strict=True):
                chars = CHARS if is_sum(measured[family][i][1]) else ALPHANUMERIC
                found[family, i] = greedy(restrict(row, CHARSET, chars), chars).text
    return {
        f: [(label.replace("×", TIMES), found[f, i]) for i, (_, label) in enumerate(rows)]
        for f, rows in measured.items()
    }


def evaluate(net: torch.nn.Module, measured: Measured) -> tuple[float, float]:
    """Mean over the families of the share read right, in percent: ignoring case, exact."""
    results = read(net, measured).values()
    nocase = np.mean([np.mean([want.lower() == got.lower() for want, got in rows]) for rows in results])
    exact = np.mean([np.mean([want == got for want, got in rows]) for rows in results])
    return round(100 * float(nocase), 2), round(100 * float(exact), 2)
