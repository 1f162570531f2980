"""Trains the text network: `python training/text/train.py --minutes 120`; goes on from checkpoint.pt where it stopped."""

from __future__ import annotations

import argparse
import csv
import math
import multiprocessing
import os
import random
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from rich.progress import Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "src")]

from data import Generator, Sample  # noqa: E402
from measure import BLANK, CHARSET, evaluate, families, own_set  # noqa: E402
from model import TextNet  # noqa: E402

from legible.recognizers.text.preprocess import HEIGHT, WIDTHS, fit, standard  # noqa: E402

BATCH = 64  # many small steps: the time of a step goes with its images
LR = 2e-3  # of Muon with updates scaled to the size of AdamW's (0.2 root mean square)
LR_ADAM = 3e-3  # batch norm, biases and the head
WEIGHT_DECAY = 0.02
WARMUP_STEPS = 150
EMA = 0.9995
FRAME_LOSS = (
    1.0,
    0.15,
)  # weight of the per-frame loss at the start and at the end: it breaks the plateau of CTC
REUSE = 3.0  # how often a rendered picture is seen, on average
POOL = {128: 5000, 176: 9000, 224: 10000}  # pictures kept in memory, by width
EASY_MINUTES = 20  # difficulty rises from EASY to 1 in that time
EASY = 0.35
MAX_LABEL = 16
CHECKPOINT = HERE / "checkpoint.pt"
CURVE = HERE / "build" / "curve.csv"


