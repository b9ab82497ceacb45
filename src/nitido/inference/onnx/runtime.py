"""ONNX Runtime, and what its errors mean."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch

from nitido.inference.onnx.requirement import RUNTIME, OnnxError, require

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
        except _errors() as error:
            raise OnnxError(_first_line(error)) from None
        self.metadata: Mapping[str, str] = self._session.get_modelmeta().custom_metadata_map

    def __call__(self, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Run the model; raises `MemoryError` when there is too little, `OnnxError` when `values` do not fit it."""
        inputs = self._session.get_inputs()
        try:
            (result,) = self._session.run(None, {inputs[0].name: values})
        except _errors() as error:
            if any(words in str(error) for words in _NO_MEMORY):
                raise MemoryError from None
            raise OnnxError(_first_line(error)) from None
        found: npt.NDArray[np.float32] = result
        return found


def _errors() -> tuple[type[Exception], ...]:
    from onnxruntime.capi import onnxruntime_pybind11_state as states

    named = (states.Fail, states.InvalidArgument, states.InvalidGraph, states.InvalidProtobuf, states.NotImplemented)
    return (*named, states.RuntimeException, ValueError)  # ValueError: of a graph with other inputs or outputs


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
