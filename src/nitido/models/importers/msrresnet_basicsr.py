"""BasicSR's MSRResNet, a modified SRResNet: known, so that the error can say why it is not imported."""

from nitido.models.importers.weight_layout import Inexpressible, Tensors


def _recognises(tensors: Tensors) -> bool:
    return {"conv_first.weight", "body.0.conv1.weight", "upconv1.weight", "conv_last.weight"} <= tensors.keys()


LAYOUT = Inexpressible(
    "BasicSR's MSRResNet",
    _recognises,
    "it has no long skip, one more convolution (conv_hr) ahead of the last, and adds the bilinearly enlarged picture",
)
