"""Trains the small network that looks at one place again and says where exactly its four edges are; it goes
on from the network that is kept in the repository.

python -m training.slider.refine FOLDER --minutes 12
"""

from __future__ import annotations

import argparse
import copy
import math
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from training.maps import Block
from training.precision import quick
from training.slider.train import shards_of

from legible.recognizers.slider.preprocess import CLOSE, VIEW, close, tensor

# How wrong the box is that the network starts from: its middle by this share of a side, a side by this
# factor.
MIDDLE, SIDE = 0.15, 1.3
BATCH, BOXES = 64, 3
LEARNING_RATE, WEIGHT_DECAY, WARM_UP = 3e-3, 0.02, 0.03
# Share of the learning rate for a network that was trained before, whose batch norms are in its kernels.
FOLDED_RATE = 0.4
# The weights that are kept are a running mean over about 1 / (1 - this) steps.
AVERAGE = 0.99
BINS = CLOSE // 2
# The mean over a whole edge makes logits small; this makes them large enough for a sharp distribution.
GAIN = 8.0

# What a run starts from.
KEPT = Path(__file__).with_name("edges.pt")

console = Console()


class RefineNet(nn.Module):
    """(N, 3, 64, 64) in -1..1 -> (N, 4): left, top, right and bottom as shares of the view.

    Each edge is the mean of a distribution over the BINS columns (or rows), whose logits are averaged
    over the rows (or columns): an edge is seen all along itself.
    """

    def __init__(self) -> None:
        super().__init__()
        self.fine = nn.Sequential(Block(3, 32, stride=2), Block(32, 32))
        self.coarse = nn.Sequential(
            Block(32, 64, stride=2), Block(64, 64), Block(64, 96, stride=2), Block(96, 96), Block(96, 96)
        )
        self.back = Block(96, 32, kernel=1)
        self.join = nn.Sequential(Block(32, 32), Block(32, 32))
        self.edges = nn.Conv2d(32, 4, 1)
        self.register_buffer("places", (torch.arange(BINS) + 0.5) / BINS, persistent=False)

    def logits(self, x: Tensor) -> Tensor:
        """(N, 4, BINS)."""
        fine = self.fine(x)
        maps = self.edges(self.join(fine + F.interpolate(self.back(self.coarse(fine)), scale_factor=4.0)))
        columns, rows = maps[:, 0::2].mean(2), maps[:, 1::2].mean(3)
        return GAIN * torch.stack([columns[:, 0], rows[:, 0], columns[:, 1], rows[:, 1]], 1)

    def forward(self, x: Tensor) -> Tensor:
        return (self.logits(x).softmax(2) * self.places).sum(2)  # type: ignore[no-any-return, operator]

    def folded(self) -> RefineNet:
        """The same network for serving, its batch norms and identities melted into the kernels. Changes
        this one."""
        for name, module in list(self.named_modules()):
            if isinstance(module, Block):
                owner = self.get_submodule(name.rpartition(".")[0])
                setattr(owner, name.rpartition(".")[2], nn.Sequential(module.folded(), nn.ReLU()))
        return self


def kept() -> RefineNet:
    """The folded network in the repository."""
    net = RefineNet().folded()
    net.load_state_dict(torch.load(KEPT, weights_only=True))
    return net.eval()


def keep(net: RefineNet) -> None:
    """Puts the folded network into the repository, in half precision."""
    torch.save({name: value.half() for name, value in net.state_dict().items()}, KEPT)


