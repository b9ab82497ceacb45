"""Supervised training of one network as a Lightning module."""

from collections.abc import Mapping
from statistics import fmean
from typing import Any

import lightning
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from nitido.architectures import SuperResolutionNetwork
from nitido.data import Store
from nitido.errors import NitidoError
from nitido.evaluation.benchmark import NetworkEnlarger, measure
from nitido.imaging import rgb_to_ycbcr
from nitido.training.data import Batch
from nitido.training.hyperparameters import Hyperparameters
from nitido.training.losses import loss_terms
from nitido.training.precision import resolve_precision
from nitido.training.schedules import learning_rate_factor

MONITORED = "validation/psnr_y"
"""The scalar that chooses the best checkpoint: mean PSNR-Y in dB over the validation pictures."""


class DivergedError(NitidoError):
    """Training stopped because a loss term was no longer a finite number."""


class SupervisedTraining(lightning.LightningModule):
    """Minimises a weighted sum of loss terms between the network's output and the high-resolution patch.

    `network` maps `(N, C, h, w)` float in [0, 1] to `(N, C, k·h, k·w)`; with C = 1 it is trained on Y. The networks
    are evaluated on `validation` in float32 whatever the precision of the training steps.
    """

    def __init__(
        self,
        network: SuperResolutionNetwork,
        hyperparameters: Hyperparameters,
        total_steps: int,
        validation: Store,
        scale: int,
    ) -> None:
        super().__init__()
        self.network = network
        self.options = hyperparameters
        self.total_steps = total_steps
        self.validation = validation
        self.scale = scale
        self.enlarge = NetworkEnlarger(network)
        self.terms: dict[str, Tensor] = {}
        self.scores: list[dict[str, float]] = []

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """One step's loss; logs every term. Raises `DivergedError` that names the first non-finite term."""
        lr, hr = (self._as_input(patches) for patches in batch)
        precision = resolve_precision(self.options.precision, self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=precision == "bfloat16"):
            sr = self.network(lr)
        terms = loss_terms(self.options.loss, sr.float(), hr)
        loss = torch.stack(list(terms.values())).sum()
        if not torch.isfinite(loss):
            raise DivergedError(self._divergence(terms))
        self.terms = terms | {"total": loss}
        return loss

    def _as_input(self, patches: Tensor) -> Tensor:
        rgb = patches.float() / 255
        return rgb if self.network.channels == 3 else rgb_to_ycbcr(rgb)[:, :1]

    def _divergence(self, terms: Mapping[str, Tensor]) -> str:
        culprits = [name for name, term in terms.items() if not torch.isfinite(term)] or ["sum"]
        return (
            f"loss term {culprits[0]!r} became {terms.get(culprits[0], torch.tensor(torch.nan)).item()} "
            f"at step {self.global_step} (learning rate {self.options.learning_rate:g}): "
            "try a smaller learning rate, a warm-up or gradient clipping"
        )

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Log every loss term, the gradient norm before clipping and the learning rate."""
        if self.global_step % self.options.log_every:
            return
        gradients = [p.grad for p in self.network.parameters() if p.grad is not None]
        scalars = {f"loss/{name}": term.item() for name, term in self.terms.items()}
        scalars |= {
            "gradient_norm": nn.utils.get_total_norm(gradients).item(),
            "learning_rate": optimizer.param_groups[0]["lr"],
        }
        self._write(scalars)

    def validation_step(self, index: int, batch_idx: int) -> None:
        """Measure one validation picture under the protocol."""
        self.scores.append(measure(self.enlarge, self.validation, index, self.scale)[1])

    def on_validation_epoch_end(self) -> None:
        """Log the mean over the validation pictures, at the number of finished steps."""
        means = {f"validation/{name}": fmean(s[name] for s in self.scores) for name in self.scores[0]}
        self.scores.clear()
        self.log_dict(means, logger=False)
        self._write(means)

    def _write(self, scalars: Mapping[str, float]) -> None:
        # Lightning's own logging keeps books at every step, which a small network's step is too short for, and its
        # count of steps is one off after a resume.
        for logger in self.loggers:
            logger.log_metrics(dict(scalars), step=self.global_step)

    def configure_optimizers(self) -> Any:
        """The optimiser and its schedule, stepped every training step."""
        options = self.options
        parameters = [p for p in self.network.parameters() if p.requires_grad]
        rate, decay = options.learning_rate, options.weight_decay
        optimizer: torch.optim.Optimizer
        match options.optimizer:
            case "adam":
                optimizer = torch.optim.Adam(parameters, lr=rate, weight_decay=decay, fused=True)
            case "adamw":
                optimizer = torch.optim.AdamW(parameters, lr=rate, weight_decay=decay, fused=True)
            case "sgd":
                optimizer = torch.optim.SGD(parameters, rate, options.momentum, weight_decay=decay, fused=True)
        schedule = LambdaLR(optimizer, lambda step: learning_rate_factor(step, self.total_steps, options))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
