"""Trains both grid networks: `python training/grid/train.py FOLDER/tiles FOLDER/weights --minutes 60`.

Goes on where it stopped. Each network gets so many minutes.
"""

from __future__ import annotations

import argparse
import math
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from rich.progress import Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "src"), str(HERE.parents[1])]

from data import (  # noqa: E402
    CLASS,
    COCO,
    FOLDERS,
    OTHER,
    TEST,
    TRAIN,
    VALIDATION,
    Cutouts,
    Tiles,
    boxes,
    corrected,
    load,
    store,
    targets,
    view,
)
from model import TileNet  # noqa: E402
from scene_model import SceneNet  # noqa: E402
from scenes import Scene, Scenes, Seen, chosen_tiles, detect, detector_class  # noqa: E402
from training.precision import quick  # noqa: E402

from legible.recognizers.grid.preprocess import TILE_PX, scaled, tensor  # noqa: E402

BATCH = 64
LR = 2e-4  # AdamW, for the blocks
LR_HEAD = 1e-3  # with LR; less where --lr is less
WEIGHT_DECAY = 0.02
EMA = 0.998
SMOOTH = 0.05  # of each label's certainty: some of them are wrong
NONE = 2.0  # tiles with none of the labels are drawn this much more often: they are most of a challenge
BALANCE = 0.5  # a label is drawn as often as its count to this power
SURE = 0.35  # a second label that the network itself sees in a training tile does not count from here on
LAID_IN = 0.25  # of the tiles have something small laid in
# Smaller pictures are quicker to learn from; the last part is at the size that is shipped.
SMALL, SMALL_UNTIL = 96, 0.5
SCENE_BATCH = 16
SCENES_HELD = 160
DETECTED = {CLASS[name]: number for name, number in COCO.items()}
LIKE = {CLASS[a]: CLASS[b] for a, b in (("taxi", "car"), ("school_bus", "bus"), ("tractor", "car"))}
BUILD = HERE / "build"
CHECKPOINT = HERE / "checkpoint.pt"

Loss = Callable[[Tensor], Tensor]


def tile_loss(logits: Tensor, target: Tensor, weight: Tensor, main: Tensor) -> Tensor:
    """Each label by itself, and the main one against the others; what may be a second label counts in
    neither."""
    soft = target * (1 - SMOOTH) + SMOOTH / 2 * (target > 0.5) + SMOOTH / 10 * (target < 0.5)
    labels = logits[:, :OTHER]
    alone = (F.binary_cross_entropy_with_logits(labels, soft, reduction="none") * weight).sum(1).mean()
    rival = F.pad((weight > 0.9) & (target < 0.5), (0, 1), value=True)
    rival[torch.arange(len(main)), main] = True
    chance = F.log_softmax(logits.masked_fill(~rival, -30.0), 1)
    against = -chance[torch.arange(len(main)), main] * (1 - SMOOTH)
    spread = -(chance * rival).sum(1) / rival.sum(1) * SMOOTH
    # A tile that is said to have none of the labels, though it may well have one, says nothing.
    known = ~((main == OTHER) & (target > 0.5).any(1))
    return 0.5 * alone + ((against + spread) * known).mean()


class Training:
    """AdamW with a cosine, bfloat16, and the average of the weights."""

    def __init__(self, name: str, net: nn.Module, average: nn.Module, lr: float) -> None:
        self.name, self.average = name, average.eval().requires_grad_(False)
        self.net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        old = ("trunk", "detector")
        trunk = [p for n, p in net.named_parameters() if n.startswith(old) and p.requires_grad]
        head = [p for n, p in net.named_parameters() if not n.startswith(old)]
        groups = [
            {"params": params, "peak": peak, "lr": peak}
            for params, peak in ((trunk, lr), (head, lr * LR_HEAD / LR))
        ]
        self.adam = torch.optim.AdamW(groups, betas=(0.9, 0.98), weight_decay=WEIGHT_DECAY)
        self.steps, self.part = 0, 0.0
        average.load_state_dict(net.state_dict())

    def step(self, x: Tensor, loss_of: Loss) -> float:
        rate = min(1.0, (self.steps + 1) / 60) * max(0.01, 0.5 * (1 + math.cos(math.pi * self.part)))
        for group in self.adam.param_groups:
            group["lr"] = group["peak"] * rate
        with quick():
            logits = self.net.train()(x)
        loss = loss_of(logits.float())
        self.adam.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.net.parameters(), 5.0)
        self.adam.step()
        self.steps += 1
        decay = min(EMA, self.steps / (10 + self.steps))
        with torch.no_grad():
            for slow, fast in zip(self.average.parameters(), self.net.parameters(), strict=True):
                if fast.requires_grad:
                    slow.lerp_(fast, 1 - decay)
        return float(loss.detach())


