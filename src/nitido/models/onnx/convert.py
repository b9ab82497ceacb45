"""From a network to the bytes of an ONNX model."""

import warnings
from collections.abc import Mapping

import torch

from nitido.architectures import SuperResolutionNetwork
from nitido.models.onnx.packages import EXPORTER, OnnxError, require

INPUT, OUTPUT = "lr", "sr"
"""The names of the picture that goes in and of the one that comes out."""

_EXAMPLE = (
    2,
    12,
    14,
)  # pictures, height, width: no two alike and none of them 1, which the exporter would take as fixed


def to_onnx(network: SuperResolutionNetwork, metadata: Mapping[str, str]) -> bytes:
    """`network`, on the CPU and in eval mode, as an ONNX model with `metadata`; pictures, height and width are free.

    `lr`, `(batch, C, height, width)` float32, becomes `sr`, `(batch, C, k*height, k*width)` float32. Raises `OnnxError`
    when PyTorch cannot export the network or a package is missing.
    """
    require("an export to ONNX", EXPORTER)
    pictures, height, width = _EXAMPLE
    example = torch.zeros(pictures, network.channels, height, width)
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
    # The exporter leaves a log of its work, three quarters of a small file: stack traces, names of PyTorch's own nodes.
    for part in (model.graph, *model.graph.node, *model.graph.input, *model.graph.output, *model.graph.value_info):
        del part.metadata_props[:]
    for key, value in metadata.items():
        model.metadata_props.add(key=key, value=value)
    content: bytes = model.SerializeToString(deterministic=True)
    return content
