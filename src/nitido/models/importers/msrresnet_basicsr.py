"""BasicSR's MSRResNet, a modified SRResNet, recognized so that the error can explain why it is not supported."""

from nitido.models.importers.weight_layout import Inexpressible, Tensors


def _recognizes(tensors: Tensors) -> bool:
    return {"conv_first.weight", "body.0.conv1.weight", "upconv1.weight", "conv_last.weight"} <= tensors.keys()


LAYOUT = Inexpressible(
    "BasicSR's MSRResNet",
    _recognizes,
    "it has no long skip, an additional convolution (conv_hr) before the last, and adds the bilinearly upscaled input",
)
