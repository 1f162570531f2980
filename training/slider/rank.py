"""Trains the small ranker of the two-image form: which of the proposed places is the gap, or none of them.

python -m training.slider.rank FOLDER --photos PHOTOS --scenes 16000
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from training.slider import data
from training.slider.photos import Photos, Pixels, background, load

from legible.recognizers.slider.match import match
from legible.recognizers.slider.preprocess import piece as visible

PLACES = 12
# Scenes a file of features; a twelfth of them show no gap that fits the piece.
CHUNK = 1000
MISSING = 0.08
# A place this near to the gap is right, in pixels of the picture.
NEAR = 4
HIDDEN, EPOCHS, BATCH = 48, 60, 128
LEARNING_RATE, WEIGHT_DECAY = 3e-3, 0.02

console = Console()


class Ranker(nn.Module):
    """(N, F) features of the places of one picture -> (N, 1) logits; "none of them" has logit 0."""

    def __init__(self, mean: Tensor, scale: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("scale", scale)
        self.layers = nn.Sequential(
            nn.Linear(len(mean), HIDDEN),
            nn.ReLU(),
            nn.Linear(HIDDEN, HIDDEN),
            nn.ReLU(),
            nn.Linear(HIDDEN, 1),
        )

    def forward(self, features: Tensor) -> Tensor:
        return self.layers(((features - self.mean) * self.scale).clamp(-5, 5))  # type: ignore[no-any-return]


def flattened(piece: Pixels) -> tuple[Pixels, NDArray[np.uint8] | None]:
    """The piece as the service decodes it: on white, and its alpha."""
    if piece.shape[2] == 3:
        return piece, None
    alpha = piece[:, :, 3]
    share = alpha[:, :, None].astype(np.float32) / 255
    return np.ascontiguousarray(piece[:, :, :3] * share + 255 * (1 - share)).astype(
        np.uint8
    ), np.ascontiguousarray(alpha)


def sample(rng: np.random.Generator, photos: Photos) -> tuple[NDArray[np.float32], int] | None:
    """(PLACES, F) features, NaN where there are fewer places, and the row of the gap (PLACES for none)."""
    shot = data.scene(rng, photos, "two")
    assert shot.piece is not None
    assert shot.gap is not None
    image, gap = shot.image, shot.gap
    if rng.random() < MISSING:
        # The background of another picture: as it was before the cut, or with someone else's gap.
        height, width = image.shape[:2]
        image = (
            background(rng, photos, width, height)
            if rng.random() < 0.5
            else data.scene(rng, photos, "bare").image
        )
        gap = (-99.0, -99.0, 0.0, 0.0)
    piece = visible(*flattened(shot.piece))
    if piece is None:
        return None
    found = match(image, piece, shot.piece.shape[0] == image.shape[0])
    if len(found.boxes) == 0:
        return None
    distance = np.abs(found.boxes[:, :2] - np.array(gap[:2])).max(1)
    row = int(distance.argmin()) if distance.min() <= NEAR else PLACES
    features = np.full((PLACES, found.features.shape[1]), np.nan, np.float32)
    features[: len(found.boxes)] = found.features
    return features, row


def chunk(photos: Photos, folder: Path, seed: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The features of CHUNK scenes, drawn once and kept in a file."""
    file = folder / f"{seed:06}.npz"
    if not file.exists():
        rng = np.random.default_rng(seed)
        rows = [r for r in (sample(rng, photos) for _ in range(CHUNK)) if r is not None]
        np.savez(
            file.with_suffix(".part.npz"),
            features=np.stack([r[0] for r in rows]),
            rows=np.array([r[1] for r in rows]),
        )
        file.with_suffix(".part.npz").rename(file)
    with np.load(file) as arrays:
        return arrays["features"], arrays["rows"]


def collected(photos: Photos, folder: Path, first: int, scenes: int) -> tuple[Tensor, Tensor]:
    folder.mkdir(parents=True, exist_ok=True)
    parts = [
        chunk(photos, folder, seed)
        for seed in track(range(first, first + scenes // CHUNK), description="matching")
    ]
    return torch.from_numpy(np.concatenate([p[0] for p in parts])), torch.from_numpy(
        np.concatenate([p[1] for p in parts])
    )


def logits(ranker: Ranker, features: Tensor) -> Tensor:
    """(N, PLACES + 1): the last one for "none of them"."""
    missing = features[:, :, 0].isnan()
    scores = ranker(features.nan_to_num(0.0)).squeeze(2).masked_fill(missing, -30.0)
    return torch.cat([scores, torch.zeros(len(scores), 1)], 1)


def fit(features: Tensor, rows: Tensor) -> Ranker:
    """The ranker with the least cross-entropy."""
    torch.manual_seed(0)
    known = features[~features[:, :, 0].isnan()]
    ranker = Ranker(known.mean(0), 1 / known.std(0).clamp_min(1e-3))
    optimizer = torch.optim.AdamW(ranker.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    steps = EPOCHS * (len(rows) // BATCH + 1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps + EPOCHS)
    for _ in track(range(EPOCHS), description="fitting"):
        for part in torch.randperm(len(rows)).split(BATCH):
            loss = F.cross_entropy(logits(ranker, features[part]), rows[part])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    return ranker


@torch.no_grad()
def report(ranker: Ranker, features: Tensor, rows: Tensor) -> None:
    """How often the first place is right on scenes of held-out photos, and how far its probability can be
    trusted."""
    probability = logits(ranker, features).softmax(1)
    best = probability[:, :-1].max(1)
    right = best.indices == rows
    there = rows < PLACES
    console.print(
        f"gap among the places {there.float().mean():.1%} of {len(rows)}; "
        f"first place right {right[there].float().mean():.1%}"
    )
    for low, high in ((0, 0.3), (0.3, 0.5), (0.5, 0.7), (0.7, 0.9), (0.9, 0.99), (0.99, 1.01)):
        inside = (best.values >= low) & (best.values < high)
        if inside.any():
            console.print(
                f"confidence {low:.2f}-{min(high, 1):.2f}: {int(inside.sum())} scenes, "
                f"mean {best.values[inside].mean():.3f}, right {right[inside].float().mean():.3f}"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where features and the checkpoint are kept")
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--scenes", type=int, default=8_000)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    held_out = load(arguments.photos, held_out=True)
    test = collected(held_out, arguments.folder / "ranker", data.HELD_OUT_SEED, CHUNK)
    training = collected(
        load(arguments.photos, held_out=False), arguments.folder / "ranker", 0, arguments.scenes
    )
    ranker = fit(*training)
    report(ranker, *test)
    torch.save({"ranker": ranker.state_dict()}, arguments.folder / "ranker.pt")


if __name__ == "__main__":
    main()
