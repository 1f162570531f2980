"""Trains the network that names things, on what ImageNet's first blocks make of views that are drawn once.

python -m training.click.train_names BANK PHOTOS TILES WEIGHTS --minutes 30
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterable, Iterator
from copy import deepcopy
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from torch.nn import functional as F  # noqa: N812
from training.click import named
from training.click.model import KEPT, NameNet
from training.click.onnx_files import session, to_onnx
from training.click.scenes import Bank, Scenes, grounds
from training.click.vocabulary import CLASSES, NAMES, NONE

from legible.recognizers.click.names import CROP, tensor

CHECKPOINT = Path(__file__).with_name("names.pt")
GROUPS = (*(each.imagenet for each in CLASSES.values()), ())
# Views of each class and of none of them: to learn from, and of held-out pictures. Grounds under them.
VIEWS, NONES = 48, 1200
HELD_OUT, HELD_OUT_NONES = 6, 200
GROUNDS = 200
BATCH = 64
LR, HEAD_LR, DECAY = 4e-4, 1e-3, 1e-4
# The head is taught to the end when the blocks are done.
HEAD_BATCH, EPOCHS, HEAD_DECAY = 256, 15, 1e-2
# Labels are certain to this share: a drawing may look like another thing.
SMOOTHING = 0.05
AVERAGE = 0.995


Cached = tuple[torch.Tensor, torch.Tensor]


def features(first: ort.InferenceSession, views: Iterable[tuple[int, NDArray[np.uint8]]]) -> Cached:
    """(n, 64, 7, 7) in half precision, and (n,) classes."""
    found, classes = [], []
    for part in batched(views, BATCH):
        pictures = tensor(np.stack([picture for _, picture in part]))
        found.append(torch.from_numpy(first.run(None, {"pixels": pictures})[0]).half())
        classes += [index for index, _ in part]
    return torch.cat(found), torch.tensor(classes)


def batched(
    views: Iterable[tuple[int, NDArray[np.uint8]]], size: int
) -> Iterator[list[tuple[int, NDArray[np.uint8]]]]:
    each = iter(views)
    while part := list(islice(each, size)):
        yield part


def cached(folder: Path, net: NameNet, arguments: argparse.Namespace, held_out: bool) -> Cached:
    """The views of one part as the first blocks see them, drawn unless they lie in the folder."""
    path = folder / ("held_out.pt" if held_out else "learned.pt")
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        to_onnx(net.trunk.blocks[:KEPT], torch.zeros(2, 3, CROP, CROP), folder / "first.onnx", {0: "n"})
        rng = np.random.default_rng((arguments.seed, held_out))
        bank = Bank.load(arguments.bank, held_out=False)
        ground = Scenes(bank, grounds(arguments.photos, held_out), rng, GROUNDS)
        views = named.Views(named.load(bank, arguments.tiles, held_out), ground, rng)
        each, none = (HELD_OUT, HELD_OUT_NONES) if held_out else (VIEWS, NONES)
        drawn = named.several(views, dict.fromkeys(NAMES, each) | {NONE: none})
        torch.save(features(session(folder / "first.onnx"), drawn), path)
    return torch.load(path)  # type: ignore[no-any-return]


def top1(net: NameNet, held_out: tuple[torch.Tensor, torch.Tensor]) -> float:
    net.eval()
    with torch.no_grad():
        right = [
            (net.told(net.pooled(x.float())).argmax(1) == y).float()
            for x, y in zip(held_out[0].split(256), held_out[1].split(256), strict=True)
        ]
    return float(torch.cat(right).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("bank", "photos", "tiles", "weights"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--out", type=Path, default=CHECKPOINT)
    parser.add_argument("--cache", type=Path, required=True, help="a folder for what the first blocks saw")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    net = NameNet(GROUPS, arguments.weights).eval()
    held_out, learned = (cached(arguments.cache, net, arguments, held_out=part) for part in (True, False))
    print(
        f"{len(learned[1])} views, {len(held_out[1])} held out, CPU {time.process_time():.0f} s", flush=True
    )
    if arguments.out.exists():
        net.load_state_dict(torch.load(arguments.out, map_location="cpu"))
    if arguments.minutes:
        net = train(net, learned, held_out, arguments)
    finish(net, learned)
    torch.save(net.state_dict(), arguments.out)
    print(f"in the end: held out {top1(net, held_out):.1%}, CPU {time.process_time():.0f} s", flush=True)


def finish(net: NameNet, learned: Cached) -> None:
    """Teaches the head alone, which takes no time, to the end."""
    net.eval()
    with torch.no_grad():
        pooled = torch.cat([net.pooled(x.float()) for x in learned[0].split(256)])
    net.train()
    optimizer = torch.optim.AdamW(net.head.parameters(), HEAD_LR, weight_decay=HEAD_DECAY)
    steps = EPOCHS * (len(pooled) // HEAD_BATCH)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = HEAD_LR * (0.02 + 0.49 * (1 + math.cos(math.pi * step / steps)))
        part = torch.randint(len(pooled), (HEAD_BATCH,))
        loss = F.cross_entropy(net.told(pooled[part]), learned[1][part], label_smoothing=SMOOTHING)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    net.eval()


def train(
    net: NameNet,
    learned: tuple[torch.Tensor, torch.Tensor],
    held_out: tuple[torch.Tensor, torch.Tensor],
    arguments: argparse.Namespace,
) -> NameNet:
    """All blocks that learn, and the head; returns the running average."""
    late = [p for module in (net.trunk.blocks[KEPT:], net.trunk.last) for p in module.parameters()]
    for each in late:
        each.requires_grad_(True)
    groups = [
        {"params": late, "lr": LR, "top": LR},
        {"params": net.head.parameters(), "lr": HEAD_LR, "top": HEAD_LR},
    ]
    optimizer = torch.optim.AdamW(groups, weight_decay=DECAY)
    mean = deepcopy(net)
    start, step, total = time.monotonic(), 0, 0.0
    while (share := (time.monotonic() - start) / (60 * arguments.minutes)) < 1:
        net.train()
        order = torch.randperm(len(learned[1]))
        for part in order.split(BATCH):
            share = min(1.0, (time.monotonic() - start) / (60 * arguments.minutes))
            for group in optimizer.param_groups:
                group["lr"] = (
                    group["top"] * min(1, (step + 1) / 50) * (0.02 + 0.49 * (1 + math.cos(math.pi * share)))
                )
            x = learned[0][part].float()
            if torch.rand(()) < 0.5:
                x = x.flip(3)
            loss = F.cross_entropy(net.told(net.pooled(x)), learned[1][part], label_smoothing=SMOOTHING)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_([p for g in groups for p in g["params"]], 5.0)  # type: ignore[attr-defined, union-attr]
            optimizer.step()
            step, total = step + 1, total + float(loss.detach())
            for average, value in zip(mean.parameters(), net.parameters(), strict=True):
                average.data.lerp_(value.data, 1 - min(AVERAGE, (1 + step) / (10 + step)))
            if share >= 1:
                break
        torch.save(mean.state_dict(), arguments.out)
        print(f"{step} steps, {share:.0%}, loss {total / step:.3f}, held out {top1(mean, held_out):.1%}, "
              f"CPU {time.process_time():.0f} s", flush=True)  # fmt: skip
    return mean


if __name__ == "__main__":
    main()
