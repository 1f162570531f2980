"""Trains the text network: `python training/text/train.py --minutes 120`; goes on from checkpoint.pt where
it stopped."""

from __future__ import annotations

import argparse
import csv
import itertools
import math
import multiprocessing
import os
import random
import signal
import sys
import time
from multiprocessing.context import SpawnContext
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import Progress, TextColumn, TimeRemainingColumn
from torch import Tensor
from torch.nn import functional

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "src"), str(HERE.parents[1])]

from data import Generator, Sample  # noqa: E402
from fonts import load_faces  # noqa: E402
from measure import BLANK, CHARSET, evaluate, families, own_set  # noqa: E402
from model import TextNet  # noqa: E402
from training.precision import BFLOAT16, quick  # noqa: E402

from legible.recognizers.text.preprocess import HEIGHT, WIDTHS, fit, to_tensor  # noqa: E402

BATCH = 40  # of each process: many small steps, since the time of a step goes with its images
LR = 2e-3  # of Muon with updates scaled to the size of AdamW's (0.2 root mean square)
LR_ADAM = 3e-3  # batch norm, biases and the head
WEIGHT_DECAY = 0.02
WARMUP_STEPS = 150
EMA = 0.998
FRAME_LOSS = (
    1.0,
    0.15,
)  # weight of the per-frame loss at the start and at the end: it breaks the plateau of CTC
EXACT = 0.3  # 0.5 was too much
USUAL_LENGTH = 5
REUSE = 1.6  # how often a rendered picture is seen, on average
DULL = (
    0.1,
    4.0,
)  # loss of a character under which a picture has taught its lesson, over which it is hopeless
DULL_SHARE = 0.25  # how often a dull picture is seen again, beside others
POOL = {128: 5000, 176: 9000, 224: 10000}  # pictures kept in memory, by width
EASY_MINUTES = 20  # difficulty rises from EASY to 1 in that time
EASY = 0.35
MAX_LABEL = 16
STEPS = 24  # a deviation of the pixels is kept in so many steps
CHECKPOINT = HERE / "checkpoint.pt"
CURVE = HERE / "build" / "curve.csv"


Pixels = NDArray[np.uint8]
NOISE = np.random.default_rng(0).standard_normal((256, 512, 3)).astype(np.float32)


