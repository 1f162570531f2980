"""Trains the network that finds objects on scenes that are drawn as it goes.

python -m training.click.train BANK PHOTOS --minutes 50    goes on from objects.pt where it is
"""

from __future__ import annotations

import argparse
import math
import time
from copy import deepcopy
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812
from training.click.model import ObjectNet
from training.click.scenes import Bank, Scenes, grounds
from training.precision import quick

from legible.recognizers.click.preprocess import tensor

CHECKPOINT = Path(__file__).with_name("objects.pt")
BATCH = 16
# Drawing takes as long as learning: so many of a batch are new, the others were drawn before and are turned.
NEW, KEPT = 7, 3000
LR, WARM_UP, DECAY = 2e-3, 60, 1e-4
# The running average of the weights is what is kept; at first it follows faster.
AVERAGE = 0.998
SAVED_EVERY = 120.0  # seconds
# Of held-out pictures, scored whenever the checkpoint is written.
HELD_OUT = 64


def loss_of(maps: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Losses of centres (focal, as in CenterNet), insides and radii; `wanted` (N, 4, h, w) is `Target`s."""
    heat, mask, size, known = wanted.unbind(1)
    chance = torch.sigmoid(maps[:, 0])
    there = heat >= 1
    found = there * (1 - chance) ** 2 * F.logsigmoid(maps[:, 0])
    missed = ~there * (1 - heat) ** 4 * chance**2 * F.logsigmoid(-maps[:, 0])
    centres = -(found + missed).sum() / there.sum().clamp(min=1)
    inside = F.binary_cross_entropy_with_logits(maps[:, 1], mask)
    radii = ((maps[:, 2] - size).abs() * known).sum() / known.sum().clamp(min=1)
    return centres, inside, radii


def batch_of(scenes: Scenes, count: int) -> tuple[Tensor, Tensor]:
    pictures, targets = zip(*(scenes.draw() for _ in range(count)), strict=True)
    wanted = np.stack([np.stack([t.heat, t.mask, t.size, t.known]) for t in targets])
    return torch.from_numpy(np.concatenate([tensor(p) for p in pictures])), torch.from_numpy(wanted)


class Batches:
    """New scenes and turned ones that were seen before."""

    def __init__(self, scenes: Scenes, rng: np.random.Generator) -> None:
        self.scenes, self.rng = scenes, rng
        self.kept: list[tuple[Tensor, Tensor]] = []

    def next(self) -> tuple[Tensor, Tensor]:
        new = NEW if len(self.kept) > 10 * BATCH else BATCH
        drawn = list(zip(*batch_of(self.scenes, new), strict=True))
        old = [self._turned(*self.kept[int(self.rng.integers(len(self.kept)))]) for _ in range(BATCH - new)]
        self.kept = [*self.kept, *drawn][-KEPT:]
        pictures, wanted = zip(*drawn, *old, strict=True)
        return torch.stack(pictures), torch.stack(wanted)

    def _turned(self, picture: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
        turns, flip = int(self.rng.integers(4)), bool(self.rng.integers(2))
        picture, wanted = torch.rot90(picture, turns, (1, 2)), torch.rot90(wanted, turns, (1, 2))
        if flip:
            picture, wanted = picture.flip(2), wanted.flip(2)
        colours = picture[torch.from_numpy(self.rng.permutation(3))] * self.rng.uniform(0.7, 1.0)
        return torch.cat([colours, picture[3:]]), wanted


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bank", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--minutes", type=float, default=50)
    parser.add_argument("--out", type=Path, default=CHECKPOINT)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    rng = np.random.default_rng(arguments.seed)
    drawn = Batches(Scenes(Bank.load(arguments.bank, False), grounds(arguments.photos, False), rng), rng)
    unseen = Scenes(
        Bank.load(arguments.bank, True), grounds(arguments.photos, True), np.random.default_rng(0), 40
    )
    held_out = batch_of(unseen, HELD_OUT)
    net = ObjectNet()
    seen = 0
    if arguments.out.exists():
        state = torch.load(arguments.out, map_location="cpu")
        net.load_state_dict(state["model"])
        seen = state["seen"]
    net = net.to(memory_format=torch.channels_last)
    mean = deepcopy(net).eval()
    optimizer = torch.optim.AdamW(net.parameters(), LR, weight_decay=DECAY)
    start = saved = time.monotonic()
    step, drawing, sums = 0, 0.0, np.zeros(3)
    while (share := (time.monotonic() - start) / (60 * arguments.minutes)) < 1:
        began = time.process_time()
        pictures, wanted = drawn.next()
        drawing += time.process_time() - began
        for group in optimizer.param_groups:
            group["lr"] = LR * min(1, (step + 1) / WARM_UP) * (0.02 + 0.49 * (1 + math.cos(math.pi * share)))
        with quick():
            maps = net(pictures.to(memory_format=torch.channels_last))
        losses = loss_of(maps.float(), wanted)
        optimizer.zero_grad()
        (losses[0] + losses[1] + 0.5 * losses[2]).backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimizer.step()
        step, seen = step + 1, seen + BATCH
        keep = min(AVERAGE, (1 + step) / (10 + step))
        for average, value in zip(mean.state_dict().values(), net.state_dict().values(), strict=True):
            average.lerp_(value, 1 - keep) if average.is_floating_point() else average.copy_(value)
        sums += [float(each.detach()) for each in losses]
        if time.monotonic() - saved > SAVED_EVERY or step == 50:
            saved = time.monotonic()
            torch.save({"model": mean.state_dict(), "seen": seen}, arguments.out)
            with torch.no_grad():
                scored = [f"{float(each):.3f}" for each in loss_of(mean(held_out[0]), held_out[1])]
            spent = 1e3 * np.array([time.process_time(), drawing]) / (step * BATCH)
            print(
                f"{seen} scenes, {share:.0%}, loss {(sums / step).round(3)}, held out {scored}, "
                f"CPU a scene {spent[0]:.0f} ms, {spent[1]:.0f} ms of it drawing",
                flush=True,
            )
    torch.save({"model": mean.state_dict(), "seen": seen}, arguments.out)


if __name__ == "__main__":
    main()
