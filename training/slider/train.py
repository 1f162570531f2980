"""Trains the one-image slider network on shards that are rendered beside it; a second run continues.

python -m training.slider.train FOLDER --photos PHOTOS --minutes 40
"""

from __future__ import annotations

import argparse
import copy
import math
import multiprocessing
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor
from torch.nn import functional as F  # noqa: N812
from training.precision import quick
from training.slider import data
from training.slider.model import LOGITS, SliderNet
from training.slider.photos import load

STRIDE = 4
# Edges are learned in units of this many pixels, so that they are about as large as the logits.
UNIT = 16.0
BATCH = 24
LEARNING_RATE = 3e-3
WEIGHT_DECAY = 0.02
# Share of the time in which the learning rate rises.
WARM_UP = 0.03
# Share of the time after which the batch norms are melted into the kernels: a step then costs half, and the
# statistics
# that are shipped are the ones that are trained on. The learning rate is this share from there on.
FOLD, FOLDED_RATE = 0.18, 0.4
# The weights that are kept are a running mean over about 1 / (1 - this) steps.
AVERAGE = 0.998
# Most batches show only this many rows around the gap, which cost about half and teach as much.
ROWS, ROWS_SHARE = 112, 0.75
# Weight of each part of the loss.
GAP, LIKE, PIECE, EDGE = 1.0, 1.0, 0.5, 5.0
# Spread of a target around the cell of a centre, in cells.
SPREAD = 0.7
SHARDS = 24
CHECK_SECONDS = 240

console = Console()


