"""`nitido model`: list, show, plot, export and import."""

from pathlib import Path
from typing import Annotated

import typer

from nitido.base.errors import NitidoError
from nitido.cli import completion
from nitido.cli.console import Json, output_file, print_table, report, say

app = typer.Typer(name="model", help="List, show, draw, export and import models.", no_args_is_help=True)

ModelName = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="A name of nitido model list, a run directory, or a .safetensors file.",
        autocompletion=completion.model_names,
    ),
]


def _files_of_plot(output: Path) -> tuple[Path, Path]:
    return output.with_suffix(".svg"), output.with_suffix(".png")


def _output_of_plot(output: Path) -> Path:
    for file in _files_of_plot(output):
        output_file(file)
    return output


@app.command()
def export(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="A run directory, a .safetensors file, or a name of nitido model list.",
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


@app.command("list")
def list_(
    json: Json = None,
) -> None:
    """List the models that ship with nitido, with their PSNR; `model show NAME` shows one in detail.

    Example: nitido model list
    """
    from nitido.models.zoo import listing

    models = listing.zoo_descriptors()
    report(
        {"models": listing.as_json(models)},
        json,
        lambda: print_table("PSNR-Y", listing.HEADER, listing.as_lines(models)),
    )


@app.command()
def show(
    model: ModelName,
    json: Json = None,
) -> None:
    """Show a model: its layers, how it was trained, and its figures.

    Example: nitido model show runs/mine
    """
    from nitido.base.yaml_files import to_yaml
    from nitido.inspection import summarize
    from nitido.models.find import find_model

    found = find_model(model)
    described = found.descriptor.model_dump(mode="json")

    def show() -> None:
        for line in [*summarize(found.network).split("\n"), *to_yaml(described).rstrip("\n").split("\n")]:
            say(line)

    report(described, json, show)


@app.command()
def plot(
    model: ModelName,
    output: Annotated[
        Path,
        typer.Option(
            "-o", "--output", help="The diagram to write (.svg); a .png is written beside it.", callback=_output_of_plot
        ),
    ],
) -> None:
    """Draw the block diagram of a model.

    Example: nitido model plot runs/mine -o mine.svg
    """
    from nitido.inspection import draw_diagram
    from nitido.models.find import find_model

    found = find_model(model)
    svg, png = _files_of_plot(output)
    draw_diagram(found.network, svg, png, f"{found.descriptor.architecture} · {found.descriptor.name}")
    say(f"diagram: {svg} and {png}")


@app.command("import")
def import_weights(
    file: Annotated[Path, typer.Argument(help="Third-party weights: .npz, .h5, .keras, .pth, .pt or .safetensors.")],
    output: Annotated[
        Path,
        typer.Option("-o", "--output", help="The model file to write (.safetensors).", callback=output_file),
    ],
    scale: Annotated[
        int | None,
        typer.Option(min=2, max=4, help="A scale that the weights support. Default: all of them."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the model in tables. Default: the name of FILE.")] = None,
    residual_scale: Annotated[
        float | None,
        typer.Option(min=0, help="Residual scale of an EDSR. Default: as published for its size, otherwise 1."),
    ] = None,
) -> None:
    """Convert third-party weights to a model file; the layout is recognized by the content.

    Known: VDSR as its authors' .npz, which serves ×2, ×3 and ×4.

    EDSR as a state dict of EDSR-PyTorch or BasicSR.

    SRGAN's generator as Keras' generator.h5 (needs h5py) or a state dict of leftthomas/SRGAN.

    SRCNN of Keras on enlarged images, which serves ×2, ×3 and ×4; pixels at the border are repeated beyond it.

    Only weights are read: a .pth that would run code is refused.

    Example: nitido model import edsr_baseline_x2.pt -o edsr_x2.safetensors
    """
    if output.suffix.lower() != ".safetensors":
        raise NitidoError(f"{output}: a model file is needed; give a name that ends in .safetensors")
    from nitido.models import save_model
    from nitido.models.importers import import_model

    network, descriptor = import_model(file, scale, name, residual_scale)
    save_model(output, network, descriptor)
    layout = descriptor.training["imported"]["layout"]
    scales = " ".join(f"×{served}" for served in descriptor.scales)
    say(f"{output}: {descriptor.architecture} {scales}, {descriptor.parameters:,} parameters ({layout})")