def channels_last(x: NDArray[np.float32]) -> Tensor:
    return torch.from_numpy(x).contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def predict(net: nn.Module, x: Callable[[NDArray[np.int64]], NDArray[np.float32]], rows: NDArray[np.int64],
            size: int = 64) -> NDArray[np.float32]:  # fmt: skip
    """Logits of the inputs that `x` makes for these rows."""
    net = net.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    parts = []
    for start in range(0, len(rows), size):
        with quick():
            parts.append(net(channels_last(x(rows[start : start + size]))).float().numpy())
    return np.concatenate(parts)


def first_label(logits: NDArray[np.float32]) -> NDArray[np.int64]:
    """(N, labels + 1) -> (N,) the strongest label; a school bus before a bus, and a taxi before a car."""
    chosen = logits.argmax(1)
    for part, whole in (("taxi", "car"), ("school_bus", "bus")):
        narrow, wide = FOLDERS.index(part), FOLDERS.index(whole)
        chosen[(chosen == wide) & (logits[:, narrow] > 0)] = narrow
    return chosen


def top1(logits: NDArray[np.float32], positive: NDArray[np.uint8], main: NDArray[np.int64]) -> float:
    """Share of tiles whose first label is one that the tile has (none, for the others)."""
    best = first_label(logits)
    has = np.concatenate([positive, (main == OTHER)[:, None]], 1)
    return float(has[np.arange(len(best)), best].mean())


class Clock:
    """Time left of a stage, in a bar; ends early when asked to stop."""

    def __init__(self, minutes: float) -> None:
        self.minutes, self.stopped = minutes, False
        signal.signal(signal.SIGTERM, lambda *_: setattr(self, "stopped", True))

    def run(
        self,
        training: Training,
        already: float,
        draw: Callable[[], tuple[Tensor, Loss]],
        done: Callable[[float], None],
    ) -> None:
        """Steps until the time is up; `already` (0-1) of the cosine is behind; `done(part)` is told now and
        then."""
        start = told = time.time()
        columns = [
            *Progress.get_default_columns()[:2],
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
        ]
        losses: list[float] = []
        with Progress(*columns) as progress:
            task = progress.add_task(training.name, total=1.0, completed=already, note="")
            while training.part < 1 and not self.stopped:
                minutes = (time.time() - start) / 60
                training.part = (
                    min(1.0, already + (1 - already) * minutes / self.minutes) if self.minutes else 1.0
                )
                losses.append(training.step(*draw()))
                note = f"{training.steps} steps, loss {np.mean(losses[-50:]):.3f}"
                progress.update(task, completed=training.part, note=note)
                if time.time() - told > 180 or training.part >= 1 or self.stopped:
                    print(
                        f"{training.name}: {minutes:.1f} min, {time.process_time():.0f} s of CPU, {note}",
                        flush=True,
                    )
                    done(training.part)
                    told = time.time()
        if self.stopped:
            sys.exit("stopped; the same command goes on from the checkpoint")


def half(net: nn.Module, average: nn.Module, before: dict[str, Tensor]) -> dict[str, Tensor]:
    """The averages of what is trained of the network, now or `before`, in half precision."""
    trained = {name for name, each in net.named_parameters() if each.requires_grad} | before.keys()
    return {k: v.half() for k, v in average.state_dict().items() if k in trained}


def checkpoint() -> dict[str, object]:
    return torch.load(CHECKPOINT, map_location="cpu") if CHECKPOINT.exists() else {}


def save(**state: object) -> None:
    """Puts these into the checkpoint; the rest of it may be another run's, which trains the other network."""
    before = checkpoint()
    part = CHECKPOINT.with_suffix(f".{os.getpid()}.part")
    torch.save(before | state, part)
    part.replace(CHECKPOINT)


def restore(net: nn.Module, state: dict[str, Tensor]) -> None:
    net.load_state_dict({k: v.float() for k, v in state.items()}, strict=False)


