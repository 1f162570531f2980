"""Trains both grid networks: `python training/grid/train.py FOLDER/tiles FOLDER/weights --minutes 60`; goes
on where it stopped.

Two thirds of the time go to tiles, the rest to scenes. The early blocks stay as ImageNet made them; their
features of every
spoiled view are computed once and kept in `build/`, so that a step costs a third of what it would.
"""

from __future__ import annotations

import argparse
import math
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import onnxruntime as ort
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from rich.progress import Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "src")]

from data import (  # noqa: E402  # noqa: E402
    COCO,
    FOLDERS,
    OTHER,
    OUTLINED,
    TEST,
    TRAIN,
    VALIDATION,
    Scenes,
    Tiles,
    boxes,
    load,
    store,
    targets,
    view,
)
from model import SceneNet, TileNet  # noqa: E402

from legible.recognizers.grid.preprocess import scene_tensor, tensor  # noqa: E402

BATCH = 96
LR = 4e-4  # AdamW, for the late blocks
LR_HEAD = 2e-3
WEIGHT_DECAY = 0.02
EMA = 0.998
VIEWS = 3  # spoiled views of a common tile; rare labels get up to MOST_VIEWS
MOST_VIEWS = 12
VIEWS_OF_LABEL = 1500  # what a rare label should reach
NONE = 2.0  # tiles with none of the labels are drawn this much more often: they are most of a challenge
BALANCE = 0.5  # a label is drawn as often as its count to this power
SURE = 0.35  # a second label that the network itself sees in a training tile does not count from here on
SHARE_OF_TILES = 0.66
PLACE = 0.4  # a place of a tile belongs to its object from this share of the strongest place on
SCENES = 2400
SCENE_BATCH = 24
BUILD = HERE / "build"
CHECKPOINT = HERE / "checkpoint.pt"


class Early:
    """The frozen blocks in ONNX Runtime, which runs them twice as fast as PyTorch on a CPU."""

    def __init__(self, net: nn.Module) -> None:
        with tempfile.TemporaryDirectory() as folder:
            file = f"{folder}/early.onnx"
            axes = {"x": {0: "n", 2: "h", 3: "w"}}
            example = (torch.zeros(2, 3, 128, 128),)
            torch.onnx.export(net.eval(), example, file, dynamo=False, input_names=["x"], dynamic_axes=axes)
            options = ort.SessionOptions()
            options.intra_op_num_threads = 1
            self.session = ort.InferenceSession(file, options)

    def __call__(self, x: NDArray[np.float32]) -> NDArray[np.float16]:
        """(N, 3, S, S) -> (N, S / 16, S / 16, 64), the channels last."""
        return self.session.run(None, {"x": x})[0].transpose(0, 2, 3, 1).astype(np.float16)


def batches(pixels: Iterator[NDArray[np.uint8]], size: int) -> Iterator[NDArray[np.uint8]]:
    batch = []
    for each in pixels:
        batch.append(each)
        if len(batch) == size:
            yield np.stack(batch)
            batch = []
    if batch:
        yield np.stack(batch)


def tile_features(tiles: Tiles, early: Early, seed: int) -> dict[str, NDArray[np.generic]]:
    """`x` features and `tile` of every view: plain ones of all tiles first, then spoiled ones of those for
    training."""
    counts = np.bincount(tiles.main[tiles.split == TRAIN], minlength=OTHER + 1)
    views = np.clip(np.ceil(VIEWS_OF_LABEL / np.maximum(counts, 1)), VIEWS, MOST_VIEWS).astype(int)
    rng = np.random.default_rng(seed)
    plain = np.arange(len(tiles.main))
    spoiled = np.concatenate(
        [np.repeat(i, views[tiles.main[i]]) for i in np.flatnonzero(tiles.split == TRAIN)]
    )
    spoiled = rng.permutation(spoiled)
    order = np.concatenate([plain, spoiled])
    x = np.zeros((len(order), 8, 8, 64), np.float16)
    drawn = (view(tiles.pixels[i], rng, spoil=n >= len(plain)) for n, i in enumerate(order))
    done = 0
    for batch in batches(drawn, 32):
        x[done : done + len(batch)] = early(tensor(batch))
        done += len(batch)
        if done % 3200 == 0:
            print(f"features {done}/{len(order)}, {time.process_time():.0f} s of CPU", flush=True)
    return {"x": x, "tile": order, "plain": np.array(len(plain))}


