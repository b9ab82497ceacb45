"""The stream of training batches: a pure function of the seed and the step."""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor
from torch.utils.data import IterableDataset

from nitido.base.validation import ConfigError
from nitido.data import PatchSampler, Store, scale_index_of_step
from nitido.training.hyperparameters import Hyperparameters
from nitido.training.losses import ADVERSARIAL

Batch = tuple[Tensor, Tensor]
"""Low- and high-resolution patches, uint8 RGB `(N, 3, p, p)` and `(N, 3, k·p, k·p)`, in channels-last memory."""


def check_scales(options: Hyperparameters, scales: Sequence[int]) -> None:
    """Raise `ConfigError` if several `scales` are combined with a loss for a single scale."""
    if len(scales) > 1 and options.is_adversarial:
        raise ConfigError(
            f"scales {', '.join(map(str, scales))} with the loss term {ADVERSARIAL!r}: a discriminator needs patches "
            "of one size and scale: choose one scale or another loss"
        )


def samplers(store: Store, options: Hyperparameters, scales: Sequence[int]) -> list[PatchSampler]:
    """Return a patch sampler per scale. All patches have about the same size in high resolution.

    The hyperparameters' patch size is that of the first scale.

    Raises:
        DataError: An image is smaller than a patch.
        ConfigError: The loss does not support several scales.
    """
    check_scales(options, scales)
    augmentations = {"augment": options.augment, "augment_colours": options.augment_colours}
    return [
        PatchSampler(store, scale, round(options.patch * scales[0] / scale), options.seed, **augmentations)
        for scale in scales
    ]


class PatchStream(IterableDataset[Batch]):
    """The batches from the step that `current_step` returns to the next validation.

    All patches of a step have one scale. The current step is queried late, so that a resumed run sees exactly the
    patches that an uninterrupted run sees.
    """

    def __init__(
        self, samplers: Sequence[PatchSampler], *, batch: int, stretch: int, total: int, current_step: Callable[[], int]
    ) -> None:
        self.samplers = samplers
        self.batch = batch
        self.stretch = stretch
        self.total = total
        self.current_step = current_step

    def __iter__(self) -> Iterator[Batch]:
        """Yield batches up to the next multiple of `stretch` steps, or to `total`."""
        first = self.current_step()
        last = min((first // self.stretch + 1) * self.stretch, self.total)
        for step in range(first, last):
            lr, hr = self._sampler(step).batch(step * self.batch, self.batch)
            yield torch.from_numpy(lr), torch.from_numpy(hr)

    def _sampler(self, step: int) -> PatchSampler:
        count = len(self.samplers)
        return self.samplers[scale_index_of_step(self.samplers[0].seed, step, count) if count > 1 else 0]
