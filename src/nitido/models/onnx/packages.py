"""The optional packages for ONNX."""

from collections.abc import Sequence
from importlib.util import find_spec

from nitido.base.errors import NitidoError

EXPORTER = ("onnx", "onnxscript", "onnxruntime")
"""Packages for an export; ONNX Runtime verifies the result."""

RUNTIME = ("onnxruntime",)
"""Packages for running an exported file."""


class OnnxError(NitidoError):
    """A network cannot be exported or run as ONNX."""


def missing_packages(packages: Sequence[str] = EXPORTER) -> list[str]:
    """Return those of `packages` that are not installed."""
    return [package for package in packages if find_spec(package) is None]


def require(purpose: str, packages: Sequence[str]) -> None:
    """Raise `OnnxError` with installation instructions unless all `packages` for `purpose` are installed."""
    missing = missing_packages(packages)
    if missing:
        raise OnnxError(f"{purpose} needs {' and '.join(missing)}: pip install 'nitido[onnx]'")