def edge_loss(logits: Tensor, edges: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy with the two bins around each edge, and the mean distance as a share of the view."""
    place = (edges * BINS - 0.5).clamp(0, BINS - 1.001)
    low, share = place.long(), place - place.long()
    chances = F.log_softmax(logits, 2)
    near = chances.gather(2, low[:, :, None])[:, :, 0] * (1 - share)
    far = chances.gather(2, low[:, :, None] + 1)[:, :, 0] * share
    found = (chances.exp() * ((torch.arange(BINS) + 0.5) / BINS)).sum(2)
    distance = (found - edges).abs().mean()
    return -(near + far).mean() + 8 * distance, distance


def view(
    pixels: NDArray[np.uint8], box: NDArray[np.float32], rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """A look at a box that is a little wrong, and where in it the right edges are."""
    reach = rng.uniform(0.2, 1)
    x, y, w, h = box
    width, height = box[2:] * SIDE ** rng.uniform(-reach, reach, 2)
    middle = np.array([x + w / 2, y + h / 2]) + rng.uniform(-MIDDLE, MIDDLE, 2) * box[2:] * reach
    picture, (left, top, across, down) = close(
        pixels, (middle[0] - width / 2, middle[1] - height / 2, width, height)
    )
    edges = [(x - left) / across, (y - top) / down, (x + w - left) / across, (y + h - top) / down]
    return picture, np.array(edges, np.float32)


def batches(folder: Path, rng: np.random.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless (N, 3, 64, 64) views and (N, 4) edges of gaps, decoys and pieces."""
    views: list[tuple[NDArray[np.uint8], NDArray[np.float32]]] = []
    while True:
        for pixels, boxes in shards_of(folder, rng):
            there = boxes[boxes[:, 2] > 0]
            views += [view(pixels, box, rng) for box in rng.permutation(there)[:BOXES]]
            if len(views) >= 32 * BATCH:
                order = rng.permutation(len(views))
                for start in range(0, len(order) - BATCH + 1, BATCH):
                    yield varied([views[i] for i in order[start : start + BATCH]], rng)
                views = []


def varied(
    views: list[tuple[NDArray[np.uint8], NDArray[np.float32]]], rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Mirrored and recoloured."""
    pixels, edges = np.stack([v[0] for v in views]), np.stack([v[1] for v in views])
    if rng.random() < 0.5:
        pixels, edges = (
            pixels[:, :, ::-1],
            np.stack([1 - edges[:, 2], edges[:, 1], 1 - edges[:, 0], edges[:, 3]], 1),
        )
    if rng.random() < 0.5:
        pixels, edges = (
            pixels[:, ::-1],
            np.stack([edges[:, 0], 1 - edges[:, 3], edges[:, 2], 1 - edges[:, 1]], 1),
        )
    x = torch.from_numpy(tensor(np.ascontiguousarray(pixels[..., rng.permutation(3)])))
    gain, lift = (rng.uniform(low, high, (len(x), 1, 1, 1)) for low, high in ((0.8, 1.2), (-0.15, 0.15)))
    return (x * torch.from_numpy(gain) + torch.from_numpy(lift)).clamp(-1, 1).float(), torch.from_numpy(edges)


def rate(progress: float) -> float:
    if progress < WARM_UP:
        return LEARNING_RATE * max(0.02, progress / WARM_UP)
    return LEARNING_RATE * (0.005 + 0.995 * (1 + math.cos(math.pi * min(1.0, progress))) / 2)


def run(net: RefineNet, x: Tensor) -> Tensor:
    with quick():
        logits = net.logits(x.contiguous(memory_format=torch.channels_last))
    return logits.float()


def train(folder: Path, minutes: float) -> RefineNet:
    """The network after so many more minutes, folded."""
    torch.manual_seed(0)
    rng = np.random.default_rng()
    again = KEPT.exists()
    net = (kept() if again else RefineNet()).train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = copy.deepcopy(net)
    optimizer = torch.optim.AdamW(net.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    start, recent = time.monotonic(), []
    for step, (x, edges) in enumerate(batches(folder / "shards", rng)):
        progress = (time.monotonic() - start) / (60 * minutes)
        if progress >= 1:
            break
        for group in optimizer.param_groups:
            group["lr"] = rate(progress) * (FOLDED_RATE if again else 1)
        loss, distance = edge_loss(run(net, x), edges)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimizer.step()
        with torch.no_grad():
            for mean, new in zip(average.state_dict().values(), net.state_dict().values(), strict=True):
                mean.copy_(mean.lerp(new, 1 - AVERAGE) if mean.dtype.is_floating_point else new)
        recent.append(float(distance.detach()))
        if step % 100 == 99:
            console.print(f"step {step + 1}  {progress:.0%}  mean error {np.mean(recent):.4f} of the view")
            recent.clear()
    return average.eval() if again else average.eval().folded()


@torch.no_grad()
def report(net: RefineNet, folder: Path, limit: int = 1500) -> None:
    """Mean error of the left edge on held-out scenes, in pixels of the canvas, before and after."""
    rng = np.random.default_rng(2)
    before, after = [], []
    for pixels, boxes in shards_of(folder / "held_out", rng):
        if boxes[0, 2] == 0:
            continue
        picture, edges = view(pixels, boxes[0], rng)
        found = net(torch.from_numpy(tensor(picture[None])))[0].numpy()
        across = boxes[0, 2] / (edges[2] - edges[0])
        after.append(abs(float(found[0] - edges[0]) * across))
        before.append(abs(float(0.5 - 0.5 / VIEW - edges[0]) * across))
        if len(after) >= limit:
            break
    near = np.mean([error <= 4 for error in after])
    console.print(
        f"left edge: {np.mean(before):.2f} px before, {np.mean(after):.2f} after, within 4 px {near:.1%}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where training/slider/train.py kept its shards")
    parser.add_argument("--minutes", type=float, default=12)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    if KEPT.exists():
        report(kept(), arguments.folder)
    net = train(arguments.folder, arguments.minutes)
    report(net, arguments.folder)
    keep(net)


if __name__ == "__main__":
    main()
