"""The click networks while they are trained: one finds objects, with plain convolutions; one names them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from training.grid.model import WIDTH, Trunk
from training.slider.model import Block

# Channels at strides 2, 4, 8 and 16; dilations at stride 16, to see what is there again elsewhere.
STEM, FINE, MIDDLE, COARSE = 16, 32, 64, 96
DILATIONS = (1, 2, 4, 1)
MAPS = 3


class ObjectNet(nn.Module):
    """(N, 4, H, W) in -1..1 -> (N, 3, H / 4, W / 4): logits of centres and of being inside, and the logarithm
    of the radius in units of 16 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Block(4, STEM, stride=2)
        self.fine = nn.Sequential(Block(STEM, FINE, stride=2), Block(FINE, FINE))
        self.middle = nn.Sequential(
            Block(FINE, MIDDLE, stride=2), Block(MIDDLE, MIDDLE), Block(MIDDLE, MIDDLE)
        )
        deep = [Block(COARSE, COARSE, dilation=dilation) for dilation in DILATIONS]
        self.coarse = nn.Sequential(Block(MIDDLE, COARSE, stride=2), *deep)
        self.to_middle = Block(COARSE, MIDDLE, kernel=1)
        self.join_middle = Block(MIDDLE, MIDDLE)
        self.to_fine = Block(MIDDLE, FINE, kernel=1)
        self.join_fine = Block(FINE, FINE)
        self.head = nn.Conv2d(FINE, MAPS, 1)
        self.head.bias.data[:] = torch.tensor([-4.0, -1.5, 0.0])

    def forward(self, x: Tensor) -> Tensor:
        fine = self.fine(self.stem(x))
        middle = self.middle(fine)
        up = self.to_middle(self.coarse(middle))
        middle = self.join_middle(middle + F.interpolate(up, scale_factor=2.0))
        fine = self.join_fine(fine + F.interpolate(self.to_fine(middle), scale_factor=2.0))
        return self.head(fine)  # type: ignore[no-any-return]

    def folded(self) -> ObjectNet:
        """The same network for serving, its batch norms and identities melted into the kernels. Changes
        this one."""
        for name, module in list(self.named_modules()):
            if isinstance(module, Block):
                owner = self.get_submodule(name.rpartition(".")[0])
                setattr(owner, name.rpartition(".")[2], nn.Sequential(module.folded(), nn.ReLU(inplace=True)))
        return self


# Blocks of the trunk up to this one stay as ImageNet made them, so that their answers can be kept.
KEPT = 11
IMAGENET = 1001


class NameNet(nn.Module):
    """(N, 3, 112, 112) in -1..1 -> (N, classes) logits of one of `groups`, the last for none of them.

    A class is what ImageNet's labels for it say together, or what one more row of its own says: so photos are
    known from the first step, and drawings are learned beside them.
    """

    def __init__(self, groups: Sequence[tuple[int, ...]], weights: Path | None = None) -> None:
        super().__init__()
        self.trunk = Trunk()
        self.head = nn.Linear(WIDTH, IMAGENET + len(groups))
        members = torch.zeros(len(groups), IMAGENET + len(groups))
        for row, group in enumerate(groups):
            members[row, [*group, IMAGENET + row]] = 1
        # What ImageNet knows and no class of ours means is none of them.
        members[-1, :IMAGENET] = members[:-1, :IMAGENET].sum(0) == 0
        self.register_buffer("members", members)
        if weights is not None:
            self._start(weights, groups)

    def _start(self, weights: Path, groups: Sequence[tuple[int, ...]]) -> None:
        self.trunk.load_imagenet(weights)
        state = torch.load(weights, map_location="cpu")
        known, bias = state["fc.weight"].float(), state["fc.bias"].float()
        with torch.no_grad():
            self.head.weight[:IMAGENET], self.head.bias[:IMAGENET] = known, bias
            for row, group in enumerate(groups, IMAGENET):
                own = list(group)
                self.head.weight[row] = known[own].mean(0) if own else known.mean(0)
                self.head.bias[row] = bias[own].mean() if own else bias.mean()

    def first(self, x: Tensor) -> Tensor:
        """What the blocks that stay make of pictures: (N, 64, 7, 7)."""
        return self.trunk.blocks[:KEPT](x)  # type: ignore[no-any-return]

    def pooled(self, x: Tensor) -> Tensor:
        """What the blocks that learn make of that: (N, 1280)."""
        return F.relu6(self.trunk.last(self.trunk.blocks[KEPT:](x))).mean((2, 3))

    def told(self, x: Tensor) -> Tensor:
        scores = self.head(F.dropout(x, 0.2, self.training))
        top = scores.amax(1, keepdim=True)
        return torch.log(torch.exp(scores - top) @ self.members.T + 1e-12) + top  # type: ignore[no-any-return, operator]

    def forward(self, x: Tensor) -> Tensor:
        return self.told(self.pooled(self.first(x)))