def scene_features(scenes: Scenes, early: Early, count: int) -> dict[str, NDArray[np.generic]]:
    drawn = [scenes.draw() for _ in range(count)]
    x = np.concatenate([early(scene_tensor(scene.rgb)) for scene in drawn])
    return {
        "x": x,
        "target": np.stack([s.target for s in drawn]),
        "weight": np.stack([s.weight for s in drawn]),
    }


def kept(path: Path, make: object) -> dict[str, NDArray[np.generic]]:
    if not path.exists():
        store(path, make())  # type: ignore[operator]
    return dict(np.load(path))


def tile_loss(logits: Tensor, target: Tensor, weight: Tensor, main: Tensor) -> Tensor:
    """Each label by itself, and the main one against the others; what may be a second label counts in
    neither."""
    labels = logits[:, :OTHER]
    alone = (F.binary_cross_entropy_with_logits(labels, target, reduction="none") * weight).sum(1).mean()
    rival = F.pad((weight > 0.9) & (target < 0.5), (0, 1), value=True)
    rival[torch.arange(len(main)), main] = True
    against = F.cross_entropy(logits.masked_fill(~rival, -30.0), main, label_smoothing=0.0)
    return 0.5 * alone + against


class Training:
    """One network on its cached features: AdamW with a cosine, bfloat16, and the average of its weights."""

    def __init__(self, name: str, net: nn.Module, average: nn.Module, lr: float = LR) -> None:
        self.name, self.net, self.average = name, net, average.eval()
        for module in (net, average):
            module.trunk.early.requires_grad_(False)
        late = [p for n, p in net.named_parameters() if "trunk" in n and p.requires_grad]
        head = [p for n, p in net.named_parameters() if "trunk" not in n]
        groups = [{"params": late, "lr": lr, "peak": lr}, {"params": head, "lr": LR_HEAD, "peak": LR_HEAD}]
        self.adam = torch.optim.AdamW(groups, betas=(0.9, 0.98), weight_decay=WEIGHT_DECAY)
        self.steps, self.part = 0, 0.0
        average.load_state_dict(net.state_dict())

    def step(self, x: Tensor, loss_of: object) -> float:
        rate = min(1.0, (self.steps + 1) / 60) * max(0.01, 0.5 * (1 + math.cos(math.pi * self.part)))
        for group in self.adam.param_groups:
            group["lr"] = group["peak"] * rate
        with torch.autocast("cpu", torch.bfloat16):
            logits = self.net.train().from_early(x)
        loss = loss_of(logits.float())  # type: ignore[operator]
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


def channels_last(x: NDArray[np.float16]) -> Tensor:
    """(N, H, W, C) in memory, seen as (N, C, H, W)."""
    return torch.from_numpy(x).to(torch.bfloat16).permute(0, 3, 1, 2)


@torch.no_grad()
def predict(net: nn.Module, x: NDArray[np.float16], size: int = 128) -> NDArray[np.float32]:
    parts = []
    for start in range(0, len(x), size):
        with torch.autocast("cpu", torch.bfloat16):
            parts.append(net.eval().from_early(channels_last(x[start : start + size])).float().numpy())
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


def exact_scenes(logits: NDArray[np.float32], target: NDArray[np.float32]) -> tuple[float, float]:
    """Of the labels that are there: how many scenes are wholly right, and how many within Jaccard 0.75."""
    there = target.sum((2, 3)) > 0
    got, want = (logits > 0)[there], (target > 0.5)[there]
    union = np.maximum((got | want).sum((1, 2)), 1)
    return float((got == want).all((1, 2)).mean()), float(((got & want).sum((1, 2)) / union >= 0.75).mean())


class Clock:
    """Time left of a stage, in a bar; ends early when asked to stop."""

    def __init__(self, minutes: float) -> None:
        self.minutes, self.stopped = minutes, False
        signal.signal(signal.SIGTERM, lambda *_: setattr(self, "stopped", True))

    def run(self, training: Training, already: float, draw: object, done: object) -> None:
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
                losses.append(training.step(*draw()))  # type: ignore[operator]
                note = f"{training.steps} steps, loss {np.mean(losses[-50:]):.3f}"
                progress.update(task, completed=training.part, note=note)
                if time.time() - told > 60 or training.part >= 1 or self.stopped:
                    print(
                        f"{training.name}: {minutes:.1f} min, {time.process_time():.0f} s of CPU, {note}",
                        flush=True,
                    )
                    done(training.part)  # type: ignore[operator]
                    told = time.time()
        if self.stopped:
            sys.exit("stopped; the same command goes on from the checkpoint")


