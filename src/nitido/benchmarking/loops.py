"""Two training loops without a trainer: plain PyTorch, and nitido's bare step."""

import copy

import torch
from torch import Tensor
from torch.nn import functional

from nitido.architectures import SuperResolutionNetwork
from nitido.data import Store
from nitido.evaluation.metrics import FIDELITY_METRICS
from nitido.training.batches import Batch
from nitido.training.fast_path import choose
from nitido.training.hyperparameters import Hyperparameters
from nitido.training.supervised import SupervisedTraining


class PlainFloat32:
    """A straightforward step: float32, contiguous NCHW, L1, Adam; no autocast, no compiler."""

    def __init__(self, network: SuperResolutionNetwork, lr: Tensor, hr: Tensor, learning_rate: float) -> None:
        """Train a copy of `network` on `lr` `(N, C, p, p)` and `hr` `(N, C, k·p, k·p)`, which are in memory."""
        device = lr.device
        self.network = copy.deepcopy(network).to(device).to(memory_format=torch.contiguous_format).train()
        self.lr, self.hr = lr.contiguous(), hr.contiguous()
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=learning_rate)

    def __call__(self) -> None:
        """Run one step."""
        self.optimizer.zero_grad()
        loss = functional.l1_loss(self.network(self.lr), self.hr)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()


class BareStep:
    """The training step of nitido's trainer without the trainer: no data, no callbacks, no logging."""

    def __init__(
        self,
        network: SuperResolutionNetwork,
        options: Hyperparameters,
        batch: Batch,
        store: Store,
        device: torch.device,
    ) -> None:
        """Train a copy of `network` on the uint8 `batch`; `store` is the validation set, which is not used."""
        copied = copy.deepcopy(network)
        steps = options.steps or 1
        path = choose(copied, options, steps, device)
        self.module = SupervisedTraining(copied, options, steps, store, FIDELITY_METRICS, path).to(device)
        self.module.on_fit_start()
        self.batch = (batch[0].to(device), batch[1].to(device))
        self.optimizer, self.schedule = self.module.make_optimizer(copied.parameters(), options.learning_rate)

    def __call__(self) -> None:
        """Run one step."""
        self.optimizer.zero_grad()
        loss = self.module.training_step(self.batch, 0)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.schedule.step()
