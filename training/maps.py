"""The shape that the networks share that answer with maps at stride 4: plain convolutions, a coarse look at
the whole picture, and back up to where things are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812


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


class MapNet(nn.Module):
    """(N, inputs, H, W) -> (N, outputs, H / 4, W / 4).

    `widths`: channels at strides 2, 4, 8 and 16; `fine`: the blocks at stride 4; `dilations`: of the blocks
    at stride 16, which together see the whole picture.
    """

    def __init__(
        self, inputs: int, widths: tuple[int, int, int, int], fine: nn.Module, dilations: Sequence[int],
        outputs: int,
    ) -> None:  # fmt: skip
        super().__init__()
        first, second, third, last = widths
        self.stem, self.fine = Block(inputs, first, stride=2), fine
        self.middle = nn.Sequential(Block(second, third, stride=2), Block(third, third), Block(third, third))
        deep = [Block(last, last, dilation=dilation) for dilation in dilations]
        self.coarse = nn.Sequential(Block(third, last, stride=2), *deep)
        self.to_middle, self.join_middle = Block(last, third, kernel=1), Block(third, third)
        self.to_fine, self.join_fine = Block(third, second, kernel=1), Block(second, second)
        self.head = nn.Conv2d(second, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        fine = self.fine(self.stem(x))
        middle = self.middle(fine)
        up = self.to_middle(self.coarse(middle))
        middle = self.join_middle(middle + F.interpolate(up, scale_factor=2.0))
        fine = self.join_fine(fine + F.interpolate(self.to_fine(middle), scale_factor=2.0))
        return self.head(fine)  # type: ignore[no-any-return]

    def folded(self) -> Self:
        """The same network for serving, its batch norms and identities melted into the kernels. Changes
        this one."""
        for name, module in list(self.named_modules()):
            if isinstance(module, Block):
                owner = self.get_submodule(name.rpartition(".")[0])
                setattr(owner, name.rpartition(".")[2], nn.Sequential(module.folded(), nn.ReLU(inplace=True)))
        return self
