"""ONNX Runtime, and what its errors mean."""

import numpy as np
import numpy.typing as npt
import torch

from nitido.base.printable import printable
from nitido.models.onnx.packages import RUNTIME, OnnxError, require

_NO_MEMORY = ("bad allocation", "bad_alloc", "allocate memory", "Available memory")


class Session:
    """An ONNX model, with one input and one output, ready to run on the CPU with as many threads as PyTorch has."""

    def __init__(self, content: bytes) -> None:
        """Read the model; raises `OnnxError` when it is none that ONNX Runtime can run, or that is not installed."""
        require("running an ONNX model", RUNTIME)
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.enable_mem_pattern = False  # it would keep a plan for every size of picture
        options.log_severity_level = 4  # errors are raised: not printed as well
        try:
            self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime has a type for every status, and raises Python's own too
            raise OnnxError(_first_line(error)) from None

    def __call__(self, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Run the model; raises `MemoryError` when there is too little, `OnnxError` when `values` do not fit it."""
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
