"""The text network while it is trained: plain 3x3 convolutions with identity branches, which `folded` melts
into the kernels."""

from __future__ import annotations

import torch
from torch import Tensor, nn

# Channels of the stages at 1/2, 1/4, 1/4 (height 1/8) and 1/4 (height 1/16) of the input, and of the row of
# frames.
STEM, WIDTHS, DEPTHS = 32, (64, 96, 160), (2, 2, 2)
ROW, ROW_DILATIONS = 256, (1, 2, 4, 8, 1)


class Block(nn.Module):
    """relu(bn(conv(x)) + x): the identity is only a 1 in the middle of the kernel once batch norm is folded
    (RepVGG)."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: tuple[int, int] = (3, 3),
        stride: tuple[int, int] = (1, 1),
        padding: tuple[int, int] = (1, 1),
        dilation: tuple[int, int] = (1, 1),
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        self.residual = inputs == outputs and stride == (1, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.conv(x))
        return torch.relu_(y + x if self.residual else y)

    def folded(self) -> nn.Conv2d:
        """One convolution with bias that gives the same numbers before the ReLU."""
        scale = self.norm.weight / torch.sqrt(self.norm.running_var + self.norm.eps)  # type: ignore[operator, arg-type]
        conv = nn.Conv2d(
            self.conv.in_channels,
            self.conv.out_channels,
            self.conv.kernel_size,  # type: ignore[arg-type]
            self.conv.stride,  # type: ignore[arg-type]
            self.conv.padding,  # type: ignore[arg-type]
            self.conv.dilation,  # type: ignore[arg-type]
        )
        weight = self.conv.weight * scale[:, None, None, None]
        if self.residual:
            height, width = weight.shape[2:]
            index = torch.arange(weight.shape[0])
            weight = weight.clone()
            weight[index, index, height // 2, width // 2] += 1
        conv.weight.data = weight.detach()
        conv.bias.data = (self.norm.bias - self.norm.running_mean * scale).detach()  # type: ignore[union-attr, operator]
        return conv


class TextNet(nn.Module):
    """(N, 3, 64, W) standardized pixels -> (N, W / 4, classes) logits, blank last."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        blocks = [Block(3, STEM, stride=(2, 2)), Block(STEM, WIDTHS[0], stride=(2, 2))]
        inputs = WIDTHS[0]
        for stage, (width, depth) in enumerate(zip(WIDTHS, DEPTHS, strict=True)):
            for layer in range(depth):
                blocks.append(Block(inputs, width, stride=(2, 1) if layer == 0 and stage > 0 else (1, 1)))
                inputs = width
        # Four rows become one: where a letter stands on the line tells c from C.
        blocks.append(Block(inputs, ROW, kernel=(4, 3), padding=(0, 1)))
        for dilation in ROW_DILATIONS:
            blocks.append(Block(ROW, ROW, kernel=(1, 3), padding=(0, dilation), dilation=(1, dilation)))
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Conv2d(ROW, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks(x)).squeeze(2).transpose(1, 2)  # type: ignore[no-any-return]

    def folded(self) -> nn.Module:
        """The same network for serving, without batch norm and branches."""
        return Plain(self)


class Plain(nn.Module):
    """The folded network: convolutions and ReLUs only."""

    def __init__(self, net: TextNet) -> None:
        super().__init__()
        self.convs = nn.ModuleList(block.folded() for block in net.blocks)  # type: ignore[operator]
        self.head = net.head

    def forward(self, x: Tensor) -> Tensor:
        for conv in self.convs:
            x = torch.relu(conv(x))
        return self.head(x).squeeze(2).transpose(1, 2)  # type: ignore[no-any-return]
