"""The grid networks: MobileNetV2 (Sandler et al. 2018) with batch norm folded, its ends replaced for tiles
and for scenes."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

# expansion, channels, blocks, stride
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
# Blocks up to this one stay as they are: they see edges and colours, and are slow to train.
FROZEN = 5
WIDTH = 1280


class Depthwise(nn.Conv2d):
    """3x3 depthwise; stride 2 pads right and bottom only, as TensorFlow does."""

    def __init__(self, channels: int, step: int) -> None:
        super().__init__(channels, channels, 3, padding=1, groups=channels)
        self.step = step

    def forward(self, x: Tensor) -> Tensor:
        if self.step == 1:
            return super().forward(x)
        if self.training:
            # PyTorch's strided depthwise gradient takes half of a training step on a CPU; this is the same
            # sum.
            return super().forward(x)[:, :, 1::2, 1::2]
        return F.conv2d(F.pad(x, (0, 1, 0, 1)), self.weight, self.bias, 2, groups=self.groups)


class Block(nn.Module):
    """Inverted residual: wider, depthwise, narrower."""

    def __init__(self, inputs: int, outputs: int, step: int, expansion: int) -> None:
        super().__init__()
        middle = inputs * expansion
        self.residual = step == 1 and inputs == outputs
        self.expand = nn.Conv2d(inputs, middle, 1) if expansion > 1 else nn.Identity()
        self.depthwise = Depthwise(middle, step)
        self.project = nn.Conv2d(middle, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = x if isinstance(self.expand, nn.Identity) else F.relu6(self.expand(x))
        y = self.project(F.relu6(self.depthwise(y)))
        return x + y if self.residual else y


class Stem(nn.Conv2d):
    def __init__(self) -> None:
        super().__init__(3, 32, 3, 2)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu6(super().forward(F.pad(x, (0, 1, 0, 1))))


class Trunk(nn.Module):
    """(N, 3, S, S) in -1..1 -> (N, 1280, S / 32, S / 32)."""

    def __init__(self) -> None:
        super().__init__()
        blocks: list[nn.Module] = [Stem()]
        channels = 32
        for expansion, outputs, count, step in STAGES:
            for i in range(count):
                blocks.append(Block(channels, outputs, step if i == 0 else 1, expansion))
                channels = outputs
        self.blocks = nn.Sequential(*blocks)
        self.blocks[:FROZEN].requires_grad_(False)
        self.last = nn.Conv2d(channels, WIDTH, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu6(self.last(self.blocks(x)))

    def load_imagenet(self, path: Path) -> None:
        """The given float16 state dict `f.<block>.b.<part>.c.*`."""
        state = torch.load(path, map_location="cpu")
        for index, module in enumerate([*self.blocks, self.last]):
            if not isinstance(module, Block):
                _fill(module, state, f"f.{index}.c")
                continue
            parts = [
                p for p in (module.expand, module.depthwise, module.project) if not isinstance(p, nn.Identity)
            ]
            for number, part in enumerate(parts):
                _fill(part, state, f"f.{index}.b.{number}.c")


def _fill(module: nn.Module, state: dict[str, Tensor], name: str) -> None:
    module.load_state_dict({"weight": state[f"{name}.weight"].float(), "bias": state[f"{name}.bias"].float()})


class TileNet(nn.Module):
    """(N, 3, 128, 128) -> (N, labels + 1) logits; the last is "none of them"."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.trunk, self.head = Trunk(), nn.Linear(WIDTH, outputs)
        nn.init.normal_(self.head.weight, std=0.01)
        nn.init.zeros_(self.head.bias)

    def forward(self, x: Tensor) -> Tensor:
        y = self.trunk(x).mean((2, 3))
        return self.head(F.dropout(y, 0.2, self.training))

    def places(self, x: Tensor) -> Tensor:
        """(N, 3, S, S) -> (N, outputs, S / 32, S / 32): what each place adds to the logits."""
        y = self.trunk(x)
        return F.conv2d(y, self.head.weight[:, :, None, None].to(y.dtype), self.head.bias.to(y.dtype))
