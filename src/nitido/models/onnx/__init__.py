"""Networks as ONNX: exported with dynamic sizes, compared with PyTorch, and run by ONNX Runtime."""

from nitido.models.onnx.export import Export, export_onnx, in_onnx_runtime
from nitido.models.onnx.network import SUFFIX, OnnxNetwork, load_onnx_file
from nitido.models.onnx.packages import OnnxError, missing_packages

__all__ = [
    "SUFFIX",
    "Export",
    "OnnxError",
    "OnnxNetwork",
    "export_onnx",
    "in_onnx_runtime",
    "load_onnx_file",
    "missing_packages",
]
