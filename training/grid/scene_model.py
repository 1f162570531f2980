"""The scene network: NanoDet-Plus (Lyu 2021: ShuffleNetV2, ghost feature pyramid, one head a level), whose
boxes and features say which of 4x4 cells a label touches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import torch
import torch.nn.functional as F  # noqa: N812
from onnx import numpy_helper
from torch import Tensor, nn

STAGES = ((116, 4), (232, 8), (464, 4))  # channels and blocks of the backbone at strides 8, 16, 32
PYRAMID = 96
BINS = 8  # a box's side is the mean of a distribution over so many strides
STRIDES = (8, 16, 32, 64)
CLASSES = 80
CELLS = 4
DENSE = 64
TOUCH = 0.06  # of a cell is covered by what counts
KEPT = 256  # boxes of a scene that are looked at, the surest ones


def leaky(x: Tensor) -> Tensor:
    return F.leaky_relu(x, 0.1)


class Depthwise(nn.Conv2d):
    def __init__(self, channels: int, kernel: int, step: int = 1) -> None:
        super().__init__(channels, channels, kernel, step, kernel // 2, groups=channels)

    def forward(self, x: Tensor) -> Tensor:
        return Still.apply(x, self.weight, self.bias, self.stride[0]) if self.training else super().forward(x)


def point(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 1)


def shuffled(x: Tensor) -> Tensor:
    n, c, h, w = x.shape
    return x.reshape(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)


class Down(nn.Module):
    """A block that halves the picture: both branches see all channels."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        middle = outputs // 2
        self.a1, self.a2 = Depthwise(inputs, 3, 2), point(inputs, middle)
        self.b1, self.b2, self.b3 = point(inputs, middle), Depthwise(middle, 3, 2), point(middle, middle)

    def forward(self, x: Tensor) -> Tensor:
        a = leaky(self.a2(self.a1(x)))
        b = leaky(self.b3(self.b2(leaky(self.b1(x)))))
        return shuffled(torch.cat([a, b], 1))


class Keep(nn.Module):
    """A block that changes half of the channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        middle = channels // 2
        self.b1, self.b2, self.b3 = point(middle, middle), Depthwise(middle, 3), point(middle, middle)

    def forward(self, x: Tensor) -> Tensor:
        a, b = x.chunk(2, 1)
        return shuffled(torch.cat([a, leaky(self.b3(self.b2(leaky(self.b1(b)))))], 1))


class Ghost(nn.Module):
    """Two ghost convolutions beside a shortcut."""

    def __init__(self) -> None:
        super().__init__()
        half = PYRAMID // 2
        self.a1, self.a2 = point(2 * PYRAMID, half), Depthwise(half, 3)
        self.b1, self.b2 = point(PYRAMID, half), Depthwise(half, 3)
        self.s1, self.s2 = Depthwise(2 * PYRAMID, 5), point(2 * PYRAMID, PYRAMID)

    def forward(self, x: Tensor) -> Tensor:
        y = leaky(self.a1(x))
        y = self.b1(torch.cat([y, leaky(self.a2(y))], 1))
        return torch.cat([y, self.b2(y)], 1) + self.s2(self.s1(x))


class Step(nn.Module):
    """5x5 depthwise and a point convolution."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self.deep, self.wide = Depthwise(PYRAMID, 5, step), point(PYRAMID, PYRAMID)

    def forward(self, x: Tensor) -> Tensor:
        return leaky(self.wide(leaky(self.deep(x))))


class Head(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = Step(1), Step(1)
        self.out = point(PYRAMID, CLASSES + 4 * BINS)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.second(self.first(x)))