def train_tiles(a: argparse.Namespace, tiles: Tiles, state: dict[str, object]) -> None:
    seen = boxes(tiles, a.teachers, BUILD / "boxes.npz")
    target, weight = targets(tiles, seen)
    before: dict[str, Tensor] = state.get("tiles", {})  # type: ignore[assignment]
    nets = [TileNet(OTHER + 1) for _ in range(2)]
    for net in nets:
        net.trunk.load_imagenet(a.teachers / "mobilenet_v2_1.0_float_dequant.pt")
        restore(net, before)
    training = Training("tiles", *nets, lr=a.lr)
    training.part = float(state.get("tiles_part", 0.0))  # type: ignore[arg-type]
    rows = np.flatnonzero(tiles.split == TRAIN)
    often = np.maximum(np.bincount(tiles.main[rows], minlength=OTHER + 1), 1) ** (BALANCE - 1.0)
    often[OTHER] *= NONE
    chance = often[tiles.main[rows]] / often[tiles.main[rows]].sum()
    rng = np.random.default_rng(a.seed + 1000 * int(1e3 * training.part))
    cutouts = Cutouts(tiles, seen, rng)
    # What an earlier network saw in a tile, and nobody has looked for, counts neither for nor against it.
    unsure = doubts(a, tiles, before) & (target < 0.5)
    unsure[list(corrected(tiles))] = False
    weight[unsure] = 0.0

    def plain(i: NDArray[np.int64]) -> NDArray[np.float32]:
        return tensor(np.stack([view(tiles.pixels[each], rng, spoil=False) for each in i]))

    def draw() -> tuple[Tensor, Loss]:
        i = rng.choice(rows, BATCH, p=chance)
        pixels, values = tiles.pixels[i], [v[i] for v in (target, weight, tiles.main)]
        for n in np.flatnonzero(rng.random(BATCH) < LAID_IN):
            pixels[n], label = cutouts.lay(pixels[n])
            values[0][n, label], values[1][n, label] = 1.0, 1.0
            if values[2][n] == OTHER:
                values[2][n] = label
        side = SMALL if training.part < SMALL_UNTIL and not a.again else TILE_PX
        x = scaled(np.stack([view(each, rng) for each in pixels]), side)
        known = [torch.from_numpy(v) for v in values]
        return channels_last(x), lambda logits: tile_loss(logits, *known)

    def done(part: float) -> None:
        own = np.flatnonzero((tiles.split == VALIDATION) & tiles.real)
        share = top1(predict(training.average, plain, own), tiles.positive[own], tiles.main[own])
        print(f"tiles: {part:.2f} of the way, validation top-1 {share:.4f}", flush=True)
        save(tiles=half(training.net, training.average, before), tiles_part=part)

    Clock(a.minutes).run(training, training.part, draw, done)
    own = np.flatnonzero((tiles.split == TEST) & tiles.real)
    share = top1(predict(training.average, plain, own), tiles.positive[own], tiles.main[own])
    print(f"tiles: test top-1 {share:.4f} of {len(own)}", flush=True)


def doubts(a: argparse.Namespace, tiles: Tiles, before: dict[str, Tensor]) -> NDArray[np.bool_]:
    """(N, 17) the labels that the network of the first checkpoint sees in each tile, right or wrong."""
    cache = BUILD / "doubts.npz"
    if not cache.exists():
        if not before:
            return np.zeros((len(tiles.main), OTHER), bool)
        net = TileNet(OTHER + 1)
        net.trunk.load_imagenet(a.teachers / "mobilenet_v2_1.0_float_dequant.pt")
        restore(net, before)
        rng = np.random.default_rng(1)
        logits = predict(
            net,
            lambda i: tensor(np.stack([view(tiles.pixels[each], rng, spoil=False) for each in i])),
            np.arange(len(tiles.main)),
        )
        store(cache, {"seen": 1 / (1 + np.exp(-logits[:, :OTHER])) > SURE})
    return np.load(cache)["seen"]


@torch.no_grad()
def look(net: TileNet, tiles: Tiles, rows: NDArray[np.int64]) -> dict[int, NDArray[np.float32]]:
    """For tiles of labels that no detector knows: where the tile network sees the label, 0-1."""
    net.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    unknown = [int(i) for i in rows if tiles.main[i] != OTHER and detector_class(int(tiles.main[i])) is None]
    found = {}
    for start in range(0, len(unknown), 16):
        part = unknown[start : start + 16]
        x = np.stack([cv2.resize(tiles.pixels[i], (256, 256)) for i in part]).transpose(0, 3, 1, 2)
        with quick():
            places = net.places(channels_last(x.astype(np.float32) / 128 - 1)).float().numpy()
        for tile, each in zip(part, places, strict=True):
            own = each[tiles.main[tile]]
            # A tile whose label is not seen anywhere teaches nothing.
            if own.max() > 1 and np.ptp(own) > 1:
                found[tile] = ((own - own.min()) / np.ptp(own)).astype(np.float32)
    return found


def scene_loss(logits: Tensor, target: Tensor, weight: Tensor, asked: Tensor) -> Tensor:
    """Every cell by itself, and of the asked label how much of both sets of cells is in common."""
    alone = F.binary_cross_entropy_with_logits(logits, target, reduction="none") * weight
    n = torch.arange(len(asked))
    chance, wanted, sure = logits[n, asked].sigmoid(), target[n, asked], weight[n, asked]
    both = (chance * wanted * sure).sum((1, 2))
    either = ((chance + wanted - chance * wanted) * sure).sum((1, 2))
    return alone.sum((1, 2, 3)).mean() / 16 + (1 - (both + 0.1) / (either + 0.1)).mean()


