"""How networks are computed while they are trained: in bfloat16 where the processor multiplies it."""

import torch

# Elsewhere bfloat16 takes ten to twenty times as long as full precision.
BFLOAT16 = torch.cpu._is_avx512_bf16_supported()


def quick() -> torch.autocast:
    """bfloat16 for what follows, or full precision."""
    return torch.autocast("cpu", torch.bfloat16, enabled=BFLOAT16)
