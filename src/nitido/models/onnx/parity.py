"""How far an exported network is from the one it was made of."""

import torch

from nitido.architectures import SuperResolutionNetwork

LIMIT = 1e-4
"""The largest difference of an output value, of 1 for white, that still counts as the same network."""

SIZES = ((1, 17, 23), (1, 32, 48), (2, 5, 61), (1, 1, 2))
"""Pictures, height and width of what both enlarge: odd sizes, thin ones, and smaller than a kernel."""


@torch.inference_mode()
def largest_differences(network: SuperResolutionNetwork, exported: SuperResolutionNetwork) -> dict[str, float]:
    """For each of `SIZES` ("17×23") the largest difference between the two, of noise in [0, 1] in float32.

    Infinite where they differ in size; NaN where one of them gives NaN.
    """
    noise = torch.Generator().manual_seed(0)
    differences = {}
    for pictures, height, width in SIZES:
        lr = torch.rand(pictures, network.channels, height, width, generator=noise)
        expected, found = network(lr), exported(lr)
        same = expected.shape == found.shape
        differences[f"{height}×{width}"] = float((expected - found).abs().max()) if same else float("inf")
    return differences
