"""Measure a model for publication: quality in float32, and the loss in bfloat16."""

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from nitido.architectures import SuperResolutionNetwork
from nitido.data import prepare, resolve
from nitido.evaluation.model_comparison import evaluate_models, means
from nitido.evaluation.scoring import NetworkUpscaler
from nitido.models.bfloat16 import calculator
from nitido.models.zoo.listing import DATASETS

COST_DATASET = "set5"
"""Where the cost of bfloat16 is measured."""


class InBfloat16(SuperResolutionNetwork):
    """A network that computes in bfloat16 as in `nitido upscale`; its output is float32."""

    def __init__(self, network: SuperResolutionNetwork) -> None:
        """Wrap `network`, whose weights stay float32."""
        super().__init__(network.config, network.receptive_field_radius)
        self.network = network
        self._calculate = calculator(network, bfloat16=True)

    def forward(self, lr: Tensor) -> Tensor:
        """Upscale `lr`, `(N, C, h, w)` float in [0, 1]."""
        return self._calculate(lr).float()


class Measured(NamedTuple):
    """`means` by dataset and metric, and the loss of PSNR-Y in dB by bfloat16 on `COST_DATASET`."""

    means: dict[str, dict[str, float]]
    bfloat16_cost_db: float


def measure(network: SuperResolutionNetwork, metrics: Sequence[str]) -> Measured:
    """Measure `metrics` (psnr_y among them) of `network` on all of `DATASETS`, under the protocol.

    Raises `DataError` when a dataset is not there.
    """
    scale = network.scale
    stores = {name: prepare(resolve(name, "test"), [scale]) for name in DATASETS}
    found: dict[str, dict[str, float]] = {}
    images = {name: len(store) for name, store in stores.items()}
    for row in means(evaluate_models({"": NetworkUpscaler(network)}, stores, scale, metrics), images):
        found.setdefault(row["dataset"], {})[row["metric"]] = row["value"]
    narrow = NetworkUpscaler(InBfloat16(network))
    rows = evaluate_models({"": narrow}, {COST_DATASET: stores[COST_DATASET]}, scale, ["psnr_y"])
    [row] = means(rows, images)
    return Measured(found, found[COST_DATASET]["psnr_y"] - row["value"])
