"""Measure the speed of cropping patches: from the packed store, and by decoding image files for every patch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from nitido.base.clock import Progress, ignore, interleaved, medians
from nitido.base.device import choose_device
from nitido.benchmarking.data_share import DataShare, measure_share, onwards
from nitido.benchmarking.decoded import DecodedPatches
from nitido.benchmarking.machine_info import MachineInfo, machine_info
from nitido.data import PatchSampler, prepare, resolve_all
from nitido.study.spec import builtin_names

CPU = torch.device("cpu")


@dataclass(frozen=True)
class DataSpeed:
    """Crops per second of LR and HR pairs: `packed`, and decoding PNG by `pillow` and by `libvips`."""

    data: tuple[str, ...]
    images: int
    scale: int
    batch: int
    patch: int
    crops_per_second: Mapping[str, float]
    shares: Sequence[DataShare]
    rounds: int
    where: MachineInfo

    @property
    def opponent(self) -> str:
        """The faster of the two decoders."""
        return max(("pillow", "libvips"), key=self.crops_per_second.__getitem__)

    @property
    def speedup(self) -> float:
        """Crops per second of the store relative to the faster decoder."""
        return self.crops_per_second["packed"] / self.crops_per_second[self.opponent]

    def as_json(self) -> dict[str, Any]:
        """Return the result as plain data."""
        return {
            "data": list(self.data),
            "pictures": self.images,
            "scale": self.scale,
            "batch": self.batch,
            "patch": self.patch,
            "crops_per_second": dict(self.crops_per_second),
            "opponent": self.opponent,
            "speedup": self.speedup,
            "shares": [share.as_json() for share in self.shares],
            "rounds": self.rounds,
            **self.where.as_json(),
        }


def measure_data(
    specs: Sequence[str],
    scale: int,
    batch: int,
    patch: int,
    rounds: int,
    progress: Progress = ignore,
    device: torch.device | None = None,
) -> DataSpeed:
    """Crop batches of the image sets `specs` in three ways in interleaved rounds, then measure the data shares.

    Raises `DataError` if a set is unknown or the patch does not fit into its images.
    """
    device = device or choose_device()
    store = prepare(resolve_all(specs, "train"), [scale])
    sampler = PatchSampler(store, scale, patch, seed=0)
    with TemporaryDirectory(prefix="nitido-benchmark-") as folder:
        decoded = DecodedPatches(store, scale, patch, Path(folder))
        ways = {"packed": sampler.batch, "pillow": decoded.by_pillow, "libvips": decoded.by_libvips}
        actions = {name: onwards(way, batch) for name, way in ways.items()}
        seconds = interleaved(actions, rounds, CPU, progress=progress)
    return DataSpeed(
        data=tuple(specs),
        images=len(store),
        scale=scale,
        batch=batch,
        patch=patch,
        crops_per_second={name: batch / value for name, value in medians(seconds).items()},
        shares=[measure_share(name, rounds, device) for name in builtin_names()],
        rounds=rounds,
        where=machine_info(device, seconds),
    )
