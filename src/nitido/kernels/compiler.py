"""The C++ compiler, which machine code for networks is made by: PyTorch's own compiler calls the same."""

import os
import shutil
import sys


def compiler_name() -> str:
    """The C++ compiler that PyTorch would call."""
    return os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")


def has_compiler() -> bool:
    """Whether that compiler is there."""
    return shutil.which(compiler_name()) is not None
