"""Base Lightning module of supervised and adversarial training: input, validation, scalars, optimizers."""

import copy
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from statistics import fmean
from typing import Any, Self, TypeVar

import lightning
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from nitido.architectures import SuperResolutionNetwork
from nitido.base.errors import NitidoError
from nitido.base.number_text import number_text
from nitido.data import Store
from nitido.evaluation.scoring import NetworkUpscaler, NonFiniteOutputError, measure
from nitido.imaging import rgb_to_ycbcr
from nitido.training.batches import Batch
from nitido.training.fast_path import FastPath
from nitido.training.freezing import freeze_batchnorm_statistics
from nitido.training.hyperparameters import Hyperparameters
from nitido.training.losses import Criterion
from nitido.training.memory.available import available_memory
from nitido.training.memory.step import StepMemory
from nitido.training.muon import Muon
from nitido.training.precision import Format, autocast
from nitido.training.schedules import learning_rate_factor

T = TypeVar("T")


class DivergedError(NitidoError):
    """Training stopped because of a non-finite value or a collapsed generator."""


class NetworkTraining(lightning.LightningModule, ABC):
    """Train a network with its hyperparameters and validation images.

    `network` maps `(N, C, h, w)` float in [0, 1] to `(N, C, k·h, k·w)`; with C = 1 it is trained on Y. Networks are
    evaluated on `validation` in float32, whatever the precision of the training steps, by `metrics`. `fast_path`
    computes the steps.

    Attributes:
        networks: `network` at its own scale and at each of `other_scales`, with shared weights.
        upscalers: How each of these is evaluated.
        precision: Number format of the steps.
        memory: How a step is computed if it is out of memory.
        statistics: Buffers that batches change without gradients, such as the running means of batch normalization.
    """

    def __init__(
        self,
        network: SuperResolutionNetwork,
        hyperparameters: Hyperparameters,
        total_steps: int,
        validation: Store,
        metrics: Iterable[str],
        fast_path: FastPath,
        other_scales: Sequence[int] = (),
    ) -> None:
        super().__init__()
        self.network = network
        self.options = hyperparameters
        self.total_steps = total_steps
        self.validation = validation
        self.scale = network.scale
        self.metrics = tuple(metrics)
        # In plain dicts, which PyTorch does not traverse, so that a checkpoint contains the weights once.
        self.networks = {k: network.at_scale(k) for k in (self.scale, *other_scales)}
        self.upscalers = {k: NetworkUpscaler(n) for k, n in self.networks.items()}
        self.fast_path = fast_path
        self.forwards = {k: fast_path.forward(n) for k, n in self.networks.items()}
        self.precision: Format = fast_path.precision
        self.began_in_bfloat16 = self.precision == "bfloat16"
        self.memory = StepMemory(hyperparameters.batch)
        self.criterion = Criterion(hyperparameters.loss, hyperparameters.perceptual)
        self.scores: dict[int, list[dict[str, float]]] = {k: [] for k in self.networks}
        self.statistics: list[Tensor] = []
        self.validated: dict[str, float] = {}

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; bypass PyTorch's checks for the names that Lightning sets around every hook of a step."""
        if name == "_current_fx_name":
            self.__dict__[name] = value
        else:
            super().__setattr__(name, value)

    def train(self, mode: bool = True) -> Self:
        """Switch to training mode, except for frozen batch normalization, whose statistics stay fixed."""
        super().train(mode)
        freeze_batchnorm_statistics(self.network)
        return self

    def on_fit_start(self) -> None:
        """Move the loss to the device of the network."""
        self.criterion.to(self.device)
        self.statistics = list(self.buffers())
        self.train()

    @abstractmethod
    def calculate_gradients(self, lr: Tensor, hr: Tensor) -> None:
        """Accumulate the gradients of a step on patches in the network's value range, in one pass."""

    def on_train_start(self) -> None:
        """Choose how to compute steps within the available memory, unless a checkpoint has set it."""
        self.memory.folder = Path(self.trainer.log_dir or ".")
        available = available_memory(self.device)
        if self.global_step or available is None:
            return
        with torch.compiler.set_stance("force_eager"):  # compiling for other batch sizes would take long
            self.memory.fit_into(available, self._measure_step)
        if self.memory.is_reduced:
            logging.getLogger(__name__).warning("out of memory: training with %s", str(self.memory))

    def _measure_step(self, patches: int) -> None:
        """Compute a step of `patches` noise patches on a copy of the network, without lasting effect."""
        noise = torch.Generator(self.device).manual_seed(0)
        sides = self.options.patch, self.options.patch * self.scale
        lr, hr = (
            torch.rand(patches, self.network.channels, side, side, device=self.device, generator=noise)
            for side in sides
        )
        forwards, undo = self.forwards, self._save_statistics()
        self.forwards = {self.scale: self.fast_path.forward(copy.deepcopy(self.network))}
        try:
            with suppress(DivergedError):  # noise may diverge; only the run's own patches count
                self.calculate_gradients(lr, hr)
        finally:
            self.forwards = forwards
            self.zero_grad()
            undo()

    def with_memory_fallback(self, calculate: Callable[[], T]) -> T:
        """Return the result of `calculate`. If it runs out of memory, retry with less memory, also in later steps.

        Changes of a failed attempt to running statistics are undone.

        Raises:
            OutOfMemoryError: Memory cannot be reduced further.
        """
        before = self.memory.micro_batch, self.memory.offloaded
        found = self.memory.calculate(calculate, self._save_statistics())
        if (self.memory.micro_batch, self.memory.offloaded) != before:
            logging.getLogger(__name__).warning(
                "out of memory: training with %s from step %d on", str(self.memory), self.global_step
            )
        return found

    def _save_statistics(self) -> Callable[[], None]:
        """Return a function that restores the current batch statistics."""
        before = [values.clone() for values in self.statistics]

        def restore() -> None:
            for values, former in zip(self.statistics, before, strict=True):
                values.copy_(former)

        return restore

    def patches(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Convert patches to the network's input range: `(N, C, p, p)` and `(N, C, k·p, k·p)` float in [0, 1]."""
        lr, hr = (self._as_input(patches) for patches in batch)
        return lr, hr

    def upscale(self, lr: Tensor, scale: int) -> Tensor:
        """Return the network's output for `lr` at `scale`, computed as in a training step, in float32."""
        with self.autocast():
            sr = self.forwards[scale](lr)
        return sr.float()

    def _as_input(self, patches: Tensor) -> Tensor:
        rgb = patches.float() / 255
        return rgb if self.network.channels == 3 else rgb_to_ycbcr(rgb)[:, :1]

    def autocast(self) -> torch.autocast:
        """Return the autocast context of the training steps."""
        return autocast(self.device, self.precision)

    def with_float32_fallback(self, calculate: Callable[[], T]) -> T:
        """Return the result of `calculate`. If it is not finite in half precision, use float32 from then on.

        Changes of the first attempt to statistics are undone. Raises `DivergedError` as `calculate` does in float32.
        """
        if self.precision == "float32":
            return calculate()
        undo = self._save_statistics()
        try:
            return calculate()
        except DivergedError:
            logging.getLogger(__name__).warning(
                "step %d is not finite in %s: the run continues in float32", self.global_step, self.precision
            )
        self.precision = "float32"
        undo()
        return calculate()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Store the number format, the memory policy and the latest validation."""
        checkpoint["precision"] = self.precision
        checkpoint["memory"] = self.memory.state()
        checkpoint["validation"] = self.validated

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the number format and the memory policy."""
        self.precision = checkpoint["precision"]
        if "memory" in checkpoint:  # missing before 2026-12, when all patches of a step were computed together
            self.memory.load(checkpoint["memory"])

    def is_logged(self) -> bool:
        """Return whether the scalars of this step are written."""
        return self.global_step % self.options.log_every == 0

    def refuse_non_finite(self, terms: Mapping[str, Tensor]) -> None:
        """Raise `DivergedError` with the first of `terms` that is not finite."""
        for name, term in terms.items():
            if not torch.isfinite(term):
                raise DivergedError(
                    f"loss term {name!r} became {term.item()} at step {self.global_step} "
                    f"(learning rate {number_text(self.options.learning_rate)}): "
                    "try a smaller learning rate, a warm-up or gradient clipping"
                )

    def validation_step(self, index: int, batch_idx: int) -> None:
        """Measure one validation image under the protocol at one scale.

        `index` enumerates all pairs of scale and image.

        Raises:
            DivergedError: The network's output is not finite.
        """
        scale_index, image = divmod(index, len(self.validation))
        scale = list(self.networks)[scale_index]
        side = self.options.validation_crop
        upscale = self.upscalers[scale]
        try:
            found = measure(upscale, self.validation, image, scale, self.metrics, side)[1]
        except NonFiniteOutputError as error:
            raise DivergedError(f"validation after step {self.global_step}: {error}") from None
        self.scores[scale].append(found)

    def on_validation_epoch_end(self) -> None:
        """Log the mean over the validation images and the scales, at the number of finished steps.

        With several scales, `validation/x3/psnr_y` and so on are the means of each scale.
        """
        each = {k: {name: fmean(s[name] for s in scores) for name in scores[0]} for k, scores in self.scores.items()}
        means = {f"validation/{name}": fmean(m[name] for m in each.values()) for name in each[self.scale]}
        if len(each) > 1:
            means |= {f"validation/x{k}/{name}": mean for k, found in each.items() for name, mean in found.items()}
        for scores in self.scores.values():
            scores.clear()
        self.validated = {name.removeprefix("validation/"): value for name, value in means.items()}
        self.log_dict(means, logger=False)
        self.write_scalars(means)

    def write_scalars(self, scalars: Mapping[str, float]) -> None:
        """Write to every logger at the number of finished steps.

        Lightning's own logging has an overhead per step that is large for small networks, and its step count is off by
        one after resuming.
        """
        for logger in self.loggers:
            logger.log_metrics(dict(scalars), step=self.global_step)

    def make_optimizer(self, parameters: Iterable[nn.Parameter], rate: float) -> tuple[Optimizer, LambdaLR]:
        """Return the optimizer for parameters that are not frozen, and its schedule per step."""
        options = self.options
        learning = [p for p in parameters if p.requires_grad]
        decay = options.weight_decay
        optimizer: Optimizer
        match options.optimizer:
            case "adam":
                optimizer = torch.optim.Adam(learning, lr=rate, weight_decay=decay, fused=True)
            case "adamw":
                optimizer = torch.optim.AdamW(learning, lr=rate, weight_decay=decay, fused=True)
            case "muon":
                optimizer = Muon(learning, rate, options.momentum, decay, self.began_in_bfloat16)
            case "sgd":
                optimizer = torch.optim.SGD(learning, rate, options.momentum, weight_decay=decay, fused=True)
        return optimizer, LambdaLR(optimizer, lambda step: learning_rate_factor(step, self.total_steps, options))
