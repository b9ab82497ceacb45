"""Supervised training: compares the network's output with the ground truth."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from nitido.training.batches import Batch
from nitido.training.module import NetworkTraining


class SupervisedTraining(NetworkTraining):
    """Minimize a weighted sum of loss terms between the network's output and the high-resolution patch.

    If a step is out of memory, patches are processed in micro-batches and their gradients are accumulated. The result
    is the same except for rounding, because every loss term is a mean over patches. Batch normalization needs all
    patches at once.
    """

    terms: dict[str, Tensor]
    scale_of_step: int

    def on_fit_start(self) -> None:
        """Check whether the loss or the network needs the whole batch at once."""
        super().on_fit_start()
        if any(isinstance(layer, _BatchNorm) and layer.training for layer in self.network.modules()):
            self.memory.together = "batch normalization"

    def optimizer_step(
        self, epoch: int, batch_idx: int, optimizer: Any, optimizer_closure: Callable[[], Any] | None = None
    ) -> None:
        """Perform Lightning's step with loss and gradients computed within the available memory."""
        assert optimizer_closure is not None
        super().optimizer_step(epoch, batch_idx, optimizer, lambda: self.with_memory_fallback(optimizer_closure))

    def optimizer_zero_grad(self, epoch: int, batch_idx: int, optimizer: torch.optim.Optimizer) -> None:
        """Reset the gradients of the previous step, unless micro-batches of this step have already added theirs."""
        if self.memory.micro_batch == self.memory.batch:
            super().optimizer_zero_grad(epoch, batch_idx, optimizer)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of one step, or the part of it whose gradients are not computed yet.

        Raises:
            DivergedError: A term is not finite; the message names the first one.
        """
        lr, hr = self.patches(batch)
        self.scale_of_step = hr.shape[-1] // lr.shape[-1]
        if self.memory.micro_batch == self.memory.batch:
            return self.with_float32_fallback(lambda: self._loss(lr, hr))
        return self.with_float32_fallback(lambda: self._loss_of_last_micro_batch(lr, hr))

    def _loss(self, lr: Tensor, hr: Tensor) -> Tensor:
        loss, self.terms = self._mean(lr, hr)
        return loss

    def _loss_of_last_micro_batch(self, lr: Tensor, hr: Tensor) -> Tensor:
        """Compute the gradients of all micro-batches but the last; return the last one's share of the loss."""
        self.network.zero_grad()
        self.terms = {}
        some = self.memory.micro_batch
        *others, last = zip(lr.split(some), hr.split(some), strict=True)  # type: ignore[no-untyped-call]
        for patches in others:
            self.trainer.strategy.backward(self._share(*patches, len(lr)), None)
        return self._share(*last, len(lr))

    def _share(self, lr: Tensor, hr: Tensor, of: int) -> Tensor:
        """Return the share of these patches in the mean loss over `of` patches, and add it to `terms`."""
        mean, terms = self._mean(lr, hr)
        share = len(lr) / of
        self.terms = {name: self.terms.get(name, 0) + share * term for name, term in terms.items()}
        return share * mean

    def _mean(self, lr: Tensor, hr: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the mean loss of patches, and its terms by name, detached."""
        terms = self.criterion.terms(self.upscale(lr, self.scale_of_step), hr)
        loss = torch.stack(list(terms.values())).sum()
        if not torch.isfinite(loss):
            self.refuse_non_finite(terms | {"sum": loss})
        return loss, {name: term.detach() for name, term in terms.items()} | {"total": loss.detach()}

    def calculate_gradients(self, lr: Tensor, hr: Tensor) -> None:
        """Accumulate the gradients of the loss of all patches."""
        self.scale_of_step = self.scale
        self._mean(lr, hr)[0].backward()  # type: ignore[no-untyped-call]

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Log every loss term, the gradient norm before clipping, the learning rate and, of several, the scale.

        A norm that is not finite is omitted, because JSON does not support it; its step is skipped or ends the run.
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
        """Return the optimizer and its schedule, which advances every training step."""
        optimizer, schedule = self.make_optimizer(self.network.parameters(), self.options.learning_rate)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
