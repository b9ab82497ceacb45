"""A small zoo whose figures are set by hand, for tests of code that reads them."""

from pathlib import Path

from nitido.evaluation.protocol import PROTOCOL
from nitido.models import ModelDescriptor, save_model
from nitido.models.publication import Objective, Publication
from tests.architectures.recipes import debug


def add_model(
    folder: Path,
    name: str,
    psnr_y: float,
    architecture: str = "srcnn",
    scale: int = 2,
    objective: Objective = "fidelity",
):
    """Put a debug network into `folder`; its PSNR-Y is `psnr_y` on Set5, a dB less on Set14, two on BSD100."""
    network = debug(architecture, scale=scale).build()
    means = {d: {"psnr_y": psnr_y - less, "ssim_y": 0.9} for less, d in enumerate(("set5", "set14", "bsd100"))}
    facts = Publication(
        licence="CC0-1.0",
        objective=objective,
        protocol=PROTOCOL,
        metrics={scale: means},
        bfloat16_cost_db={scale: 0.001},
    )
    descriptor = ModelDescriptor.of(network, architecture, name).model_copy(update={"publication": facts})
    save_model(folder / f"{name}.safetensors", network, descriptor)


def fill(folder: Path) -> None:
    """Four models, of which the default for ×2 is `edsr-x2` and for ×4 `edsr-x4`."""
    add_model(folder, "srcnn-x2", 36.5)
    add_model(folder, "edsr-x2", 37.75, "edsr")
    add_model(folder, "edsr-x4", 31.75, "edsr", 4)
    add_model(folder, "srgan-x4", 33.25, "srresnet", 4, "perception")
