"""The slider network while it is trained: plain 3x3 convolutions, a coarse look at the whole picture, and
maps at stride 4."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

# Channels at strides 2, 4, 8 and 16.
STEM, FINE, MIDDLE, COARSE = 32, 64, 96, 128
# Dilations at stride 16: together they see the whole width, so that a piece at the left can tell which gap
# is its own.
DILATIONS = (1, 2, 4, 1)
# Maps: gap, anything that looks like a gap, visible piece; left, top, right, bottom of the gap's box and of
# the piece's.
LOGITS, EDGES = 3, 8


class Block(nn.Module):
    """relu(bn(conv(x)) + x): the identity is only a 1 in the middle of the kernel once batch norm is folded
    (RepVGG)."""

    def __init__(
        self, inputs: int, outputs: int, stride: int = 1, dilation: int = 1, kernel: int = 3
    ) -> None:
        super().__init__()
        padding = dilation * (kernel // 2)
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        self.residual = inputs == outputs and stride == 1

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.conv(x))
        return torch.relu_(y + x if self.residual else y)

    def folded(self) -> nn.Conv2d:
        """One convolution with bias that gives the same numbers before the ReLU."""
        conv, norm = self.conv, self.norm
        scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)  # type: ignore[operator, arg-type]
        weight = conv.weight * scale[:, None, None, None]
        if self.residual:
            index = torch.arange(weight.shape[0])
            weight = weight.clone()
            weight[index, index, weight.shape[2] // 2, weight.shape[3] // 2] += 1
        plain = nn.Conv2d(
            conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride, conv.padding, conv.dilation  # type: ignore[arg-type]
        )  # fmt: skip
        plain.weight.data = weight.detach()
        plain.bias.data = (norm.bias - norm.running_mean * scale).detach()  # type: ignore[union-attr, operator]
        return plain


class SliderNet(nn.Module):
    """(N, 3, H, W) in -1..1 -> (N, 11, H / 4, W / 4): three logit maps and eight edge maps in units of 16
    pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Block(3, STEM, stride=2)
        self.fine = Block(STEM, FINE, stride=2)
        self.middle = nn.Sequential(
            Block(FINE, MIDDLE, stride=2), Block(MIDDLE, MIDDLE), Block(MIDDLE, MIDDLE)
        )
        deep = [Block(COARSE, COARSE, dilation=dilation) for dilation in DILATIONS]
        self.coarse = nn.Sequential(Block(MIDDLE, COARSE, stride=2), *deep)
        self.to_middle = Block(COARSE, MIDDLE, kernel=1)
        self.join_middle = Block(MIDDLE, MIDDLE)
        self.to_fine = Block(MIDDLE, FINE, kernel=1)
        self.join_fine = Block(FINE, FINE)
        self.head = nn.Conv2d(FINE, LOGITS + EDGES, 1)
        # At first the answer is "nowhere": a picture has thousands of cells and one gap.
        self.head.bias.data.zero_()
        self.head.bias.data[:LOGITS] = -6

    def forward(self, x: Tensor) -> Tensor:
        fine = self.fine(self.stem(x))
        middle = self.middle(fine)
        up = self.to_middle(self.coarse(middle))
        middle = self.join_middle(middle + F.interpolate(up, scale_factor=2.0))
        fine = self.join_fine(fine + F.interpolate(self.to_fine(middle), scale_factor=2.0))
        return self.head(fine)  # type: ignore[no-any-return]

    def folded(self) -> SliderNet:
        """The same network for serving, its batch norms and identities melted into the kernels. Changes
        this one."""
        for name, module in list(self.named_modules()):
            if isinstance(module, Block):
                owner = self.get_submodule(name.rpartition(".")[0])
                setattr(owner, name.rpartition(".")[2], nn.Sequential(module.folded(), nn.ReLU(inplace=True)))
        return self
