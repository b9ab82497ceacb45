"""Converts a network to an ONNX model."""

import warnings
from collections.abc import Mapping

import torch

from nitido.architectures import SuperResolutionNetwork
from nitido.models.onnx.packages import EXPORTER, OnnxError, require

INPUT, OUTPUT = "lr", "sr"
"""Names of the input and the output image."""

_EXAMPLE = (2, 12, 14)  # batch, height, width: all different and none 1, because the exporter would make it constant


def to_onnx(network: SuperResolutionNetwork, metadata: Mapping[str, str]) -> bytes:
    """Return `network`, on the CPU and in eval mode, as an ONNX model with `metadata`.

    The input is `lr`, `(batch, C, height, width)` float32, the output `sr`, `(batch, C, k*height, k*width)` float32;
    batch, height and width are dynamic.

    Raises:
        OnnxError: PyTorch cannot export the network, or a package is missing.
    """
    require("an export to ONNX", EXPORTER)
    images, height, width = _EXAMPLE
    example = torch.zeros(images, network.channels, height, width)
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecations inside the exporter
            program = torch.onnx.export(
                network,
                (example,),
                dynamo=True,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_shapes=({0: "batch", 2: "height", 3: "width"},),
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        reason = str(error.__cause__ or error).strip().partition("\n")[0]
        raise OnnxError(f"PyTorch cannot export this {type(network).__name__} to ONNX: {reason}") from None
    assert program is not None  # only without dynamo
    model = program.model_proto
    # Remove the exporter's log (stack traces, names of PyTorch's nodes), which is three quarters of a small file.
    for part in (model.graph, *model.graph.node, *model.graph.input, *model.graph.output, *model.graph.value_info):
        del part.metadata_props[:]
    for key, value in metadata.items():
        model.metadata_props.add(key=key, value=value)
    content: bytes = model.SerializeToString(deterministic=True)
    return content