def half(net: nn.Module) -> dict[str, Tensor]:
    """What was trained, in half precision."""
    return {k: v.half() for k, v in net.state_dict().items() if ".early." not in k}


def save(state: dict[str, object]) -> None:
    part = CHECKPOINT.with_suffix(".part")
    torch.save(state, part)
    part.replace(CHECKPOINT)


def restore(net: nn.Module, state: dict[str, Tensor]) -> None:
    net.load_state_dict({k: v.float() for k, v in state.items()}, strict=False)


def train_tiles(a: argparse.Namespace, tiles: Tiles, early: Early, state: dict[str, object]) -> None:
    features = kept(BUILD / f"tile_features_{a.seed}.npz", lambda: tile_features(tiles, early, a.seed))
    x, of = features["x"], features["tile"].astype(int)
    seen = boxes(tiles, a.teachers, BUILD / "boxes.npz")
    target, weight = targets(tiles, seen)
    nets = [TileNet(OTHER + 1) for _ in range(2)]
    for net in nets:
        net.trunk.load_imagenet(a.teachers / "mobilenet_v2_1.0_float_dequant.pt")
        net.to(memory_format=torch.channels_last)
        if "tiles" in state:
            restore(net, state["tiles"])  # type: ignore[arg-type]
    training = Training("tiles", *nets, lr=a.lr)
    training.part = float(state.get("tiles_part", 0.0))  # type: ignore[arg-type]
    rows = np.flatnonzero(tiles.split[of] == TRAIN)
    often = np.maximum(np.bincount(tiles.main[of[rows]], minlength=OTHER + 1), 1) ** (BALANCE - 1.0)
    often[OTHER] *= NONE
    chance = often[tiles.main[of[rows]]]
    chance /= chance.sum()
    rng = np.random.default_rng(a.seed + 1000 * int(1e3 * training.part))
    refreshed = training.part > 0.5

    def draw() -> tuple[Tensor, object]:
        picked = rng.choice(rows, BATCH, p=chance)
        i = of[picked]
        values = [torch.from_numpy(v[i]) for v in (target, weight, tiles.main)]
        return channels_last(x[picked]), lambda logits: tile_loss(logits, *values)

    def done(part: float) -> None:
        nonlocal refreshed
        own = np.flatnonzero((tiles.split == VALIDATION) & tiles.real)
        logits = predict(training.average, x[own])
        share = top1(logits, tiles.positive[own], tiles.main[own])
        print(f"tiles: {part:.2f} of the way, validation top-1 {share:.4f}", flush=True)
        state.update(tiles=half(training.average), tiles_part=part)
        save(state)
        if part > 0.45 and not refreshed:
            refreshed = True
            mask_second_labels(training.average, x, tiles, target, weight)

    if refreshed:
        mask_second_labels(training.average, x, tiles, target, weight)
    Clock(a.minutes * SHARE_OF_TILES).run(training, training.part, draw, done)
    own = np.flatnonzero((tiles.split == TEST) & tiles.real)
    share = top1(predict(training.average, x[own]), tiles.positive[own], tiles.main[own])
    print(f"tiles: test top-1 {share:.4f} of {len(own)}", flush=True)


def mask_second_labels(
    net: nn.Module,
    x: NDArray[np.float16],
    tiles: Tiles,
    target: NDArray[np.float32],
    weight: NDArray[np.float32],
) -> None:
    rows = np.flatnonzero(tiles.split == TRAIN)
    likely = 1 / (1 + np.exp(-predict(net, x[rows])[:, :OTHER])) > SURE
    doubt = likely & (target[rows] < 0.5)
    weight[rows] = np.where(doubt, 0.0, weight[rows])
    counts = doubt.sum(0)
    print(
        "second labels not counted:",
        {FOLDERS[c]: int(counts[c]) for c in np.argsort(-counts)[:8]},
        flush=True,
    )


@torch.no_grad()
def outlines(net: TileNet, x: NDArray[np.float16], tiles: Tiles) -> NDArray[np.float32]:
    """Where the tile network sees what no detector knows: boxes like theirs, a sixteenth of a tile each."""
    unknown = [c for c in range(OTHER) if FOLDERS[c] not in COCO]
    found = []
    rows = np.flatnonzero(np.isin(tiles.main, unknown) & (tiles.split != -1))
    for start in range(0, len(rows), 128):
        part = rows[start : start + 128]
        with torch.autocast("cpu", torch.bfloat16):
            places = net.eval().places(channels_last(x[part])).float().numpy()
        for tile, each in zip(part, places, strict=True):
            mine = each[tiles.main[tile]]
            if mine.mean() < 0:
                continue
            for row, column in np.argwhere(mine >= max(0.0, PLACE * mine.max())):
                edges = (np.array([column, row, column + 1, row + 1]) + np.array([1, 1, -1, -1]) * 0.1) / 4
                found.append((tile, OUTLINED + tiles.main[tile], 1.0, *edges))
    return np.array(found, np.float32).reshape(-1, 7)


