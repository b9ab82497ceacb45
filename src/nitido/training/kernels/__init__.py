"""nitido's own machine code for training steps in bfloat16 on processors with matrix tiles (Intel's AMX)."""

from nitido.training.kernels.chain import Chain, Chains
from nitido.training.kernels.library import KernelsUnavailableError, load
from nitido.training.kernels.twin import Twin

__all__ = ["Chain", "Chains", "KernelsUnavailableError", "Twin", "load"]
