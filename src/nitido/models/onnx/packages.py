"""The packages that ONNX needs, which are an optional part of nitido."""

from collections.abc import Sequence
from importlib.util import find_spec

from nitido.base.errors import NitidoError

EXPORTER = ("onnx", "onnxscript", "onnxruntime")
"""What an export needs; ONNX Runtime compares the result."""

RUNTIME = ("onnxruntime",)
"""What running an exported file needs."""


class OnnxError(NitidoError):
    """A network cannot be exported or run as ONNX."""


def missing_packages(packages: Sequence[str] = EXPORTER) -> list[str]:
    """Those of `packages` that are not installed."""
    return [package for package in packages if find_spec(package) is None]


def require(purpose: str, packages: Sequence[str]) -> None:
    """Raise `OnnxError`, which says how to install them, unless all `packages` are there for `purpose`."""
    missing = missing_packages(packages)
    if missing:
        raise OnnxError(f"{purpose} needs {' and '.join(missing)}: pip install 'nitido[onnx]'")