class Pool:
    """Standardized pictures in shared memory: one process fills it round and round, another draws batches
    from it."""

    def __init__(self) -> None:
        self.pixels, self.labels, self.frames, self.filled, self.worth = {}, {}, {}, {}, {}
        for width, size in POOL.items():
            self.pixels[width] = torch.zeros((size, HEIGHT, width, 3), dtype=torch.uint8).share_memory_()
            self.labels[width] = torch.zeros((size, MAX_LABEL), dtype=torch.int16).share_memory_()
            self.frames[width] = torch.zeros((size, width // 4), dtype=torch.uint8).share_memory_()
            self.filled[width] = torch.zeros((), dtype=torch.int64).share_memory_()
            self.worth[width] = torch.ones(size).share_memory_()
        self.level = torch.zeros(()).share_memory_()
        self.asked = torch.zeros((), dtype=torch.int64).share_memory_()
        self.stop = torch.zeros((), dtype=torch.int64).share_memory_()

    def drawn(self) -> int:
        return sum(int(f) for f in self.filled.values())

    def add(self, sample: Sample) -> None:
        pixels, (x0, _, x1, _) = fit(sample.rgb)
        width = pixels.shape[1]
        label = [CHARSET.index(c) for c in sample.label]
        frames = np.full(width // 4, BLANK, np.uint8)
        scale = width / (x1 - x0) / 4
        for code, (centre, size) in zip(label, sample.spans, strict=True):
            middle, half = (centre - x0) * scale, max(0.5, 0.25 * size * scale)
            frames[max(0, math.ceil(middle - half - 0.5)) : max(0, math.floor(middle + half - 0.5) + 1)] = (
                code
            )
        slot = int(self.filled[width]) % POOL[width]
        row = torch.full((MAX_LABEL,), -1, dtype=torch.int16)
        row[: len(label)] = torch.tensor(label, dtype=torch.int16)
        # Which colour is which does not matter: red, green and blue change places at random.
        x = to_tensor(pixels[..., random.sample(range(3), 3)]).transpose(1, 2, 0)
        self.pixels[width][slot] = torch.from_numpy(
            np.clip(np.rint(x * STEPS + 128), 0, 255).astype(np.uint8)
        )
        self.labels[width][slot] = row
        self.frames[width][slot] = torch.from_numpy(frames)
        self.worth[width][slot] = 1
        self.filled[width] += 1

    def batch(self, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(N, 3, 64, W) float, (N, MAX_LABEL) labels padded with -1, (N, W / 4) what each frame shows, (N,)
        their rows."""
        counts = np.array([min(int(self.filled[w]), POOL[w]) for w in WIDTHS], float)
        total = np.array([float(self.filled[w]) for w in WIDTHS])
        width = WIDTHS[rng.choice(len(WIDTHS), p=total / total.sum())]
        filled = int(counts[WIDTHS.index(width)])
        rows = torch.multinomial(self.worth[width][:filled], BATCH)
        self.asked += BATCH
        pixels, frames = self.pixels[width].numpy(), self.frames[width].numpy()
        pairs = [vary(pixels[row], frames[row], rng) for row in rows.tolist()]
        x = torch.from_numpy(np.stack([pair[0] for pair in pairs]))
        x = x.to(torch.bfloat16 if BFLOAT16 else torch.float32)
        x = x.sub_(128).mul_(1 / STEPS).permute(0, 3, 1, 2)
        return (
            x,
            self.labels[width][rows].long(),
            torch.from_numpy(np.stack([pair[1] for pair in pairs])).long(),
            rows,
        )

    def learned(self, width: int, rows: Tensor, losses: Tensor) -> None:
        """What has no more to teach is drawn less often from now on; `losses` are those of a character."""
        dull = (losses < DULL[0]) | (losses > DULL[1])
        self.worth[width][rows] = torch.where(dull, DULL_SHARE, 1.0)


def vary(pixels: Pixels, frames: Pixels, rng: np.random.Generator) -> tuple[Pixels, Pixels]:
    """The picture a little moved, turned, stretched, noisier and fainter, so that seeing it again teaches
    something."""
    height, width = pixels.shape[:2]
    turn, shear, *sizes = rng.uniform((-0.05, -0.12, 0.88, 0.85), (0.05, 0.12, 1.08, 1.12))
    shift_x, shift_y = rng.uniform(-6, 6), rng.uniform(-4, 4)
    matrix = np.array([[sizes[0], shear, 0.0], [turn * 0.5, sizes[1], 0.0]])
    middle = np.array([width / 2, height / 2])
    matrix[:, 2] = (*(middle - matrix[:, :2] @ middle + np.array([shift_x, shift_y])),)
    moved = cv2.warpAffine(pixels, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
    # A frame of the new picture shows what the frame it came from did.
    source = (np.arange(len(frames)) * 4 + 2 - shift_x - width / 2) / sizes[0] + width / 2
    index = np.floor(source / 4).astype(int)
    inside = (index >= 0) & (index < len(frames))
    shown = np.where(inside, frames[np.clip(index, 0, len(frames) - 1)], BLANK).astype(np.uint8)
    gain = rng.uniform(0.7, 1.3)
    moved = cv2.convertScaleAbs(moved, alpha=gain, beta=128 * (1 - gain))
    if rng.random() < 0.3:
        size = rng.uniform(2, 14)
        y, x = rng.integers(0, 256 - height), rng.integers(0, 512 - width)
        moved = cv2.add(
            moved, (NOISE[y : y + height, x : x + width] * size).astype(np.int16), dtype=cv2.CV_8U
        )
    if rng.random() < 0.15:
        x0, y0, x1, y1 = (rng.random(4) * (width, height, width, height)).astype(int).tolist()
        cv2.line(
            moved, (x0, y0), (x1, y1), rng.integers(60, 196, 3).tolist(), int(rng.integers(1, 3)), cv2.LINE_AA
        )
    return moved, shown


def render(pool: Pool, seed: int) -> None:
    """The other process: draws as many pictures as the training uses up."""
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    generator = Generator(seed)
    random.seed(seed)
    parent = os.getppid()
    while not int(pool.stop) and os.getppid() == parent:
        if pool.drawn() > 6000 + int(pool.asked) / REUSE:
            time.sleep(0.02)
            continue
        generator.level = float(pool.level)
        sample = generator.sample()
        if 0 < len(sample.label) <= MAX_LABEL:
            pool.add(sample)


@torch.no_grad()
def muon(p: Tensor, momentum: Tensor, grad: Tensor, lr: float) -> None:
    """Momentum made orthogonal by four Newton-Schulz steps (K. Jordan 2024), scaled as in Moonlight (J. Liu
    et al. 2025)."""
    momentum.mul_(0.95).add_(grad)
    update = orthogonal(grad.add(momentum, alpha=0.95).reshape(len(p), -1)).view(p.shape)
    size = 0.2 * math.sqrt(max(len(p), p[0].numel()))
    p.mul_(1 - lr * WEIGHT_DECAY).add_(update, alpha=-lr * size)


def orthogonal(matrix: Tensor) -> Tensor:
    x = matrix.bfloat16() if BFLOAT16 else matrix
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    x = x / (x.norm() + 1e-7)
    for _ in range(4):
        a = x @ x.T
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return (x.T if tall else x).to(matrix.dtype)


def loss_of(
    logits: Tensor, labels: Tensor, frames: Tensor, frame_weight: float, exact: float
) -> tuple[Tensor, Tensor]:
    """The loss, and (N,) that of a character of each picture. `exact` is q of the generalized cross entropy
    (Zhang & Sabuncu 2018) of whole texts: 0 is their likelihood, 1 the share that is read right."""
    log_probs = logits.float().log_softmax(-1)
    lengths = (labels >= 0).sum(1)
    flat = labels[labels >= 0]
    inputs = torch.full((len(labels),), logits.shape[1])
    ctc = functional.ctc_loss(
        log_probs.transpose(0, 1), flat, inputs, lengths, blank=BLANK, reduction="none", zero_infinity=True
    )
    by_frame = functional.nll_loss(log_probs.transpose(1, 2), frames, reduction="none").mean(1)
    each = ctc / lengths
    # A picture that nobody can read should not drown the others.
    by_text = each.clamp(max=12) * lengths / USUAL_LENGTH
    # (1 - p^q) / q of the probability p of the whole text has the gradient of its logarithm, times p^q.
    weight = torch.exp(-exact * ctc.detach())
    loss = weight * (by_text + frame_weight * 4 * by_frame)
    return loss.sum() / weight.sum().clamp(min=0.2 * len(labels)), each.detach()


class Work:
    """What the processes share: weights, their momenta, each process's gradients, and the orders of the
    first.

    Two processes of one thread each, which meet twice a step, use two busy cores better than two threads,
    which meet
    at every layer.
    """

    def __init__(self, net: TextNet, workers: int, context: SpawnContext) -> None:
        self.workers = workers
        self.net = net.share_memory()
        named = list(net.named_parameters())
        self.matrices = [p for n, p in named if p.ndim == 4 and "head" not in n]
        self.others = [p for n, p in named if p.ndim != 4 or "head" in n]
        self.momenta = [torch.zeros_like(p).share_memory_() for p in self.matrices]
        self.grads = [
            [torch.zeros_like(p).share_memory_() for p in (*self.matrices, *self.others)]
            for _ in range(workers)
        ]
        # rate of learning, frame loss, stop, share of the exact texts
        self.orders = torch.zeros(4, dtype=torch.float64).share_memory_()
        self.meet = context.Barrier(workers)

    def backward(self, rank: int, pool: Pool, rng: np.random.Generator) -> float:
        """One batch of this process; leaves the gradients where the others see them."""
        x, labels, frames, rows = pool.batch(rng)
        with quick():
            logits = self.net(x)
        loss, each = loss_of(logits, labels, frames, float(self.orders[1]), float(self.orders[3]))
        pool.learned(x.shape[3], rows, each)
        self.net.zero_grad(set_to_none=True)
        loss.backward()
        for mine, p in zip(self.grads[rank], (*self.matrices, *self.others), strict=True):
            mine.copy_(p.grad)
        return float(loss.detach())

    def step(self, rank: int, adam: torch.optim.Optimizer | None) -> None:
        """Updates this process's share of the weights by the mean of all gradients."""
        rate = float(self.orders[0])
        order = sorted(range(len(self.matrices)), key=lambda i: -self.matrices[i].numel())
        for i in order[rank :: self.workers]:
            muon(self.matrices[i], self.momenta[i], self._mean(i), LR * rate)
        if adam is not None:
            for i, p in enumerate(self.others, len(self.matrices)):
                p.grad = self._mean(i)
            torch.nn.utils.clip_grad_norm_(self.others, 1.0)
            for group in adam.param_groups:
                group["lr"] = LR_ADAM * rate
            adam.step()

    def _mean(self, i: int) -> Tensor:
        return torch.stack([each[i] for each in self.grads]).mean(0)


def assist(work: Work, pool: Pool, seed: int) -> None:
    """The second process, if any: its batches, its share of the weights, until the first says stop."""
    torch.set_num_threads(1)
    rng = np.random.default_rng(seed)
    while True:
        work.backward(1, pool, rng)
        work.meet.wait(300)
        if work.orders[2]:
            return
        work.step(1, None)
        work.meet.wait(300)


def save(work: Work, average: TextNet, seen: int, minutes: float) -> None:
    """Half precision, so that the file stays under 15 MB; momenta are as good as new after a warm-up."""
    content = {
        "net": {k: v.half() if v.is_floating_point() else v for k, v in work.net.state_dict().items()},
        "ema": {k: v.half() if v.is_floating_point() else v for k, v in average.state_dict().items()},
        "seen": seen,
        "minutes": minutes,
    }
    part = CHECKPOINT.with_suffix(".part")
    torch.save(content, part)
    part.replace(CHECKPOINT)


def follow(average: TextNet, net: TextNet, decay: float) -> None:
    """Moves the running average of the weights towards the weights."""
    with torch.no_grad():
        for slow, fast in zip(average.state_dict().values(), net.state_dict().values(), strict=True):
            if slow.is_floating_point():
                slow.lerp_(fast, 1 - decay)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=120)
    parser.add_argument(
        "--start", type=float, default=0.0, help="part (0-1) of the cosine that is already behind"
    )
    parser.add_argument("--fresh", action="store_true", help="start anew, whatever the checkpoint")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--exact",
        type=float,
        default=EXACT,
        help="from likelihood (0) to the share of texts that is read right (1), once most can be read",
    )
    parser.add_argument(
        "--workers",
        type=int,
        choices=(1, 2),
        default=2,
        help="processes that train, one thread each; 1 where other work shares the cores",
    )
    parser.add_argument(
        "--measure", type=Path, nargs="*", default=[], help="folders of families, to be measured only"
    )
    parser.add_argument("--every", type=float, default=15, help="minutes between measurements")
    a = parser.parse_args()
    torch.manual_seed(a.seed)
    torch.set_num_threads(1)
    rng = np.random.default_rng(a.seed)
    CURVE.parent.mkdir(exist_ok=True)

    net = TextNet(len(CHARSET) + 1).to(memory_format=torch.channels_last)
    average = TextNet(len(CHARSET) + 1).to(memory_format=torch.channels_last).eval()
    context = multiprocessing.get_context("spawn")
    work = Work(net, a.workers, context)
    adam = torch.optim.AdamW(work.others, LR_ADAM, betas=(0.9, 0.99), weight_decay=0.0)
    seen, before = 0, 0.0
    if CHECKPOINT.exists() and not a.fresh:
        content = torch.load(CHECKPOINT, map_location="cpu")
        net.load_state_dict(content["net"])
        average.load_state_dict(content["ema"])
        seen, before = content["seen"], content["minutes"]
    else:
        average.load_state_dict(net.state_dict())

    load_faces()  # Once: the painter reads the cache that this leaves.
    pool = Pool()
    painter = context.Process(target=render, args=(pool, a.seed * 1000 + seen), daemon=True)
    pool.level.fill_(min(1.0, EASY + (1 - EASY) * before / EASY_MINUTES))
    painter.start()
    held_out = own_set()
    measured = [families(folder) for folder in a.measure]
    while pool.drawn() < 3000 or min(int(f) for f in pool.filled.values()) < BATCH:
        time.sleep(0.5)
    helper = context.Process(target=assist, args=(work, pool, a.seed + 500), daemon=True)
    if work.workers > 1:
        helper.start()

    stopped: list[bool] = []
    signal.signal(signal.SIGTERM, lambda *_: stopped.append(True))
    start = last_measure = last_save = time.time()
    first, losses = seen, []
    columns = [*Progress.get_default_columns()[:2], TimeRemainingColumn(), TextColumn("{task.fields[note]}")]
    with Progress(*columns) as progress, CURVE.open("a", newline="") as file:
        curve = csv.writer(file)
        task = progress.add_task("training", total=a.minutes, note="")
        done = False
        for step in itertools.count(1):
            minutes = (time.time() - start) / 60
            part = a.start + (1 - a.start) * min(1.0, minutes / a.minutes)
            pool.level.fill_(min(1.0, EASY + (1 - EASY) * (before + minutes) / EASY_MINUTES))
            calm = min(1.0, (before + minutes) / (2 * EASY_MINUTES))
            work.orders[0] = 0.5 * (1 + math.cos(math.pi * part)) * min(1.0, step / WARMUP_STEPS)
            work.orders[1] = FRAME_LOSS[0] + (FRAME_LOSS[1] - FRAME_LOSS[0]) * calm
            done = minutes >= a.minutes or bool(stopped)
            work.orders[2] = float(done)
            work.orders[3] = a.exact * calm
            losses.append(work.backward(0, pool, rng))
            work.meet.wait(300)
            if not done:
                work.step(0, adam)
                work.meet.wait(300)
                seen += BATCH * work.workers
            if step % 4 == 0:
                follow(average, net, min(EMA, seen / (BATCH * 10 + seen)) ** 4)
            if step % 20 == 0:
                speed = (seen - first) / (time.time() - start)
                note = f"{seen / 1e3:.0f}k seen, {speed:.0f}/s, loss {np.mean(losses[-200:]):.3f}"
                progress.update(task, completed=minutes, note=note)
                if step % 200 == 0:
                    print(f"{minutes:.1f} min {note}, drawn {pool.drawn() / 1e3:.0f}k", flush=True)
            if done or time.time() - last_save > 120:
                save(work, average, seen, before + minutes)
                last_save = time.time()
            if done or time.time() - last_measure > 60 * a.every:
                scores = [score for each in (held_out, *measured) for score in evaluate(average, each)]
                row = [round(before + minutes, 1), seen, round(float(np.mean(losses[-800:])), 3), *scores]
                curve.writerow(row)
                file.flush()
                print(
                    "measured: minutes, seen, loss, (ignoring case, exact) of own fresh, of families:",
                    *row,
                    flush=True,
                )
                last_measure = time.time()
            if done:
                break
    pool.stop.fill_(1)
    if work.workers > 1:
        helper.join(10)
    painter.join(10)


if __name__ == "__main__":
    main()
