"""The click networks while they are trained: one finds objects, with plain convolutions; one names them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from training.click.attributes import IMAGENET, members
from training.grid.model import WIDTH, Trunk
from training.maps import Block, MapNet

# Channels at strides 2, 4, 8 and 16; dilations at stride 16, to see what is there again elsewhere.
STEM, FINE, MIDDLE, COARSE = 16, 32, 64, 96
DILATIONS = (1, 2, 4, 1)
MAPS = 3


class ObjectNet(MapNet):
    """(N, 4, H, W) in -1..1 -> (N, 3, H / 4, W / 4): logits of centres and of being inside, and the logarithm
    of the radius in units of 16 pixels."""

    def __init__(self) -> None:
        fine = nn.Sequential(Block(STEM, FINE, stride=2), Block(FINE, FINE))
        super().__init__(4, (STEM, FINE, MIDDLE, COARSE), fine, DILATIONS, MAPS)
        self.head.bias.data[:] = torch.tensor([-4.0, -1.5, 0.0])


# Blocks of the trunk up to this one stay as ImageNet made them, so that their answers can be kept.
KEPT = 11


class NameNet(nn.Module):
    """(N, 3, 128, 128) in -1..1 -> (N, classes) logits of one of `groups`, the last for none of them.

    A class is what ImageNet's labels for it say together, or what one more row of its own says: so photos are
    known from the first step, and drawings are learned beside them. A class that ImageNet has not starts as
    what is `near` it, so that photos of it look more like it than like anything else.
    """

    def __init__(
        self,
        groups: Sequence[tuple[int, ...]],
        weights: Path | None = None,
        near: Sequence[tuple[int, ...]] = (),
    ) -> None:
        super().__init__()
        self.trunk = Trunk()
        self.head = nn.Linear(WIDTH, IMAGENET + len(groups))
        members = torch.zeros(len(groups), IMAGENET + len(groups))
        for row, group in enumerate(groups):
            members[row, [*group, IMAGENET + row]] = 1
        # What ImageNet knows and no class of ours means is none of them.
        members[-1, :IMAGENET] = members[:-1, :IMAGENET].sum(0) == 0
        # Not in checkpoints: the vocabulary says it, as it is now.
        self.register_buffer("members", members, persistent=False)
        if weights is not None:
            self._start(weights, [group or like for group, like in zip(groups, near, strict=True)])

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
        """What the blocks that stay make of pictures: (N, 64, 8, 8)."""
        return self.trunk.blocks[:KEPT](x)  # type: ignore[no-any-return]

    def pooled(self, x: Tensor) -> Tensor:
        """What the blocks that learn make of that: (N, 1280)."""
        return F.relu6(self.trunk.last(self.trunk.blocks[KEPT:](x))).mean((2, 3))

    def told(self, x: Tensor) -> Tensor:
        return self.together(self.head(F.dropout(x, 0.2, self.training)))

    def together(self, scores: Tensor) -> Tensor:
        """(..., 1001 + classes) of the head -> (..., classes)."""
        top = scores.amax(-1, keepdim=True)
        return torch.log(torch.exp(scores - top) @ self.members.T + 1e-12) + top  # type: ignore[no-any-return, operator]

    def forward(self, x: Tensor) -> Tensor:
        return self.told(self.pooled(self.first(x)))


# How far to believe what was learned, and what ImageNet knew.
LEARNED, KNEW = 0.8, 0.2
# A probability that is as good as none.
FAINT = 1e-6


class BothNet(nn.Module):
    """(N, 3, 128, 128) in -1..1 -> (N, classes) logarithms of probabilities: of the network that learned,
    mixed with the one that it started from; (N, 2, attributes), those of the attributes, by each of the two;
    and (N, 1280) of length 1: what the second one saw, alike where the pictures are.

    What learns from drawings forgets photos of whatever it has no photo of; what it was before still knows
    them. The first blocks are those of both.
    """

    none: Tensor
    own: Tensor
    attributes: Tensor

    def __init__(self, learned: NameNet, before: NameNet) -> None:
        super().__init__()
        self.learned, self.before = learned, before
        none = torch.zeros(2, 1, len(learned.members))
        # That none of ours is meant was only learned.
        none[1, :, -1] = -1e4
        self.register_buffer("none", none)
        # Nor did it learn rows of ours.
        own = torch.zeros(2, 1, learned.members.shape[1])
        own[1, :, IMAGENET:] = -1e4
        self.register_buffer("own", own)
        self.register_buffer("attributes", torch.from_numpy(members()).T.contiguous())
        self.register_buffer("shares", torch.tensor([LEARNED, KNEW]).log()[:, None, None])

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = self.learned.first(x)
        learned, before = (net.pooled(x) for net in (self.learned, self.before))
        scores = torch.stack([self.learned.head(learned), self.before.head(before)])
        told = torch.log_softmax(self.learned.together(scores) + self.none, 2)
        said = torch.log(torch.softmax(scores + self.own, 2) @ self.attributes + FAINT).transpose(0, 1)
        seen = before / before.norm(dim=1, keepdim=True)
        return torch.logsumexp(told + self.shares, 0), said, seen  # type: ignore[operator]
