"""Runs ONNX models with ONNX Runtime and translates its errors."""

import numpy as np
import numpy.typing as npt
import torch

from nitido.base.printable import printable
from nitido.models.onnx.packages import RUNTIME, OnnxError, require

_NO_MEMORY = ("bad allocation", "bad_alloc", "allocate memory", "Available memory")


class Session:
    """An ONNX model with one input and one output that runs on the CPU with PyTorch's number of threads."""

    def __init__(self, content: bytes) -> None:
        """Read the model; raise `OnnxError` if ONNX Runtime cannot run it or is not installed."""
        require("running an ONNX model", RUNTIME)
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.enable_mem_pattern = False  # it would cache a plan for every image size
        options.log_severity_level = 4  # do not print errors, which are raised
        try:
            self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime raises many types
            raise OnnxError(_first_line(error)) from None

    def __call__(self, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Run the model; raise `MemoryError` if out of memory, `OnnxError` if `values` are invalid."""
        try:
            (given,) = self._session.get_inputs()
            (result,) = self._session.run(None, {given.name: values})
        except MemoryError:
            raise
        except Exception as error:
            if any(words in str(error) for words in _NO_MEMORY):
                raise MemoryError from None
            raise OnnxError(_first_line(error)) from None
        found: npt.NDArray[np.float32] = result
        return found


def _first_line(error: Exception) -> str:
    return printable(str(error).strip().partition("\n")[0] or type(error).__name__)
