"""Loss terms by name. Each takes (sr, hr), both `(N, C, H, W)` float in [0, 1], and returns a scalar."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional

Loss = Callable[[Tensor, Tensor], Tensor]


def charbonnier(sr: Tensor, hr: Tensor, epsilon: float = 1e-3) -> Tensor:
    """Mean of sqrt(difference² + ε²), a smooth L1 (Lai et al., LapSRN, CVPR 2017)."""
    return torch.sqrt((sr - hr).square() + epsilon**2).mean()


LOSSES: Mapping[str, Loss] = {
    "l1": functional.l1_loss,
    "l2": functional.mse_loss,
    "charbonnier": charbonnier,
}


def loss_terms(weights: Mapping[str, float], sr: Tensor, hr: Tensor) -> dict[str, Tensor]:
    """Every weighted term by name; their sum is what is minimised."""
    return {name: weight * LOSSES[name](sr, hr) for name, weight in weights.items()}
