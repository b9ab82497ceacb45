"""nitido: a workbench for single-image super-resolution."""

from importlib.metadata import version

__version__ = version("nitido")
