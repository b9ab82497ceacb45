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
"""Channels that both sides of a convolution must have for its weight to count as one between feature maps."""

_ADAM_BETAS = (0.9, 0.999)
_ADAM_EPSILON = 1e-8
_ITERATIONS = 5
_A, _B, _C = 3.4445, -4.7750, 2.0315
_RMS_OF_ADAM = 0.2
_NOTHING = 1e-12


def orthogonalised(matrices: Tensor, in_bfloat16: bool = False) -> Tensor:
    """Matrices `(N, r, c)` with all singular values moved near 1, by five Newton–Schulz iterations of degree five.

    The iteration and its coefficients are those of Jordan et al., "Muon: an optimizer for hidden layers in neural
    networks" (2024): singular values come to lie in about [0.7, 1.2], which is all that the optimiser needs. What is
    smaller than 1e-12 of a matrix's norm is taken as zero. `in_bfloat16` matrices are multiplied as Jordan et al. do,
    which changes the result by about 2%.

    >>> values = torch.linalg.svdvals(orthogonalised(torch.tensor([[[3.0, 0.0, 0.0], [0.0, 0.5, 0.0]]])))
    >>> bool((values > 0.6).all() and (values < 1.3).all())
    True
    """
    tall = matrices.shape[-2] > matrices.shape[-1]
    x: Tensor = matrices.mT if tall else matrices
    x = x / (torch.linalg.matrix_norm(x, keepdim=True) + 1e-7)
    # A dead filter's momentum fades into denormal numbers, whose products take a processor many times as long.
    x = hardshrink(x, _NOTHING)
    x = _iterated_in_bfloat16(x) if in_bfloat16 else _iterated(x)
    return x.mT if tall else x


def _iterated(x: Tensor) -> Tensor:
    """Every step multiplies by a polynomial of x·xᵀ: their product is made of r × r matrices, and meets x once."""
    gram = x @ x.mT
    unit = torch.eye(gram.shape[-1], dtype=x.dtype, device=x.device)
    product = unit
    for _ in range(_ITERATIONS):
        factor = _A * unit + _B * gram + _C * (gram @ gram)
        product = factor @ product
        gram = factor @ gram @ factor
    return product @ x


def _iterated_in_bfloat16(x: Tensor) -> Tensor:
    """The same with x·xᵀ made anew each time: carried along in eight bits, small eigenvalues would lose their sign."""
    rounded = x.bfloat16()
    for _ in range(_ITERATIONS):
        gram = rounded @ rounded.mT
        rounded = _A * rounded + (_B * gram + _C * (gram @ gram)) @ rounded
    return rounded.to(x.dtype)


def is_between_features(parameter: Tensor) -> bool:
    """Whether a parameter is the weight of a convolution from feature maps to feature maps, which Muon is for.

    >>> is_between_features(torch.empty(64, 64, 3, 3)), is_between_features(torch.empty(64, 3, 3, 3))
    (True, False)
    """
    return parameter.ndim == 4 and min(parameter.shape[:2]) >= FEATURES


class Muon(Optimizer):
    """Muon for the weights between feature maps, Adam for everything else, on one learning rate.

    A weight `(out, in, h, w)` is a matrix `(out, in·h·w)` here. Its step is its Nesterov momentum made orthogonal and
    scaled by 0.2·√max(out, in·h·w), the size of Adam's steps, so that Adam's learning rates hold (Liu et al., "Muon is
    scalable for LLM training", 2025). Weight decay is decoupled.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        rate: float,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
        in_bfloat16: bool = False,
    ) -> None:
        """Sort `parameters` into both kinds, which keep their order; `in_bfloat16` is that of `orthogonalised`."""
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
            for weight, step in zip(weights, orthogonalised(directions, self.in_bfloat16), strict=True):
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
