"""Muon: orthogonalized momentum steps for convolutions between feature maps."""

from collections.abc import Callable, Iterable, Mapping
from itertools import groupby
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import hardshrink
from torch.optim import Optimizer
from torch.optim.adam import adam

FEATURES = 8
"""Minimum number of input and output channels of a convolution between feature maps."""

_ADAM_BETAS = (0.9, 0.999)
_ADAM_EPSILON = 1e-8
_ITERATIONS = 5
_A, _B, _C = 3.4445, -4.7750, 2.0315
_RMS_OF_ADAM = 0.2
_NOTHING = 1e-12


def orthogonalized(matrices: Tensor, in_bfloat16: bool = False) -> Tensor:
    """Return matrices with all singular values moved near 1, by five Newton–Schulz iterations of degree five.

    The iteration and its coefficients are those of Jordan et al., "Muon: an optimizer for hidden layers in neural
    networks" (2024). The resulting singular values are about 0.7 to 1.2, which is sufficient for the optimizer. Values
    below 1e-12 of a matrix's norm are set to zero.

    Args:
        matrices: `(N, r, c)`.
        in_bfloat16: Whether to multiply in bfloat16, as Jordan et al. do, which changes the result by about 2%.

    >>> values = torch.linalg.svdvals(orthogonalized(torch.tensor([[[3.0, 0.0, 0.0], [0.0, 0.5, 0.0]]])))
    >>> bool((values > 0.6).all() and (values < 1.3).all())
    True
    """
    tall = matrices.shape[-2] > matrices.shape[-1]
    x: Tensor = matrices.mT if tall else matrices
    x = x / (torch.linalg.matrix_norm(x, keepdim=True) + 1e-7)
    # The momentum of a dead filter decays to denormal numbers, whose multiplication is many times slower.
    x = hardshrink(x, _NOTHING)
    x = _iterated_in_bfloat16(x) if in_bfloat16 else _iterated(x)
    return x.mT if tall else x


def _iterated(x: Tensor) -> Tensor:
    """Multiply the polynomials of x·xᵀ of all steps as r × r matrices, then multiply x by the product."""
    gram = x @ x.mT
    unit = torch.eye(gram.shape[-1], dtype=x.dtype, device=x.device)
    product = unit
    for _ in range(_ITERATIONS):
        factor = _A * unit + _B * gram + _C * (gram @ gram)
        product = factor @ product
        gram = factor @ gram @ factor
    return product @ x


def _iterated_in_bfloat16(x: Tensor) -> Tensor:
    """Do the same, but recompute x·xᵀ in each step, because small eigenvalues would lose their sign in eight bits."""
    rounded = x.bfloat16()
    for _ in range(_ITERATIONS):
        gram = rounded @ rounded.mT
        rounded = _A * rounded + (_B * gram + _C * (gram @ gram)) @ rounded
    return rounded.to(x.dtype)


def is_between_features(parameter: Tensor) -> bool:
    """Return whether a parameter is the weight of a convolution between feature maps, to which Muon applies.

    >>> is_between_features(torch.empty(64, 64, 3, 3)), is_between_features(torch.empty(64, 3, 3, 3))
    (True, False)
    """
    return parameter.ndim == 4 and min(parameter.shape[:2]) >= FEATURES


class Muon(Optimizer):
    """Muon for weights between feature maps and Adam for all others, with one learning rate.

    A weight `(out, in, h, w)` is treated as a matrix `(out, in·h·w)`. Its step is the orthogonalized Nesterov momentum,
    scaled by 0.2·√max(out, in·h·w) to the size of Adam's steps, so that Adam's learning rates apply (Liu et al.,
    "Muon is scalable for LLM training", 2025). Weight decay is decoupled.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        rate: float,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
        in_bfloat16: bool = False,
    ) -> None:
        """Sort `parameters` into both kinds in their order; `in_bfloat16` is passed to `orthogonalized`."""
        self.in_bfloat16 = in_bfloat16
        every = list(parameters)
        groups = [
            {"params": [p for p in every if is_between_features(p)], "orthogonal": True},
            {"params": [p for p in every if not is_between_features(p)], "orthogonal": False},
        ]
        defaults = {"lr": rate, "momentum": momentum, "weight_decay": weight_decay}
        super().__init__([group for group in groups if group["params"]], defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update all parameters with a gradient; return the result of `closure`, which is called first."""
        with torch.enable_grad():
            loss = closure() if closure is not None else None
        for group in self.param_groups:
            learning = [p for p in group["params"] if p.grad is not None]
            if learning and group["weight_decay"]:
                torch._foreach_mul_(learning, 1 - group["lr"] * group["weight_decay"])
            if group["orthogonal"]:
                self._orthogonal_step(learning, group)
            else:
                self._adam_step(learning, group)
        return loss

    def _orthogonal_step(self, parameters: list[Tensor], group: Mapping[str, Any]) -> None:
        """Update weights of equal shape together: one batched product is faster than many small ones."""
        shape = Tensor.size
        for _, alike in groupby(sorted(parameters, key=shape), key=shape):
            weights = list(alike)
            directions = torch.stack([self._nesterov(weight, group["momentum"]) for weight in weights])
            rows, columns = directions.shape[1:]
            size = group["lr"] * _RMS_OF_ADAM * max(rows, columns) ** 0.5
            for weight, step in zip(weights, orthogonalized(directions, self.in_bfloat16), strict=True):
                weight.sub_(step.view(weight.shape), alpha=size)

    def _nesterov(self, weight: Tensor, momentum: float) -> Tensor:
        """Return the Nesterov momentum as a matrix."""
        assert weight.grad is not None
        state = self.state[weight]
        if not state:
            state["momentum"] = torch.zeros_like(weight)
        state["momentum"].lerp_(weight.grad, 1 - momentum)
        return weight.grad.lerp(state["momentum"], momentum).flatten(1)

    def _adam_step(self, parameters: list[Tensor], group: Mapping[str, Any]) -> None:
        for parameter in parameters:
            state = self.state[parameter]
            if not state:
                state["step"] = torch.zeros((), dtype=torch.float32, device=parameter.device)
                state["exp_avg"] = torch.zeros_like(parameter)
                state["exp_avg_sq"] = torch.zeros_like(parameter)
        states = [self.state[p] for p in parameters]
        adam(
            parameters,
            [p.grad for p in parameters if p.grad is not None],
            [s["exp_avg"] for s in states],
            [s["exp_avg_sq"] for s in states],
            [],
            [s["step"] for s in states],
            fused=True,
            amsgrad=False,
            beta1=_ADAM_BETAS[0],
            beta2=_ADAM_BETAS[1],
            lr=group["lr"],
            weight_decay=0.0,
            eps=_ADAM_EPSILON,
            maximize=False,
        )