class Pool:
    """Pictures in shared memory: one process fills it round and round, another draws batches from it."""

    def __init__(self) -> None:
        self.pixels, self.labels, self.frames, self.filled = {}, {}, {}, {}
        self.shift, self.gain = {}, {}
        for width, size in POOL.items():
            self.pixels[width] = torch.zeros((size, HEIGHT, width, 3), dtype=torch.uint8).share_memory_()
            self.labels[width] = torch.zeros((size, MAX_LABEL), dtype=torch.int16).share_memory_()
            self.frames[width] = torch.zeros((size, width // 4), dtype=torch.uint8).share_memory_()
            self.shift[width] = torch.zeros((size, 1, 1, 3), dtype=torch.bfloat16).share_memory_()
            self.gain[width] = torch.zeros((size, 1, 1, 1), dtype=torch.bfloat16).share_memory_()
            self.filled[width] = torch.zeros((), dtype=torch.int64).share_memory_()
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
        self.pixels[width][slot] = torch.from_numpy(pixels)
        self.labels[width][slot] = row
        self.frames[width][slot] = torch.from_numpy(frames)
        shift, gain = standard(pixels)
        self.shift[width][slot], self.gain[width][slot] = torch.from_numpy(shift), gain
        self.filled[width] += 1

    def batch(self, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """(N, 3, 64, W) float, (N, MAX_LABEL) labels padded with -1, (N, W / 4) what each frame shows."""
        counts = np.array([min(int(self.filled[w]), POOL[w]) for w in WIDTHS], float)
        total = np.array([float(self.filled[w]) for w in WIDTHS])
        width = WIDTHS[rng.choice(len(WIDTHS), p=total / total.sum())]
        rows = torch.from_numpy(rng.integers(0, int(counts[WIDTHS.index(width)]), BATCH))
        self.asked += BATCH
        x = (
            self.pixels[width][rows]
            .to(torch.bfloat16)
            .sub_(self.shift[width][rows])
            .mul_(self.gain[width][rows])
        )
        # Colours change places at random; the channels stay last in memory.
        x = x[..., torch.from_numpy(rng.permutation(3))].permute(0, 3, 1, 2)
        return x, self.labels[width][rows].long(), self.frames[width][rows].long()


def render(pool: Pool, seed: int) -> None:
    """The other process: draws as many pictures as the training uses up."""
    os.nice(5)
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    generator = Generator(seed)
    while not int(pool.stop):
        if pool.drawn() > 6000 + int(pool.asked) / REUSE:
            time.sleep(0.02)
            continue
        generator.level = float(pool.level)
        sample = generator.sample()
        if 0 < len(sample.label) <= MAX_LABEL:
            pool.add(sample)


class Muon(torch.optim.Optimizer):
    """Momentum made orthogonal by five Newton-Schulz steps (K. Jordan 2024), scaled as in Moonlight (J. Liu et al. 2025)."""

    def __init__(self, params: Iterator[torch.nn.Parameter] | list[torch.nn.Parameter], lr: float) -> None:
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for p in group["params"]:
                state = self.state[p]
                if "momentum" not in state:
                    state["momentum"] = torch.zeros_like(p)
                momentum = state["momentum"]
                momentum.mul_(0.95).add_(p.grad)
                update = (p.grad + 0.95 * momentum).reshape(p.shape[0], -1)
                update = orthogonal(update).view(p.shape)
                size = 0.2 * math.sqrt(max(p.shape[0], p[0].numel()))
                p.mul_(1 - group["lr"] * WEIGHT_DECAY).add_(update, alpha=-group["lr"] * size)


def orthogonal(matrix: Tensor) -> Tensor:
    x = matrix.bfloat16()
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    x = x / (x.norm() + 1e-7)
    for _ in range(5):
        a = x @ x.T
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return (x.T if tall else x).to(matrix.dtype)


def loss_of(logits: Tensor, labels: Tensor, frames: Tensor, frame_weight: float) -> Tensor:
    log_probs = logits.float().log_softmax(-1)
    lengths = (labels >= 0).sum(1)
    flat = labels[labels >= 0]
    inputs = torch.full((len(labels),), logits.shape[1])
    ctc = F.ctc_loss(
        log_probs.transpose(0, 1), flat, inputs, lengths, blank=BLANK, reduction="none", zero_infinity=True
    )
    by_frame = F.nll_loss(log_probs.flatten(0, 1), frames.flatten())
    # A picture that nobody can read should not drown the others.
    per_character = (ctc / lengths).clamp(max=12)
    return per_character.mean() + frame_weight * 4 * by_frame


def save(net: TextNet, average: TextNet, muon: Muon, seen: int, minutes: float) -> None:
    """Half precision all through, so that the file stays under 15 MB."""
    half = lambda state: {k: v.half() if v.is_floating_point() else v for k, v in state.items()}  # noqa: E731
    momenta = [
        muon.state[p]["momentum"].bfloat16()
        for g in muon.param_groups
        for p in g["params"]
        if p in muon.state
    ]
    content = {
        "net": half(net.state_dict()),
        "ema": half(average.state_dict()),
        "momenta": momenta,
        "seen": seen,
        "minutes": minutes,
    }
    part = CHECKPOINT.with_suffix(".part")
    torch.save(content, part)
    part.replace(CHECKPOINT)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=120)
    parser.add_argument("--lr", type=float, default=LR)
    parser.add_argument("--final-lr", type=float, default=0.0, help="share of --lr that is left at the end")
    parser.add_argument(
        "--start", type=float, default=0.0, help="part (0-1) of the cosine that is already behind"
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--fresh", action="store_true", help="start anew, whatever the checkpoint")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--measure", type=Path, nargs="*", default=[], help="folders of families, to be measured only"
    )
    parser.add_argument("--every", type=float, default=8, help="minutes between measurements")
    a = parser.parse_args()
    torch.manual_seed(a.seed)
    random.seed(a.seed)
    rng = np.random.default_rng(a.seed)
    torch.set_num_threads(a.threads)
    CURVE.parent.mkdir(exist_ok=True)

    net = TextNet(len(CHARSET) + 1).to(memory_format=torch.channels_last)
    average = TextNet(len(CHARSET) + 1).to(memory_format=torch.channels_last).eval()
    matrices = [p for n, p in net.named_parameters() if p.ndim == 4 and "head" not in n]
    others = [p for n, p in net.named_parameters() if p.ndim != 4 or "head" in n]
    muon = Muon(matrices, a.lr)
    adam = torch.optim.AdamW(others, LR_ADAM, betas=(0.9, 0.99), weight_decay=0.0)
    seen, before = 0, 0.0
    if CHECKPOINT.exists() and not a.fresh:
        content = torch.load(CHECKPOINT, map_location="cpu")
        net.load_state_dict(content["net"])
        average.load_state_dict(content["ema"])
        for p, momentum in zip(matrices, content["momenta"], strict=True):
            muon.state[p]["momentum"] = momentum.float()
        seen, before = content["seen"], content["minutes"]
    else:
        average.load_state_dict(net.state_dict())

    pool = Pool()
    level = lambda minutes: min(1.0, EASY + (1 - EASY) * minutes / EASY_MINUTES)  # noqa: E731
    pool.level.fill_(level(before))
    painter = multiprocessing.get_context("spawn").Process(
        target=render, args=(pool, a.seed * 1000 + seen), daemon=True
    )
    painter.start()
    held_out = own_set()
    measured = [families(folder) for folder in a.measure]
    while pool.drawn() < 3000 or min(int(f) for f in pool.filled.values()) < BATCH:
        time.sleep(0.5)

    stopped = []
    signal.signal(signal.SIGTERM, lambda *_: stopped.append(True))
    start = last_measure = last_save = time.time()
    steps, losses = 0, []
    columns = [*Progress.get_default_columns()[:2], TimeRemainingColumn(), TextColumn("{task.fields[note]}")]
    with Progress(*columns) as progress, CURVE.open("a", newline="") as file:
        curve = csv.writer(file)
        task = progress.add_task("training", total=a.minutes, note="")
        while True:
            minutes = (time.time() - start) / 60
            part = a.start + (1 - a.start) * min(1.0, minutes / a.minutes)
            pool.level.fill_(level(before + minutes))
            rate = max(a.final_lr, 0.5 * (1 + math.cos(math.pi * part))) * min(
                1.0, (steps + 1) / WARMUP_STEPS
            )
            for group in muon.param_groups:
                group["lr"] = a.lr * rate
            for group in adam.param_groups:
                group["lr"] = LR_ADAM * a.lr / LR * rate
            weight = FRAME_LOSS[0] + (FRAME_LOSS[1] - FRAME_LOSS[0]) * min(
                1.0, (before + minutes) / (2 * EASY_MINUTES)
            )
            x, labels, frames = pool.batch(rng)
            with torch.autocast("cpu", torch.bfloat16):
                logits = net(x)
            loss = loss_of(logits, labels, frames, weight)
            net.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(others, 1.0)
            muon.step()
            adam.step()
            steps, seen = steps + 1, seen + BATCH
            decay = min(EMA, (steps + seen / BATCH) / (10 + steps + seen / BATCH))
            with torch.no_grad():
                for slow, fast in zip(average.state_dict().values(), net.state_dict().values(), strict=True):
                    if slow.is_floating_point():
                        slow.lerp_(fast, 1 - decay)
            losses.append(float(loss.detach()))
            if steps % 20 == 0:
                note = f"{seen / 1e3:.0f}k seen, {steps * BATCH / (time.time() - start):.0f}/s, loss {np.mean(losses[-100:]):.3f}, drawn {pool.drawn() / 1e3:.0f}k"
                progress.update(task, completed=minutes, note=note)
                if steps % 100 == 0:
                    print(f"{minutes:.1f} min {note}", flush=True)
            done = minutes >= a.minutes or bool(stopped)
            if done or time.time() - last_save > 120:
                save(net, average, muon, seen, before + minutes)
                last_save = time.time()
            if done or time.time() - last_measure > 60 * a.every:
                own = evaluate(average, held_out)
                world = [score for each in measured for score in evaluate(average, each)]
                row = [
                    round(before + minutes, 1),
                    seen,
                    round(float(np.mean(losses[-400:])), 3),
                    *own,
                    *world,
                ]
                curve.writerow(row)
                file.flush()
                print(
                    "measured: minutes, seen, loss, own fresh (ignoring case, exact), families:",
                    *row,
                    flush=True,
                )
                last_measure = time.time()
            if done:
                break
    pool.stop.fill_(1)
    painter.join(5)


if __name__ == "__main__":
    main()
