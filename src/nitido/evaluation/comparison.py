"""One picture enlarged by several models, ranked."""

from collections.abc import Mapping
from dataclasses import dataclass

from nitido.data import Store
from nitido.evaluation.benchmark import Image, Upscaler, measure


@dataclass(frozen=True)
class Candidate:
    """A model's result on one picture: `image` `(H, W, 3)` uint8, PSNR in dB and SSIM on Y."""

    model: str
    image: Image
    psnr_y: float
    ssim_y: float


def compare_on(store: Store, index: int, models: Mapping[str, Upscaler], scale: int) -> list[Candidate]:
    """Enlarge picture `index` of `store` with every model; the best PSNR-Y comes first."""
    candidates = []
    for name, upscale in models.items():
        upscaled, metrics = measure(upscale, store, index, scale)
        candidates.append(Candidate(name, upscaled.rgb, metrics["psnr_y"], metrics["ssim_y"]))
    return sorted(candidates, key=lambda c: -c.psnr_y)
