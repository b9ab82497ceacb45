"""The stream of training batches: a pure function of the seed and the step."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.utils.data import IterableDataset

from nitido.data import PatchSampler

Batch = tuple[Tensor, Tensor]
"""Low- and high-resolution patches, uint8 RGB `(N, 3, p, p)` and `(N, 3, k·p, k·p)`, in channels-last memory."""


class PatchStream(IterableDataset[Batch]):
    """The batches of one stretch: from the step that `current_step` tells when asked, to the next validation.

    Asking for the step late is what makes a resumed run see exactly the patches it would have seen.
    """

    def __init__(
        self, sampler: PatchSampler, *, batch: int, stretch: int, total: int, current_step: Callable[[], int]
    ) -> None:
        self.sampler = sampler
        self.batch = batch
        self.stretch = stretch
        self.total = total
        self.current_step = current_step

    def __iter__(self) -> Iterator[Batch]:
        """Yield batches up to the next multiple of `stretch` steps, or to `total`."""
        first = self.current_step()
        last = min((first // self.stretch + 1) * self.stretch, self.total)
        for step in range(first, last):
            lr, hr = self.sampler.batch(step * self.batch, self.batch)
            yield torch.from_numpy(lr), torch.from_numpy(hr)
