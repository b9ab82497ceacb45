"""nitido's own machine code for training steps in bfloat16.

`tiles.c` is for Intel's matrix tiles (AMX), `winograd.c` for other processors that multiply bfloat16 (AVX512-BF16).
"""

from nitido.training.kernels.chain import Chain, Chains
from nitido.training.kernels.library import Kernels, KernelsUnavailableError, load
from nitido.training.kernels.twin import Twin

__all__ = ["Chain", "Chains", "Kernels", "KernelsUnavailableError", "Twin", "load"]
