"""What every way of training a network shares, as a Lightning module: input, validation, scalars, optimisers."""

from collections.abc import Iterable, Mapping
from statistics import fmean
from typing import Self

import lightning
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from nitido.architectures import SuperResolutionNetwork
from nitido.data import Store
from nitido.errors import NitidoError
from nitido.evaluation.benchmark import NetworkEnlarger, measure
from nitido.imaging import rgb_to_ycbcr
from nitido.training.data import Batch
from nitido.training.freezing import still
from nitido.training.hyperparameters import Hyperparameters
from nitido.training.losses import Criterion
from nitido.training.precision import resolve_precision
from nitido.training.schedules import learning_rate_factor


class DivergedError(NitidoError):
    """Training stopped because it came to nothing: a value that is no finite number, or a collapsed generator."""


class NetworkTraining(lightning.LightningModule):
    """A network with its hyperparameters and its validation pictures.

    `network` maps `(N, C, h, w)` float in [0, 1] to `(N, C, k·h, k·w)`; with C = 1 it is trained on Y. The networks
    are evaluated on `validation` in float32 whatever the precision of the training steps. `metrics` are what a
    validation measures.
    """

    def __init__(
        self,
        network: SuperResolutionNetwork,
        hyperparameters: Hyperparameters,
        total_steps: int,
        validation: Store,
        metrics: Iterable[str],
    ) -> None:
        super().__init__()
        self.network = network
        self.options = hyperparameters
        self.total_steps = total_steps
        self.validation = validation
        self.scale = network.scale
        self.metrics = tuple(metrics)
        self.enlarge = NetworkEnlarger(network)
        self.criterion = Criterion(hyperparameters.loss, hyperparameters.perceptual)
        self.scores: list[dict[str, float]] = []

    def train(self, mode: bool = True) -> Self:
        """Switch to training, except for what is frozen: its batch statistics stand still."""
        super().train(mode)
        still(self.network)
        return self

    def on_fit_start(self) -> None:
        """Bring what the loss needs to where the network is."""
        self.criterion.to(self.device)
        self.train()

    def patches(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """LR and HR patches as the network sees them: `(N, C, p, p)` and `(N, C, k·p, k·p)` float in [0, 1]."""
        lr, hr = (self._as_input(patches) for patches in batch)
        return lr, hr

    def _as_input(self, patches: Tensor) -> Tensor:
        rgb = patches.float() / 255
        return rgb if self.network.channels == 3 else rgb_to_ycbcr(rgb)[:, :1]

    def autocast(self) -> torch.autocast:
        """The number format of the steps as a context."""
        precision = resolve_precision(self.options.precision, self.device)
        return torch.autocast(self.device.type, torch.bfloat16, enabled=precision == "bfloat16")

    def is_logged(self) -> bool:
        """Whether this step's scalars are written."""
        return self.global_step % self.options.log_every == 0

    def refuse_non_finite(self, terms: Mapping[str, Tensor]) -> None:
        """Raise `DivergedError` that names the first of `terms` that is no finite number."""
        for name, term in terms.items():
            if not torch.isfinite(term):
                raise DivergedError(
                    f"loss term {name!r} became {term.item()} at step {self.global_step} "
                    f"(learning rate {self.options.learning_rate:g}): "
                    "try a smaller learning rate, a warm-up or gradient clipping"
                )

    def validation_step(self, index: int, batch_idx: int) -> None:
        """Measure one validation picture under the protocol."""
        self.scores.append(measure(self.enlarge, self.validation, index, self.scale, self.metrics)[1])

    def on_validation_epoch_end(self) -> None:
        """Log the mean over the validation pictures, at the number of finished steps."""
        means = {f"validation/{name}": fmean(s[name] for s in self.scores) for name in self.scores[0]}
        self.scores.clear()
        self.log_dict(means, logger=False)
        self.write_scalars(means)

    def write_scalars(self, scalars: Mapping[str, float]) -> None:
        """Write to every logger at the number of finished steps.

        Lightning's own logging keeps books at every step, which a small network's step is too short for, and its
        count of steps is one off after a resume.
        """
        for logger in self.loggers:
            logger.log_metrics(dict(scalars), step=self.global_step)

    def make_optimizer(self, parameters: Iterable[nn.Parameter], rate: float) -> tuple[Optimizer, LambdaLR]:
        """An optimiser of the hyperparameters' kind for what is not frozen, and its schedule in steps."""
        options = self.options
        learning = [p for p in parameters if p.requires_grad]
        decay = options.weight_decay
        optimizer: Optimizer
        match options.optimizer:
            case "adam":
                optimizer = torch.optim.Adam(learning, lr=rate, weight_decay=decay, fused=True)
            case "adamw":
                optimizer = torch.optim.AdamW(learning, lr=rate, weight_decay=decay, fused=True)
            case "sgd":
                optimizer = torch.optim.SGD(learning, rate, options.momentum, weight_decay=decay, fused=True)
        return optimizer, LambdaLR(optimizer, lambda step: learning_rate_factor(step, self.total_steps, options))