class Detector(nn.Module):
    """(N, 3, S, S) -> the backbone's three levels, the pyramid's four, and what is where in those."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 24, 3, 2, 1)
        stages, channels = [], 24
        for outputs, count in STAGES:
            stages.append(nn.Sequential(Down(channels, outputs), *(Keep(outputs) for _ in range(count - 1))))
            channels = outputs
        self.stages = nn.ModuleList(stages)
        self.reduce = nn.ModuleList(point(outputs, PYRAMID) for outputs, _ in STAGES)
        self.top = nn.ModuleList([Ghost(), Ghost()])
        # In the order of the file: a step down, then the ghost block that it feeds.
        self.down = nn.ModuleList([Step(2), Step(2)])
        self.bottom = nn.ModuleList([Ghost(), Ghost()])
        self.extra = nn.ModuleList([Step(2), Step(2)])
        self.heads = nn.ModuleList(Head() for _ in STRIDES)

    def forward(self, x: Tensor) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        x = F.max_pool2d(leaky(self.stem(x)), 3, 2, 1)
        backbone = []
        for stage in self.stages:
            x = stage(x)
            backbone.append(x)
        c3, c4, c5 = (leaky(reduce(each)) for reduce, each in zip(self.reduce, backbone, strict=True))
        p4 = self.top[0](torch.cat([up(c5), c4], 1))
        p3 = self.top[1](torch.cat([up(p4), c3], 1))
        n4 = self.bottom[0](torch.cat([self.down[0](p3), p4], 1))
        n5 = self.bottom[1](torch.cat([self.down[1](n4), c5], 1))
        n6 = self.extra[0](c5) + self.extra[1](n5)
        levels = [p3, n4, n5, n6]
        return backbone, levels, [head(level) for head, level in zip(self.heads, levels, strict=True)]

    def load(self, path: Path) -> None:
        """The convolutions of the given ONNX file, which has them in the order in which they run."""
        weights = {each.name: numpy_helper.to_array(each) for each in onnx.load(path).graph.initializer}
        names = sorted({name[:-2] for name in weights if name.startswith("Conv_")}, key=lambda n: int(n[5:]))
        order = [self.stem]
        for stage in self.stages:
            for block in stage:
                order += list(block.children())
        order += list(self.reduce)
        for module in (self.top[0], self.top[1], self.down[0], self.bottom[0], self.down[1], self.bottom[1]):
            order += _convolutions(module)
        for module in (*self.extra, *self.heads):
            order += _convolutions(module)
        assert len(order) == len(names)
        for convolution, name in zip(order, names, strict=True):
            convolution.weight.data = torch.tensor(weights[f"{name}_w"])
            convolution.bias.data = torch.tensor(weights[f"{name}_b"])


def _convolutions(module: nn.Module) -> list[nn.Conv2d]:
    return [each for each in module.modules() if isinstance(each, nn.Conv2d)]


def up(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


class Still(torch.autograd.Function):
    """A depthwise convolution whose filters stay as they are: its gradient is the same convolution, mirrored,
    which a CPU does five times as fast as PyTorch's own."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, step: int) -> Tensor:
        ctx.save_for_backward(weight)
        ctx.step, ctx.sides = step, x.shape[2:]
        return F.conv2d(x, weight.to(x.dtype), bias.to(x.dtype), step, weight.shape[2] // 2, 1, x.shape[1])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        (weight,), (gradient,) = ctx.saved_tensors, gradients
        if ctx.step == 2:
            wide = gradient.new_zeros((*gradient.shape[:2], *ctx.sides))
            wide = wide.contiguous(memory_format=torch.channels_last)
            wide[:, :, ::2, ::2] = gradient
            gradient = wide
        mirrored = weight.flip(2, 3).to(gradient.dtype)
        return (
            F.conv2d(gradient, mirrored, None, 1, weight.shape[2] // 2, 1, gradient.shape[1]),
            None,
            None,
            None,
        )


class SceneNet(nn.Module):
    """(N, 3, 320, 320) in -1..1 -> (N, labels, 4, 4) logits of a label touching a cell.

    Two opinions are added: the detector's boxes, one of which must be sure and cover the cell; and a map of
    every label at a fifth of a cell, for what has no box.
    """

    def __init__(self, labels: int) -> None:
        super().__init__()
        self.labels = labels
        self.detector = Detector()
        for module in (self.detector.stem, *self.detector.stages[:2]):
            module.requires_grad_(False)
        for each in self.detector.modules():
            if isinstance(each, Depthwise):
                each.requires_grad_(False)
        for head in self.detector.heads:
            head.out = point(PYRAMID, labels + 4 * BINS)
        wide = [STAGES[1][0], PYRAMID, STAGES[2][0], PYRAMID, PYRAMID]
        self.into = nn.ModuleList(point(channels, DENSE) for channels in wide)
        self.whole = nn.Linear(STAGES[2][0], DENSE)
        self.around = nn.Conv2d(DENSE, DENSE, 3, padding=1)
        self.map = point(DENSE, labels)
        nn.init.normal_(self.map.weight, std=0.01)
        nn.init.zeros_(self.map.bias)
        self.trust = nn.Parameter(torch.ones(labels, 1))
        self.offset = nn.Parameter(torch.zeros(labels, 1))
        mean, scale = torch.tensor([123.675, 116.28, 103.53]), torch.tensor([0.017125, 0.017507, 0.017429])
        self.register_buffer("scale", (128 * scale).view(3, 1, 1))
        self.register_buffer("shift", ((128 - mean) * scale).view(3, 1, 1))

    def load_detector(self, path: Path, classes: dict[int, int], like: dict[int, int]) -> None:
        """`classes`: COCO's number of a label; `like`: the label that a label without one resembles most."""
        given = Detector()
        given.load(path)
        # Ours is RGB.
        given.stem.weight.data = given.stem.weight.data.flip(1)
        state = {k: v for k, v in given.state_dict().items() if ".out." not in k}
        self.detector.load_state_dict(state, strict=False)
        for mine, theirs in zip(self.detector.heads, given.heads, strict=True):
            for part in ("weight", "bias"):
                old, new = getattr(theirs.out, part).data, getattr(mine.out, part).data
                new[self.labels :] = old[CLASSES:]
                new[: self.labels] = 0 if part == "weight" else -4.0
                for label, number in classes.items():
                    new[label] = old[number]
                for label, other in like.items():
                    new[label] = new[other] - (0.0 if part == "weight" else 2.0)

    def forward(self, x: Tensor) -> Tensor:
        backbone, levels, outs = self.detector(x * self.scale + self.shift)
        boxes, dense = self._from_boxes(outs, x.shape[-1]), self._from_map(backbone, levels)
        cells = self.trust * boxes + dense.flatten(2) + self.offset
        return cells.view(-1, self.labels, CELLS, CELLS)

    def _from_map(self, backbone: list[Tensor], levels: list[Tensor]) -> Tensor:
        c4, p4, c5, p5, p3 = (
            into(each)
            for into, each in zip(
                self.into, (backbone[1], levels[1], backbone[2], levels[2], levels[0]), strict=True
            )
        )
        whole = self.whole(backbone[2].mean((2, 3)))[:, :, None, None]
        z = F.relu(c4 + p4 + up(c5 + p5) + F.avg_pool2d(p3, 2) + whole)
        z = F.relu(z + self.around(z))
        places = self.map(z).float().clamp(-15, 15)
        return F.avg_pool2d(places.exp(), places.shape[-1] // CELLS).log()

    def _from_boxes(self, outs: list[Tensor], side: int) -> Tensor:
        """(N, labels, 16): the surest box that covers the cell."""
        scores, covers = [], []
        for out, stride in zip(outs, STRIDES, strict=True):
            flat = out.float().flatten(2)
            scores.append(flat[:, : self.labels])
            covers.append(self._covers(flat[:, self.labels :], out.shape[-1], stride, side))
        score, cover = torch.cat(scores, 2), torch.cat(covers, 2)
        best = score.amax(1).topk(KEPT, dim=1).indices[:, None]
        score = score.gather(2, best.expand(-1, self.labels, -1))
        cover = cover.gather(2, best.expand(-1, CELLS * CELLS, -1))
        touching = 2 * ((cover + 0.004) / TOUCH).log()
        return torch.minimum(score[:, :, None], touching[:, None]).amax(3)

    def _covers(self, bins: Tensor, across: int, stride: int, side: int) -> Tensor:
        """(N, 4 * bins, L) -> (N, 16, L): the share of each cell that each box covers."""
        chances = bins.view(-1, 4, BINS, bins.shape[-1]).softmax(2)
        steps = torch.arange(BINS, dtype=torch.float32).view(1, 1, BINS, 1)
        reach = (chances * steps).sum(2) * stride
        number = torch.arange(across * across)
        x, y = (number % across) * stride, torch.div(number, across, rounding_mode="floor") * stride
        cell = side / CELLS
        edges = torch.arange(CELLS, dtype=torch.float32).view(1, CELLS, 1)
        start, end = ((x - reach[:, 0]) / cell)[:, None], ((x + reach[:, 2]) / cell)[:, None]
        columns = (torch.minimum(end, edges + 1) - torch.maximum(start, edges)).clamp(0)
        start, end = ((y - reach[:, 1]) / cell)[:, None], ((y + reach[:, 3]) / cell)[:, None]
        rows = (torch.minimum(end, edges + 1) - torch.maximum(start, edges)).clamp(0)
        return (rows[:, :, None] * columns[:, None]).flatten(1, 2)
