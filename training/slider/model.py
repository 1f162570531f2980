"""The slider network while it is trained: maps of gaps and of their edges."""

from __future__ import annotations

from training.maps import Block, MapNet

# Channels at strides 2, 4, 8 and 16.
STEM, FINE, MIDDLE, COARSE = 32, 64, 96, 128
# Dilations at stride 16: together they see the whole width, so that a piece at the left can tell which gap
# is its own.
DILATIONS = (1, 2, 4, 1)
# Maps: gap, anything that looks like a gap, visible piece; left, top, right, bottom of the gap's box and of
# the piece's.
LOGITS, EDGES = 3, 8


class SliderNet(MapNet):
    """(N, 3, H, W) in -1..1 -> (N, 11, H / 4, W / 4): three logit maps and eight edge maps in units of 16
    pixels."""

    def __init__(self) -> None:
        fine = Block(STEM, FINE, stride=2)
        super().__init__(3, (STEM, FINE, MIDDLE, COARSE), fine, DILATIONS, LOGITS + EDGES)
        # At first the answer is "nowhere": a picture has thousands of cells and one gap.
        self.head.bias.data.zero_()
        self.head.bias.data[:LOGITS] = -6
