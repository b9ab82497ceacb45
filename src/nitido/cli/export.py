"""`nitido model export`: a trained network for ONNX Runtime and its like."""

from pathlib import Path
from typing import Annotated

import typer

from nitido.cli import completion
from nitido.cli.console import output_file, say


def export(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="A run directory, a .safetensors file, or a zoo name.",
            autocompletion=completion.model_names,
        ),
    ],
    output: Annotated[
        Path,
        typer.Option("-o", "--output", metavar="OUT", help="The file to write (.onnx).", callback=output_file),
    ],
    scale: Annotated[
        int | None, typer.Option(min=2, help="The scale, if the model supports several. Default: its first.")
    ] = None,
) -> None:
    """Export a model to ONNX for images of any size and batch, and compare it with PyTorch.

    Pixels are float32 in [0, 1], RGB or BT.601 Y: the file says it, with scale and receptive field, in its metadata.

    A file that gives other values than PyTorch is not written. Needs onnx, onnxscript and onnxruntime.

    Example: nitido model export runs/mine -o mine.onnx
    """
    from nitido.models.find import find_model
    from nitido.models.onnx import export_onnx

    found = find_model(model, scale)
    done = export_onnx(output, found.network, found.descriptor)
    say(
        f"{output}: {found.descriptor.architecture} ×{found.network.scale}, {done.size / 1000:,.0f} kB; the largest "
        f"difference from PyTorch, where white is 1, is {done.largest_difference:.1g} ({', '.join(done.differences)})"
    )
