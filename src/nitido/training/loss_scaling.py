"""Loss scaling for float16: scales up small gradients and skips steps that overflow."""

from collections.abc import Callable
from typing import Any

import lightning
import torch
from lightning.pytorch.plugins import Precision
from torch import Tensor
from torch.optim import Optimizer


class LossScaling(Precision):
    """Dynamic loss scaling (Micikevicius et al., ICLR 2018) with PyTorch's `GradScaler`, as a Lightning plugin.

    A loss is multiplied by a factor before the backward pass, and its gradients are divided by it before they are used.
    A step whose gradients are not finite changes nothing, and the factor is halved. The training module sets the number
    format and validates in float32; Lightning's own plugin would validate in float16 too.
    """

    def __init__(self, device: torch.device) -> None:
        self.scaler = torch.amp.GradScaler(device.type)

    def pre_backward(self, tensor: Tensor, module: lightning.LightningModule) -> Tensor:  # type: ignore[override]
        """Return the scaled loss."""
        return super().pre_backward(self.scaler.scale(tensor), module)

    def optimizer_step(  # type: ignore[override]
        self, optimizer: Optimizer, model: lightning.LightningModule, closure: Callable[[], Any], **kwargs: Any
    ) -> Any:
        """Perform a step with unscaled gradients; skip it if they are not finite."""
        result = closure()
        self.scaler.unscale_(optimizer)
        self._after_closure(model, optimizer)
        self.scaler.step(optimizer)
        self.scaler.update()
        return result

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the scaler for a checkpoint."""
        return self.scaler.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state of the scaler."""
        self.scaler.load_state_dict(state_dict)
