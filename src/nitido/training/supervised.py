"""Supervised training: the network's output is compared with the truth."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from nitido.training.data import Batch
from nitido.training.module import NetworkTraining


class SupervisedTraining(NetworkTraining):
    """Minimises a weighted sum of loss terms between the network's output and the high-resolution patch."""

    terms: dict[str, Tensor]
    scale_of_step: int

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """One step's loss. Raises `DivergedError` that names the first non-finite term."""
        lr, hr = self.patches(batch)
        return self.falling_back(lambda: self._loss(lr, hr))

    def _loss(self, lr: Tensor, hr: Tensor) -> Tensor:
        scale = hr.shape[-1] // lr.shape[-1]
        terms = self.criterion.terms(self.enlarge(lr, scale), hr)
        loss = torch.stack(list(terms.values())).sum()
        if not torch.isfinite(loss):
            self.refuse_non_finite(terms | {"sum": loss})
        self.terms = terms | {"total": loss}
        self.scale_of_step = scale
        return loss

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Log every loss term, the gradient norm before clipping, the learning rate and, of several, the scale.

        A norm that is not finite is no number in JSON, and the step it belongs to is left out or ends the run.
        """
        if not self.is_logged():
            return
        gradients = [p.grad for p in self.network.parameters() if p.grad is not None]
        scalars = {f"loss/{name}": term.item() for name, term in self.terms.items()}
        norm = nn.utils.get_total_norm(gradients).item()
        if math.isfinite(norm):
            scalars["gradient_norm"] = norm
        scalars["learning_rate"] = optimizer.param_groups[0]["lr"]
        if len(self.networks) > 1:
            scalars["scale"] = self.scale_of_step
        self.write_scalars(scalars)

    def configure_optimizers(self) -> Any:
        """The optimiser and its schedule, stepped every training step."""
        optimizer, schedule = self.make_optimizer(self.network.parameters(), self.options.learning_rate)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
