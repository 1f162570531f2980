"""Averages the weights of two trainings of the text network into checkpoint.pt (Wortsman et al. 2022):
`python training/text/mean.py OTHER.pt --share 0.4`; both must have the network of model.py."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import Tensor

CHECKPOINT = Path(__file__).parent / "checkpoint.pt"


def mean(ours: dict[str, Tensor], theirs: dict[str, Tensor], share: float) -> dict[str, Tensor]:
    """`share` (0-1) of their weights and the rest of ours, in half precision; counters stay ours."""
    if ours.keys() != theirs.keys():
        raise SystemExit("the two checkpoints are not of the same network: train both with one model.py")
    return {
        name: value.float().lerp(theirs[name].float(), share).half() if value.is_floating_point() else value
        for name, value in ours.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("other", type=Path, help="a checkpoint of train.py")
    parser.add_argument("--share", type=float, default=0.5, help="of the other's weights (0-1)")
    a = parser.parse_args()
    ours, theirs = (torch.load(path, map_location="cpu") for path in (CHECKPOINT, a.other))
    weights = mean(ours["ema"], theirs["ema"], a.share)
    # Training goes on from the mean, too.
    facts = {"seen": max(ours["seen"], theirs["seen"]), "minutes": max(ours["minutes"], theirs["minutes"])}
    torch.save({"net": weights, "ema": weights, **facts}, CHECKPOINT)
    print(f"{CHECKPOINT.name}: {1 - a.share:.0%} of itself, {a.share:.0%} of {a.other.name}")


if __name__ == "__main__":
    main()
