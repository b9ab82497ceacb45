"""nitido's own machine code for networks in bfloat16, in training and in use.

`tiles.c` is for Intel's matrix tiles (AMX), `winograd.c` for other processors that multiply bfloat16 (AVX512-BF16).
"""

from nitido.kernels.accelerated_network import AcceleratedNetwork
from nitido.kernels.chain import Chain, Chains
from nitido.kernels.library import Kernels, KernelsUnavailableError, fastest, load

__all__ = ["AcceleratedNetwork", "Chain", "Chains", "Kernels", "KernelsUnavailableError", "fastest", "load"]