def train_scenes(a: argparse.Namespace, tiles: Tiles, early: Early, state: dict[str, object]) -> None:
    seen = boxes(tiles, a.teachers, BUILD / "boxes.npz")
    first = TileNet(OTHER + 1)
    first.trunk.load_imagenet(a.teachers / "mobilenet_v2_1.0_float_dequant.pt")
    restore(first, state["tiles"])  # type: ignore[arg-type]
    plain = kept(BUILD / f"tile_features_{a.seed}.npz", lambda: tile_features(tiles, early, a.seed))["x"]
    seen = np.concatenate([seen, outlines(first, plain, tiles)])
    store(BUILD / "seen.npz", {"seen": seen})
    made = {}
    for name, split, count, salt in (("train", TRAIN, a.scenes, 10), ("validation", VALIDATION, 300, 11)):
        rng = np.random.default_rng(a.seed + 100 * salt)
        made[name] = kept(
            BUILD / f"scene_{name}_{a.seed}.npz",
            lambda s=split, n=count, r=rng: scene_features(Scenes(tiles, seen, s, r), early, n),
        )
    nets = [SceneNet(OTHER) for _ in range(2)]
    for net in nets:
        net.trunk.load_imagenet(a.teachers / "mobilenet_v2_1.0_float_dequant.pt")
        net.to(memory_format=torch.channels_last)
        start = state.get("scenes") or {k: v for k, v in state["tiles"].items() if k.startswith("trunk")}  # type: ignore[attr-defined]
        restore(net, start)  # type: ignore[arg-type]
    training = Training("scenes", *nets, lr=a.lr)
    training.part = float(state.get("scenes_part", 0.0))  # type: ignore[arg-type]
    rng = np.random.default_rng(a.seed + 7 + 1000 * int(1e3 * training.part))
    x, target, weight = (made["train"][k] for k in ("x", "target", "weight"))

    def draw() -> tuple[Tensor, object]:
        picked = rng.choice(len(x), SCENE_BATCH)
        wanted, counts = torch.from_numpy(target[picked]), torch.from_numpy(weight[picked])
        return (
            channels_last(x[picked]),
            lambda logits: (
                (F.binary_cross_entropy_with_logits(logits, wanted, reduction="none") * counts).sum()
                / counts.sum()
                * 4
            ),
        )

    def done(part: float) -> None:
        exact, near = exact_scenes(
            predict(training.average, made["validation"]["x"], 32), made["validation"]["target"]
        )
        print(
            f"scenes: {part:.2f} of the way, validation exact {exact:.3f}, within Jaccard .75 {near:.3f}",
            flush=True,
        )
        state.update(scenes=half(training.average), scenes_part=part)
        save(state)

    Clock(a.minutes * (1 - SHARE_OF_TILES)).run(training, training.part, draw, done)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tiles", type=Path, help="folder of tiles, <source>/<class>/")
    parser.add_argument("teachers", type=Path, help="folder of the ImageNet weights and the two detectors")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--lr", type=float, default=LR)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--scenes", type=int, default=SCENES)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", choices=("tiles", "scenes"))
    parser.add_argument(
        "--again", action="store_true", help="a new cosine from the weights of the checkpoint"
    )
    a = parser.parse_args()
    torch.manual_seed(a.seed)
    torch.set_num_threads(a.threads)
    cv2.setNumThreads(1)
    state: dict[str, object] = torch.load(CHECKPOINT, map_location="cpu") if CHECKPOINT.exists() else {}
    if a.again:
        state.pop(f"{a.only or 'tiles'}_part", None)
    tiles = load(a.tiles, BUILD / "tiles.npz")
    net = TileNet(OTHER + 1)
    net.trunk.load_imagenet(a.teachers / "mobilenet_v2_1.0_float_dequant.pt")
    early = Early(net.trunk.early)
    if a.only != "scenes":
        train_tiles(a, tiles, early, state)
    if a.only != "tiles":
        train_scenes(a, tiles, early, state)


if __name__ == "__main__":
    main()
