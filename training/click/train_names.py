"""Trains the network that names things, on what ImageNet's first blocks make of views that are drawn once.

python -m training.click.train_names BANK PHOTOS TILES WEIGHTS --epochs 10 --cache FOLDER
python -m training.click.train_names --mean ONE.pt OTHER.pt ...    # of several such trainings, by equal parts
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
from torch import nn
from torch.nn import functional as F  # noqa: N812
from training.click import named
from training.click.model import IMAGENET, KEPT, NameNet
from training.click.scenes import Bank, Scenes, grounds
from training.click.vocabulary import CLASSES, NAMES, NONE
from training.onnx_files import to_onnx
from training.precision import quick

from legible.model_store import session
from legible.recognizers.click.names import CROP, tensor

CHECKPOINT = Path(__file__).with_name("names.pt")
GROUPS = (*(each.imagenet for each in CLASSES.values()), ())
NEAR = (*(each.near for each in CLASSES.values()), ())
# Views of each class and of none of them, and of what is seen in heaps as well: to learn from, and of
# held-out pictures. Grounds under them.
VIEWS, NONES = 56, 800
HEAPS = 160
RINGS = 0.25
HELD_OUT, HELD_OUT_NONES = 6, 200
# Views of photos beside these, in which everything that ImageNet's labels say is to stay as it was (learning
# without forgetting, Li and Hoiem 2016): so photos of what is only learned from drawings go on being known.
# What they show is half what ImageNet says and half their label, and all what ImageNet says where that is
# none of ours: or else every photo of what has no photo here would be taken for one of those that have.
PHOTOS, PHOTO_NONES, REMEMBERED = 24, 1400, 0.5
GROUNDS = 200
BATCH = 64
LR, HEAD_LR, DECAY = 4e-4, 1e-3, 1e-4
# The head is taught to the end when the blocks are done.
HEAD_BATCH, EPOCHS, HEAD_DECAY = 256, 15, 1e-2
# Labels are certain to this share: a drawing may look like another thing.
SMOOTHING = 0.05
AVERAGE = 0.995


# (n, 64, 8, 8) in half precision, (n,) classes, and of how many the last are photos.
Cached = tuple[torch.Tensor, torch.Tensor, int]


def features(
    first: ort.InferenceSession, views: Iterable[tuple[int, NDArray[np.uint8]]]
) -> tuple[torch.Tensor, torch.Tensor]:
    """What the first blocks see of views, and the classes."""
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
        things = named.load(bank, arguments.tiles, held_out)
        views = named.Views(things, ground, rng, 0 if held_out else RINGS)
        first = session(folder / "first.onnx")
        if held_out:
            drawn = dict.fromkeys(NAMES, HELD_OUT) | {NONE: HELD_OUT_NONES}
            photos = dict.fromkeys(NAMES, HELD_OUT) | {NONE: 0}
        else:
            drawn = dict.fromkeys(NAMES, VIEWS) | dict.fromkeys(named.HEAPED, HEAPS) | {NONE: NONES}
            photos = dict.fromkeys(NAMES, PHOTOS) | {NONE: PHOTO_NONES}
        parts = [features(first, named.several(views, drawn)),
                 features(first, named.several(views, photos, named.PHOTO))]  # fmt: skip
        pictures, classes = (torch.cat(each) for each in zip(*parts, strict=True))
        torch.save((pictures, classes, len(parts[1][1])), path)
    return torch.load(path)  # type: ignore[no-any-return]


def pooled_of(net: NameNet, features: torch.Tensor) -> torch.Tensor:
    """(n, 1280), without learning."""
    net.eval()
    with torch.no_grad(), quick():
        return torch.cat([net.pooled(x.float()).float() for x in features.split(256)])


def top1(net: NameNet, held_out: Cached) -> str:
    """The share of views whose class comes first: of all kinds, and of photos."""
    with torch.no_grad():
        right = (net.told(pooled_of(net, held_out[0])).argmax(1) == held_out[1]).float()
    photos = held_out[2]
    return f"{right[:-photos].mean():.1%}, photos {right[-photos:].mean():.1%}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("bank", "photos", "tiles", "weights"):
        parser.add_argument(name, type=Path, nargs="?")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--out", type=Path, default=CHECKPOINT)
    parser.add_argument("--cache", type=Path, help="a folder for what the first blocks saw")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--mean", type=Path, nargs="+", help="checkpoints of which --out becomes the mean")
    arguments = parser.parse_args()
    if arguments.mean:
        average(arguments.mean, arguments.out)
        return
    if arguments.weights is None or arguments.cache is None:
        parser.error("a training needs BANK PHOTOS TILES WEIGHTS and --cache")
    torch.manual_seed(arguments.seed)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    net = NameNet(GROUPS, arguments.weights, NEAR).eval()
    held_out, learned = (cached(arguments.cache, net, arguments, held_out=part) for part in (True, False))
    print(
        f"{len(learned[1])} views, {len(held_out[1])} held out, CPU {time.process_time():.0f} s", flush=True
    )
    remembered = imagenet_says(net, learned)
    if arguments.out.exists():
        net.load_state_dict(torch.load(arguments.out, map_location="cpu"))
    if arguments.epochs:
        net = train(net, learned, remembered, held_out, arguments)
    finish(net, learned, remembered)
    torch.save(net.half().state_dict(), arguments.out)
    print(f"in the end: held out {top1(net.float(), held_out)}, CPU {time.process_time():.0f} s", flush=True)


def average(checkpoints: list[Path], out: Path) -> None:
    """The mean of the weights of trainings that began alike (Wortsman et al. 2022)."""
    parts = [torch.load(path, map_location="cpu") for path in checkpoints]
    mean = {name: torch.stack([part[name].float() for part in parts]).mean(0).half() for name in parts[0]}
    torch.save(mean, out)


def imagenet_says(net: NameNet, learned: Cached) -> torch.Tensor:
    """(n, 1001) how likely its labels are for the photos, before anything is learned."""
    with torch.no_grad():
        return net.head(pooled_of(net, learned[0][-learned[2] :]))[:, :IMAGENET].softmax(1)  # type: ignore[no-any-return]


def loss_of(
    net: NameNet, pooled: torch.Tensor, part: torch.Tensor, learned: Cached, remembered: torch.Tensor
) -> torch.Tensor:
    """Of the classes of some views, and of what is forgotten of the photos among them."""
    scores = net.head(F.dropout(pooled, 0.2, net.training))
    wanted = smoothed(learned[1][part])
    photos = part >= len(learned[1]) - learned[2]
    if not photos.any():
        return F.cross_entropy(net.together(scores), wanted)
    says = remembered[part[photos] - (len(learned[1]) - learned[2])]
    theirs = torch.where(wanted[photos].argmax(1) == len(NAMES) - 1, 1.0, 0.5)[:, None]
    ours = says @ net.members[:, :IMAGENET].T
    wanted[photos] = theirs * ours + (1 - theirs) * wanted[photos]
    return F.cross_entropy(net.together(scores), wanted) + REMEMBERED * F.cross_entropy(
        scores[photos, :IMAGENET], says
    )


def smoothed(classes: torch.Tensor) -> torch.Tensor:
    """(n,) -> (n, classes): as certain as labels are."""
    return F.one_hot(classes, len(NAMES)) * (1 - SMOOTHING) + SMOOTHING / len(NAMES)


def finish(net: NameNet, learned: Cached, remembered: torch.Tensor) -> None:
    """Teaches the head alone, which takes no time, to the end."""
    pooled = pooled_of(net, learned[0])
    net.train()
    optimizer = torch.optim.AdamW(net.head.parameters(), HEAD_LR, weight_decay=HEAD_DECAY)
    steps = EPOCHS * (len(pooled) // HEAD_BATCH)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = HEAD_LR * (0.02 + 0.49 * (1 + math.cos(math.pi * step / steps)))
        part = torch.randint(len(pooled), (HEAD_BATCH,))
        loss = loss_of(net, pooled[part], part, learned, remembered)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    net.eval()


def train(
    net: NameNet, learned: Cached, remembered: torch.Tensor, held_out: Cached, arguments: argparse.Namespace
) -> NameNet:
    """All blocks that learn, and the head; returns the running average."""
    late = nn.Sequential(net.trunk.blocks[KEPT:], net.trunk.last)
    groups = [
        {"params": list(module.parameters()), "lr": top, "top": top}
        for module, top in ((late, LR), (net.head, HEAD_LR))
    ]
    weights = [each for group in groups for each in group["params"]]
    for each in weights:
        each.requires_grad_(True)
    optimizer = torch.optim.AdamW(groups, weight_decay=DECAY)
    mean = deepcopy(net)
    step, total, steps = 0, 0.0, arguments.epochs * -(-len(learned[1]) // BATCH)
    for epoch in range(arguments.epochs):
        net.train()
        for part in torch.randperm(len(learned[1])).split(BATCH):
            share = 0.02 + 0.49 * (1 + math.cos(math.pi * step / steps))
            for group in optimizer.param_groups:
                group["lr"] = group["top"] * min(1, (step + 1) / 50) * share
            x = learned[0][part].float()
            if torch.rand(()) < 0.5:
                x = x.flip(3)
            with quick():
                pooled = net.pooled(x)
            loss = loss_of(net, pooled.float(), part, learned, remembered)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(weights, 5.0)
            optimizer.step()
            step, total = step + 1, total + float(loss.detach())
            for average, value in zip(mean.parameters(), net.parameters(), strict=True):
                average.data.lerp_(value.data, 1 - min(AVERAGE, (1 + step) / (10 + step)))
        torch.save(mean.state_dict(), arguments.out)
        print(f"epoch {epoch + 1}, loss {total / step:.3f}, held out {top1(mean, held_out)}, "
              f"CPU {time.process_time():.0f} s", flush=True)  # fmt: skip
    return mean


if __name__ == "__main__":
    main()
