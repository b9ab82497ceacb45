"""C kernels for convolutions in bfloat16, for training and inference.

`tiles.c` uses Intel's matrix tiles (AMX), `winograd.c` the bfloat16 vectors of other processors (AVX512-BF16).
"""

from nitido.kernels.accelerated_network import AcceleratedNetwork
from nitido.kernels.chain import Chain, Chains
from nitido.kernels.library import Kernels, KernelsUnavailableError, fastest, load

__all__ = ["AcceleratedNetwork", "Chain", "Chains", "Kernels", "KernelsUnavailableError", "fastest", "load"]
