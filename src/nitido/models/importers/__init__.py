"""Imports third-party weights as models of nitido.

A file is recognized by its content, never by its name, and reading it runs no code from it. A new layout is one module
with a `Layout`, and its entry in `LAYOUTS`.
"""

from pathlib import Path

from nitido.base.file_hash import sha256_of_file
from nitido.base.printable import printable
from nitido.models.importers import (
    edsr_basicsr,
    edsr_pytorch,
    msrresnet_basicsr,
    srcnn_keras,
    srgan_leftthomas,
    srresnet_keras,
    vdsr_authors,
)
from nitido.models.importers.state_dict import unprefixed
from nitido.models.importers.weight_files import KINDS, read_tensors
from nitido.models.importers.weight_layout import Choices, Inexpressible, Layout, Tensors
from nitido.models.model_file import LoadedModel, ModelDescriptor, ModelFileError

__all__ = ["INEXPRESSIBLE", "LAYOUTS", "import_model"]

LAYOUTS: tuple[Layout, ...] = (
    vdsr_authors.LAYOUT,
    edsr_pytorch.LAYOUT,
    edsr_basicsr.LAYOUT,
    srcnn_keras.LAYOUT,
    srresnet_keras.LAYOUT,
    srgan_leftthomas.LAYOUT,
)
"""Every layout that can be imported; the first one that recognizes a file converts it."""

INEXPRESSIBLE: tuple[Inexpressible, ...] = (msrresnet_basicsr.LAYOUT,)
"""Layouts that are recognized and refused."""

_SHOWN_NAMES = 3


def import_model(
    source: Path, scale: int | None = None, name: str | None = None, residual_scale: float | None = None
) -> LoadedModel:
    """Return the third-party weights in `source` as a network in eval mode, with their provenance in its descriptor.

    Args:
        source: The file.
        scale: For layouts whose weights support several scales, the only one to keep; otherwise checked against the
            weights.
        name: Name of the model; by default the file's name without suffix.
        residual_scale: For EDSRs, whose files do not contain it; by default as published for their size (0.1 for 32
            blocks of 256 channels, else 1).

    Raises:
        ModelFileError: The file is missing, damaged, of no known layout, or contains Python objects, or the names,
            shapes, types or values of its weights are not the layout's.
    """
    if name is not None and not (name.strip() and name.isprintable()):
        raise ModelFileError(f"{source}: the name of a model must not be empty and must be printable, not {name!r}")
    if (name or source.stem).strip().lower() == "bicubic":
        raise ModelFileError(f"{source}: 'bicubic' is reserved for the baseline of tables: choose another --name")
    layout, tensors = _recognize(source, _read(source))
    if residual_scale is not None and not layout.open_residual_scale:
        raise ModelFileError(f"{source}: {layout.title} has no residual scale to choose")
    architecture, network, other_scales = layout.convert(source, tensors, Choices(scale, residual_scale))
    origin = {"file": printable(source.name), "sha256": sha256_of_file(source), "layout": layout.title}
    descriptor = ModelDescriptor.of(
        network, architecture, name or printable(source.stem), {"imported": origin}, other_scales=other_scales
    )
    return LoadedModel(network.eval(), descriptor)


def _read(source: Path) -> Tensors:
    if source.is_dir():
        raise ModelFileError(f"{source}: a folder, but a file of weights is required")
    if not source.is_file():
        raise ModelFileError(f"{source}: no such weights file")
    tensors = read_tensors(source)
    if tensors is None:
        raise ModelFileError(f"{source}: not a file of weights that can be imported ({KINDS}; known: {_known()})")
    return tensors


def _recognize(source: Path, found: Tensors) -> tuple[Layout, Tensors]:
    """Return the layout of the tensors, and the tensors without prefixes from training frameworks."""
    for tensors in unprefixed(found):
        for layout in LAYOUTS:
            if layout.recognizes(tensors):
                return layout, tensors
        for other in INEXPRESSIBLE:
            if other.recognizes(tensors):
                raise ModelFileError(f"{source}: {other.title}, which nitido does not support: {other.reason}")
    shown = ", ".join(map(printable, list(found)[:_SHOWN_NAMES])) or "nothing"
    more = ", …" if len(found) > _SHOWN_NAMES else ""
    raise ModelFileError(f"{source}: its arrays ({shown}{more}) have no known layout (known: {_known()})")


def _known() -> str:
    return "; ".join(layout.title for layout in LAYOUTS)