def batches(folder: Path, rng: np.random.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless (N, 3, H, W) pixels and (N, 5, 4) boxes, every shard once before any comes again."""
    while True:
        shards = sorted(p for p in folder.glob("*.npz") if ".part" not in p.name)
        if not shards:
            time.sleep(2)
        for index in rng.permutation(len(shards)):
            yield from shuffled(shards[index], rng)


def shuffled(shard: Path, rng: np.random.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    with np.load(shard) as arrays:
        loaded = {name: arrays[name] for name in arrays.files}
    parts = []
    for name in loaded:
        if name.startswith("pixels_"):
            order = rng.permutation(len(loaded[name]))
            parts += [(name, order[start : start + BATCH]) for start in range(0, len(order), BATCH)]
    for index in rng.permutation(len(parts)):
        name, rows = parts[index]
        if len(rows) >= BATCH // 4:
            yield varied(loaded[name][rows], loaded[name.replace("pixels", "boxes")][rows], rng)


def shards_of(
    folder: Path, rng: np.random.Generator
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.float32]]]:
    """(H, W, 3) pixels and (5, 4) boxes of every rendered scene, the shards in random order."""
    shards = sorted(p for p in folder.glob("*.npz") if ".part" not in p.name)
    for index in rng.permutation(len(shards)):
        with np.load(shards[index]) as arrays:
            for name in (n for n in arrays.files if n.startswith("pixels_")):
                yield from zip(arrays[name], arrays[name.replace("pixels", "boxes")], strict=True)


def varied(
    pixels: NDArray[np.uint8], boxes: NDArray[np.float32], rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Cut, mirrored and recoloured. A picture with a piece at its left stays that way round."""
    if pixels.shape[1] > ROWS and rng.random() < ROWS_SHARE:
        pixels, boxes = around_gap(pixels, boxes, rng)
    height, width = pixels.shape[1:3]
    there = boxes[:, :, 2] > 0
    if rng.random() < 0.5:
        pixels = pixels[:, ::-1]
        boxes[:, :, 1] = np.where(there, height - boxes[:, :, 1] - boxes[:, :, 3], 0)
    turn = (boxes[:, 1, 2] == 0) & (rng.random(len(boxes)) < 0.5)
    pixels = np.where(turn[:, None, None, None], pixels[:, :, ::-1], pixels)
    boxes[:, :, 0] = np.where(turn[:, None] & there, width - boxes[:, :, 0] - boxes[:, :, 2], boxes[:, :, 0])
    x = (
        torch.from_numpy(np.ascontiguousarray(pixels))
        .permute(0, 3, 1, 2)[:, torch.from_numpy(rng.permutation(3))]
        .float()
    )
    gain, lift = (
        torch.from_numpy(rng.uniform(low, high, (len(x), 1, 1, 1))).float()
        for low, high in ((0.8, 1.2), (-0.15, 0.15))
    )
    return x.mul_(gain / 127.5).add_(lift - gain).clamp_(-1, 1), torch.from_numpy(boxes)


def around_gap(
    pixels: NDArray[np.uint8], boxes: NDArray[np.float32], rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """`ROWS` rows of each picture with the whole gap in them, or any where there is no gap."""
    room = pixels.shape[1] - ROWS
    y, h = boxes[:, 0, 1], boxes[:, 0, 3]
    low = np.where(h > 0, np.clip(y + h - ROWS, 0, room), 0)
    high = np.where(h > 0, np.clip(y, 0, room), room)
    first = np.rint(low + (np.maximum(high, low) - low) * rng.random(len(y))).astype(np.int64)
    part = np.stack([picture[top : top + ROWS] for picture, top in zip(pixels, first, strict=True)])
    middle = boxes[:, :, 1] + boxes[:, :, 3] / 2 - first[:, None]
    gone = (middle < 0) | (middle >= ROWS) | (boxes[:, :, 2] == 0)
    moved = boxes.copy()
    moved[:, :, 1] -= first[:, None]
    moved[gone] = 0
    return part, moved


def heat(boxes: Tensor, height: int, width: int) -> Tensor:
    """(N, height, width): a bump of sum 1 at each box's centre, nothing for a box without width. Boxes (N,
    4)."""
    cx, cy = (boxes[:, 0] + boxes[:, 2] / 2) / STRIDE - 0.5, (boxes[:, 1] + boxes[:, 3] / 2) / STRIDE - 0.5
    x = torch.exp(-((torch.arange(width) - cx[:, None]) ** 2) / (2 * SPREAD**2))
    y = torch.exp(-((torch.arange(height) - cy[:, None]) ** 2) / (2 * SPREAD**2))
    bump = y[:, :, None] * x[:, None, :]
    return bump / bump.sum((1, 2), keepdim=True).clamp_min(1e-6) * (boxes[:, 2] > 0)[:, None, None]


def where(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy over all cells and "nowhere", whose logit is 0."""
    flat = torch.cat([logits.flatten(1), torch.zeros(len(logits), 1)], 1)
    wanted = torch.cat([target.flatten(1), 1 - target.flatten(1).sum(1, keepdim=True)], 1)
    return -(wanted * F.log_softmax(flat, 1)).sum(1).mean()


def edges(maps: Tensor, boxes: Tensor) -> Tensor:
    """Mean distance of the four edges of boxes (N, K, 4), in `UNIT`s, over the nine cells around each
    centre."""
    height, width = maps.shape[2:]
    row, box = torch.nonzero(boxes[:, :, 2] > 0, as_tuple=True)
    if not len(row):
        return maps.sum() * 0
    x, y, w, h = boxes[row, box].unbind(1)
    shift = torch.tensor([(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)])
    column = ((x + w / 2) / STRIDE).long()[:, None] + shift[:, 0]
    line = ((y + h / 2) / STRIDE).long()[:, None] + shift[:, 1]
    column, line = column.clamp(0, width - 1), line.clamp(0, height - 1)
    cx, cy = (column + 0.5) * STRIDE, (line + 0.5) * STRIDE
    wanted = (
        torch.stack([cx - x[:, None], cy - y[:, None], (x + w)[:, None] - cx, (y + h)[:, None] - cy], 2)
        / UNIT
    )
    found = maps[row[:, None], :, line, column]
    return F.smooth_l1_loss(found, wanted, beta=0.05)


def loss(maps: Tensor, boxes: Tensor) -> Tensor:
    """Maps (N, 11, h, w) float; boxes (N, 5, 4): gap, piece, decoys."""
    height, width = maps.shape[2:]
    gap, piece = heat(boxes[:, 0], height, width), heat(boxes[:, 1], height, width)
    every = boxes[:, [0, 2, 3, 4]]
    like = torch.stack([heat(every[:, k], height, width) for k in range(4)]).amax(0)
    like = like / like.amax().clamp_min(1e-6)
    cells = F.binary_cross_entropy_with_logits(maps[:, 1], like, reduction="none")
    focus = (torch.sigmoid(maps[:, 1]) - like).abs() ** 2
    similar = (cells * focus).sum() / (every[:, :, 2] > 0).sum().clamp_min(1) / 4
    return (
        GAP * where(maps[:, 0], gap)
        + LIKE * similar
        + PIECE * where(maps[:, 2], piece)
        + EDGE * edges(maps[:, LOGITS : LOGITS + 4], every)
        + EDGE * edges(maps[:, LOGITS + 4 :], boxes[:, 1:2])
    )


def rate(progress: float) -> float:
    """The learning rate at a share of the time from 0 to 1."""
    if progress < WARM_UP:
        return LEARNING_RATE * max(0.02, progress / WARM_UP)
    return LEARNING_RATE * (0.005 + 0.995 * (1 + math.cos(math.pi * min(1.0, progress))) / 2)


def run(net: SliderNet, x: Tensor) -> Tensor:
    with quick():
        maps = net(x.contiguous(memory_format=torch.channels_last))
    return maps.float()  # type: ignore[no-any-return]


@torch.no_grad()
def check(net: SliderNet, shard: Path, limit: int = 512) -> str:
    """How many left edges are within 5 px in the held-out scenes with a gap, by form; and the loss."""
    net.eval()
    hits: dict[str, list[bool]] = {"bare": [], "decoys": [], "screenshot": []}
    losses = []
    with np.load(shard) as arrays:
        for name in (n for n in arrays.files if n.startswith("pixels_")):
            pixels, boxes = arrays[name], torch.from_numpy(arrays[name.replace("pixels", "boxes")])
            pixels, boxes = pixels[: limit // 4], boxes[: limit // 4]
            for start in range(0, len(pixels), BATCH):
                x = torch.from_numpy(pixels[start : start + BATCH]).permute(0, 3, 1, 2).float() / 127.5 - 1
                part = boxes[start : start + BATCH]
                maps = run(net, x)
                losses.append(float(loss(maps, part)))
                for row, found in zip(part, lefts(maps), strict=True):
                    if row[0, 2] > 0:
                        form = "screenshot" if row[1, 2] > 0 else "decoys" if row[2, 2] > 0 else "bare"
                        hits[form].append(abs(float(found - row[0, 0])) <= 5)
    net.train()
    shares = "  ".join(f"{form} {np.mean(hit):.1%} of {len(hit)}" for form, hit in hits.items())
    return f"held out: loss {np.mean(losses):.3f}  within 5 px: {shares}"


def lefts(maps: Tensor) -> Tensor:
    """(N,) left edge of the likeliest gap, in pixels of the canvas."""
    flat = maps[:, 0].flatten(1).argmax(1)
    left = maps[:, LOGITS].flatten(1).gather(1, flat[:, None])[:, 0]
    return (flat % maps.shape[3] + 0.5) * STRIDE - left * UNIT


def optimizer(net: SliderNet) -> torch.optim.AdamW:
    kernels = [p for p in net.parameters() if p.ndim > 1]
    rest = [p for p in net.parameters() if p.ndim <= 1]
    groups = [{"params": kernels}, {"params": rest, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, LEARNING_RATE, weight_decay=WEIGHT_DECAY)


# What a run in an empty folder starts from.
KEPT = Path(__file__).with_name("checkpoint.pt")


class Run:
    """The network, its average, the optimizer and the time spent: what a checkpoint holds."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.step, self.seconds, self.folded = 0, 0.0, False
        self.net = SliderNet().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.net)
        self.optimizer = optimizer(self.net)
        if file.exists():
            self._load(torch.load(file, weights_only=True))
        elif KEPT.exists():
            self._start_from(torch.load(KEPT, weights_only=True))

    def _load(self, state: dict[str, Any]) -> None:
        if state["folded"]:
            self.fold()
        self.net.load_state_dict(state["net"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.seconds = state["step"], state["seconds"]

    def _start_from(self, kept: dict[str, Any]) -> None:
        """A network that was trained before, with a new optimizer and the whole schedule before it."""
        if kept["folded"]:
            self.fold()
        self.net.load_state_dict(kept["average"])
        self.average.load_state_dict(kept["average"])

    def keep(self) -> None:
        """Puts the network into the repository, in half precision."""
        half = {k: v.half() if v.is_floating_point() else v for k, v in self.average.state_dict().items()}
        torch.save({"average": half, "folded": self.folded}, KEPT)

    def save(self) -> None:
        state = {
            "net": self.net.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
            "folded": self.folded,
        }
        torch.save(state, self.file.with_suffix(".part"))
        self.file.with_suffix(".part").rename(self.file)

    def fold(self) -> None:
        self.net = copy.deepcopy(self.average).folded().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.net)
        self.optimizer = optimizer(self.net)
        self.folded = True

    def learn(self, x: Tensor, boxes: Tensor, progress: float) -> float:
        if progress > FOLD and not self.folded:
            self.fold()
        for group in self.optimizer.param_groups:
            group["lr"] = rate(progress) * (FOLDED_RATE if self.folded else 1)
        total = loss(run(self.net, x), boxes)
        self.optimizer.zero_grad()
        total.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 5.0)
        self.optimizer.step()
        self.step += 1
        # A short memory at first, or the average would stay near the random start.
        keep = min(AVERAGE, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for mean, new in zip(
                self.average.state_dict().values(), self.net.state_dict().values(), strict=True
            ):
                if mean.dtype.is_floating_point:
                    mean.lerp_(new, 1 - keep)
                else:
                    mean.copy_(new)
        return float(total.detach())


def train(folder: Path, minutes: float) -> None:
    torch.manual_seed(0)
    run_ = Run(folder / "slider.pt")
    rng = np.random.default_rng(run_.step)
    held_out = folder / "held_out" / f"{data.HELD_OUT_SEED:06}.npz"
    last, recent = time.monotonic(), []
    checked = run_.seconds
    for x, boxes in batches(folder / "shards", rng):
        if run_.seconds >= 60 * minutes:
            break
        recent.append(run_.learn(x, boxes, run_.seconds / (60 * minutes)))
        now = time.monotonic()
        run_.seconds, last = run_.seconds + now - last, now
        if run_.step % 100 == 0:
            console.print(f"step {run_.step}  {run_.seconds / 60:.1f} min  loss {np.mean(recent):.3f}")
            recent.clear()
        if run_.seconds - checked > CHECK_SECONDS:
            checked = run_.seconds
            run_.save()
            console.print(check(run_.average, held_out))
    run_.save()
    run_.keep()
    console.print(check(run_.average, held_out, limit=4096))


def _render(photos: Path, folder: Path) -> None:
    cv2.setNumThreads(1)
    data.render(
        load(photos, held_out=True), folder / "held_out", range(data.HELD_OUT_SEED, data.HELD_OUT_SEED + 2)
    )
    data.render(load(photos, held_out=False), folder / "shards", range(SHARDS))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where shards and checkpoints are kept")
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=40)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    renderer = multiprocessing.Process(target=_render, args=(arguments.photos, arguments.folder), daemon=True)
    renderer.start()
    while not (arguments.folder / "held_out" / f"{data.HELD_OUT_SEED:06}.npz").exists():
        renderer.join(1)
        if renderer.exitcode:
            raise SystemExit("rendering failed")
    train(arguments.folder, arguments.minutes)


if __name__ == "__main__":
    main()