def of_scenes(scenes: list[Scene]) -> tuple[NDArray[np.float32], list[Tensor]]:
    x = np.stack([scene.rgb for scene in scenes]).transpose(0, 3, 1, 2).astype(np.float32) / 128 - 1
    values = [torch.from_numpy(np.stack([getattr(s, name) for s in scenes])) for name in ("target", "weight")]
    return x, [*values, torch.tensor([scene.asked for scene in scenes])]


def near_scenes(logits: NDArray[np.float32], scenes: list[Scene]) -> tuple[float, float]:
    """Of the label that is asked for, the best cell always taken: how many scenes are wholly right, and how
    many within Jaccard 0.75, where that counts."""
    right, near = [], []
    for each, scene in zip(logits, scenes, strict=True):
        mine, want, sure = each[scene.asked], scene.target[scene.asked] > 0.5, scene.weight[scene.asked] > 0.5
        got = mine >= min(0.0, mine.max())
        both, either = (got & want & sure).sum(), ((got | want) & sure).sum()
        right.append(both == either)
        near.append(both >= 0.75 * either)
    return float(np.mean(right)), float(np.mean(near))


def train_scenes(a: argparse.Namespace, tiles: Tiles, state: dict[str, object]) -> None:
    rows = chosen_tiles(tiles, np.random.default_rng(1))
    seen = Seen(detect(tiles, rows, a.teachers, BUILD / "scene_boxes.npz"), places(a, tiles, rows, state))
    makers = {
        split: Scenes(
            tiles, rows[tiles.split[rows] == split], seen, np.random.default_rng(a.seed + 10 + split)
        )
        for split in (TRAIN, VALIDATION)
    }
    before: dict[str, Tensor] = state.get("scenes", {})  # type: ignore[assignment]
    nets = [SceneNet(OTHER) for _ in range(2)]
    for net in nets:
        net.load_detector(a.teachers / "nanodet-plus-m_416.onnx", DETECTED, LIKE)
        restore(net, before)
    training = Training("scenes", *nets, lr=a.lr)
    training.part = float(state.get("scenes_part", 0.0))  # type: ignore[arg-type]
    makers[TRAIN].rng = np.random.default_rng(a.seed + 7 + 1000 * int(1e3 * training.part))
    held = [makers[VALIDATION].draw() for _ in range(SCENES_HELD)]
    held_x, _ = of_scenes(held)

    def draw() -> tuple[Tensor, Loss]:
        x, values = of_scenes([makers[TRAIN].draw() for _ in range(SCENE_BATCH)])
        return channels_last(x), lambda logits: scene_loss(logits, *values)

    def done(part: float) -> None:
        logits = predict(training.average, lambda i: held_x[i], np.arange(len(held)), 16)
        exact, near = near_scenes(logits, held)
        print(
            f"scenes: {part:.2f} of the way, held out exact {exact:.3f}, within Jaccard .75 {near:.3f}",
            flush=True,
        )
        save(scenes=half(training.net, training.average, before), scenes_part=part)

    done(training.part)
    Clock(a.minutes).run(training, training.part, draw, done)


def places(
    a: argparse.Namespace, tiles: Tiles, rows: NDArray[np.int64], state: dict[str, object]
) -> dict[int, NDArray[np.float32]]:
    cache = BUILD / "places.npz"
    if not cache.exists():
        net = TileNet(OTHER + 1)
        net.trunk.load_imagenet(a.teachers / "mobilenet_v2_1.0_float_dequant.pt")
        restore(net, state["tiles"])  # type: ignore[arg-type]
        found = look(net, tiles, rows)
        store(cache, {"tiles": list(found), "places": list(found.values())})
    stored = np.load(cache)
    return dict(zip(stored["tiles"].tolist(), stored["places"], strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tiles", type=Path, help="folder of tiles, <source>/<class>/")
    parser.add_argument("teachers", type=Path, help="folder of the ImageNet weights and the two detectors")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--lr", type=float, default=LR)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", choices=("tiles", "scenes"))
    parser.add_argument(
        "--again", action="store_true", help="a new cosine from the weights of the checkpoint, at full size"
    )
    a = parser.parse_args()
    torch.manual_seed(a.seed)
    torch.set_num_threads(a.threads)
    cv2.setNumThreads(1)
    state = checkpoint()
    if a.again:
        state.pop(f"{a.only or 'tiles'}_part", None)
    tiles = load(a.tiles, BUILD / "tiles.npz")
    if a.only != "scenes":
        train_tiles(a, tiles, state)
        state |= {"tiles": checkpoint()["tiles"]}
    if a.only != "tiles":
        train_scenes(a, tiles, state)


if __name__ == "__main__":
    main()
