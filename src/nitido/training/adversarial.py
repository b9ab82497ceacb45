"""Adversarial training: the network learns outputs that a discriminator classifies as photographs."""

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from nitido.architectures import SuperResolutionNetwork
from nitido.architectures.discriminator import Discriminator
from nitido.data import Store
from nitido.training.adversarial_losses import ADVERSARIAL_LOSSES
from nitido.training.batches import Batch
from nitido.training.collapse import CollapseGuard
from nitido.training.fast_path import FastPath
from nitido.training.hyperparameters import Hyperparameters
from nitido.training.losses import ADVERSARIAL
from nitido.training.module import DivergedError, NetworkTraining


class AdversarialTraining(NetworkTraining):
    """SRGAN's training (Ledig et al., CVPR 2017): alternating steps of discriminator and network.

    The network minimizes the weighted sum of its loss terms, including the adversarial one. The discriminator learns to
    distinguish its outputs from the ground truth. A step of the run is one step of both. Lightning counts only the
    network's steps, so that lengths, schedules and the order of patches have the same meaning as in supervised
    training.
    """

    def __init__(
        self,
        network: SuperResolutionNetwork,
        hyperparameters: Hyperparameters,
        total_steps: int,
        validation: Store,
        metrics: Iterable[str],
        fast_path: FastPath,
    ) -> None:
        """Create the discriminator from the run's seed; raise `ConfigError` if it does not support the patch size."""
        super().__init__(network, hyperparameters, total_steps, validation, metrics, fast_path)
        self.automatic_optimization = False
        options = hyperparameters.adversarial
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(hyperparameters.seed)
            self.discriminator = Discriminator(
                options.discriminator, network.channels, hyperparameters.patch * self.scale
            )
        self.adversarial_loss = ADVERSARIAL_LOSSES[options.kind]
        self.guard = CollapseGuard(options.collapse)
        self.memory.together = "a discriminator"

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Perform one step of the discriminator and one of the network.

        Raises `DivergedError` that names the term that became non-finite, or the collapse.
        """
        lr, hr = self.patches(batch)
        sr, scalars = self.with_memory_fallback(
            lambda: self.with_float32_fallback(lambda: self._compute_gradients(lr, hr))
        )
        self._refuse_collapse(_psnr(sr, hr), scalars)
        optimizer, discriminator_optimizer = self.optimizers()  # type: ignore[attr-defined]
        if self.is_logged():
            scalars["learning_rate"] = torch.tensor(optimizer.param_groups[0]["lr"])
            self.write_scalars({name: value.item() for name, value in scalars.items()})
        discriminator_optimizer.optimizer.step()  # bypass Lightning, which would count it as a step of the run
        optimizer.step()
        for schedule in self.lr_schedulers():  # type: ignore[union-attr]
            schedule.step()

    def calculate_gradients(self, lr: Tensor, hr: Tensor) -> None:
        """Accumulate the gradients of both networks."""
        self._compute_gradients(lr, hr)

    def _compute_gradients(self, lr: Tensor, hr: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute the gradients of both; return the network's outputs for `lr` and the scalars to log."""
        sr = self.upscale(lr, self.scale)
        fake = sr.detach()
        return fake, self._discriminator_gradients(fake, hr) | self._network_gradients(sr, hr)

    def _discriminator_gradients(self, sr: Tensor, hr: Tensor) -> dict[str, Tensor]:
        """Compute the gradients of the discriminator and return the scalars to log."""
        real, fake = self._classify(hr), self._classify(sr)
        loss = self.adversarial_loss.discriminator(real, fake)
        self.refuse_non_finite({"discriminator": loss})
        self.discriminator.zero_grad()
        self.manual_backward(loss)
        return {
            "loss/discriminator": loss.detach(),
            "discriminator/real": torch.sigmoid(real.detach()).mean(),
            "discriminator/fake": torch.sigmoid(fake.detach()).mean(),
            "discriminator/gradient_norm": self._clip(self.discriminator, "discriminator"),
        }

    def _network_gradients(self, sr: Tensor, hr: Tensor) -> dict[str, Tensor]:
        """Compute the gradients of the network and return the scalars to log."""
        terms = self.criterion.terms(sr, hr)
        with _unchanged(self.discriminator):
            fake = self._classify(sr)
            real = self._classify(hr) if self.adversarial_loss.relative else fake
            terms[ADVERSARIAL] = self.options.loss[ADVERSARIAL] * self.adversarial_loss.generator(real, fake)
            loss = torch.stack(list(terms.values())).sum()
            self.refuse_non_finite(terms | {"sum": loss})
            self.network.zero_grad()
            self.manual_backward(loss)
        scalars = {f"loss/{name}": term.detach() for name, term in terms.items()}
        return scalars | {"loss/total": loss.detach(), "gradient_norm": self._clip(self.network, "network")}

    def _refuse_collapse(self, psnr: float, scalars: Mapping[str, Tensor]) -> None:
        collapse = self.guard.observe(psnr)
        if collapse is None:
            return
        real, fake = scalars["discriminator/real"].item(), scalars["discriminator/fake"].item()
        raise DivergedError(
            f"the generator collapsed at step {self.global_step}: {collapse} (D(real) {real:.2f}, D(fake) {fake:.2f}): "
            f"try a smaller weight of the loss term {ADVERSARIAL!r} or a smaller learning rate"
        )

    def _classify(self, images: Tensor) -> Tensor:
        with self.autocast():
            logits = self.discriminator(images)
        as_float: Tensor = logits.float()
        return as_float

    def _clip(self, network: nn.Module, name: str) -> Tensor:
        """Clip gradients and return their norm before clipping."""
        gradients = [p.grad for p in network.parameters() if p.grad is not None]
        norm = nn.utils.get_total_norm(gradients)
        self.refuse_non_finite({f"gradient of the {name}": norm})
        if self.options.gradient_clip:
            nn.utils.clip_grads_with_norm_(network.parameters(), self.options.gradient_clip, norm)
        return norm

    def configure_optimizers(self) -> Any:
        """Return both optimizers and their schedules."""
        rate = self.options.learning_rate
        network, network_schedule = self.make_optimizer(self.network.parameters(), rate)
        discriminator_optimizer, discriminator_schedule = self.make_optimizer(
            self.discriminator.parameters(), self.options.adversarial.learning_rate or rate
        )
        return [network, discriminator_optimizer], [network_schedule, discriminator_schedule]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Store the state of the collapse guard."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["collapse_guard"] = self.guard.state()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the state of the collapse guard."""
        super().on_load_checkpoint(checkpoint)
        self.guard.restore(checkpoint["collapse_guard"])


@contextmanager
def _unchanged(discriminator: nn.Module) -> Iterator[None]:
    """Let gradients pass through the discriminator to the image, without changing its gradients or statistics.

    In train mode the discriminator uses the statistics of the batch, as when it is trained; changes to running
    statistics are undone.
    """
    buffers = [buffer.clone() for buffer in discriminator.buffers()]
    discriminator.requires_grad_(False)
    try:
        yield
    finally:
        discriminator.requires_grad_(True)
        with torch.no_grad():
            for buffer, before in zip(discriminator.buffers(), buffers, strict=True):
                buffer.copy_(before)


def _psnr(sr: Tensor, hr: Tensor) -> float:
    """Return the PSNR in dB over a batch of patches."""
    error = (sr.clamp(0, 1) - hr).square().mean().item()
    return 10 * math.log10(1 / max(error, 1e-10))
