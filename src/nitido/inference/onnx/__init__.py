"""Networks as ONNX: exported with free sizes, compared with PyTorch, and run by ONNX Runtime."""

from nitido.inference.onnx.export import Export, export_onnx, in_onnx_runtime
from nitido.inference.onnx.network import SUFFIX, OnnxNetwork, load_onnx_file
from nitido.inference.onnx.requirement import OnnxError, missing_packages

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
