"""`nitido model`: show, plot and import."""

from pathlib import Path
from typing import Annotated

import typer

from nitido.cli.console import JSON_TO_STDOUT, write_json_output
from nitido.errors import NitidoError

app = typer.Typer(name="model", help="Look at trained models and import other people's.", no_args_is_help=True)

ModelName = Annotated[str, typer.Argument(metavar="MODEL", help="A run directory or a .safetensors file.")]


@app.command()
def show(
    model: ModelName,
    json: Annotated[
        str | None, typer.Option("--json", metavar="FILE", help="Write the descriptor to FILE ('-': standard output).")
    ] = None,
) -> None:
    """Show what a model is, how it was trained and what it measured.

    Example: nitido model show runs/mine
    """
    from nitido.inference.models import find_model
    from nitido.inspection import summarize
    from nitido.study.spec import to_yaml

    found = find_model(model)
    if json:
        write_json_output(found.descriptor.model_dump(mode="json"), json)
    if json != JSON_TO_STDOUT:
        print(summarize(found.network))
        print(to_yaml(found.descriptor.model_dump(mode="json")), end="")


@app.command()
def plot(
    model: ModelName,
    output: Annotated[Path, typer.Option("-o", "--output", help="The picture: .svg; a .png is written beside it.")],
) -> None:
    """Draw a model's block diagram.

    Example: nitido model plot runs/mine -o mine.svg
    """
    from nitido.inference.models import find_model
    from nitido.inspection import draw_diagram

    found = find_model(model)
    svg, png = output.with_suffix(".svg"), output.with_suffix(".png")
    draw_diagram(found.network, svg, png, f"{found.descriptor.architecture} · {found.descriptor.name}")
    print(f"diagram: {svg} and {png}")


@app.command("import")
def import_weights(
    file: Annotated[Path, typer.Argument(help="Other people's weights: .npz, .h5, .pth, .pt or .safetensors.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The model file to write: .safetensors.")],
    scale: Annotated[
        int | None,
        typer.Option(min=2, max=4, help="The enlargement: needed where the weights serve several, else checked."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="What tables call the model; default: FILE's name.")] = None,
    residual_scale: Annotated[
        float | None,
        typer.Option(min=0, help="How much each residual block of an EDSR adds; default: as published for its size."),
    ] = None,
) -> None:
    """Make a model file from weights in a foreign layout, recognised by what is in the file, never by its name.

    Known: VDSR as its authors' .npz, with --scale.

    EDSR as a state dict of EDSR-PyTorch or BasicSR.

    SRGAN's generator as Keras' generator.h5 (needs h5py) or a state dict of leftthomas/SRGAN.

    Only weights are read: a .pth that would run code is refused.

    Example: nitido model import edsr_baseline_x2.pt -o edsr_x2.safetensors
    """
    if output.suffix.lower() != ".safetensors":
        raise NitidoError(f"{output}: a model file is needed; give a name that ends in .safetensors")
    from nitido.inference import save_model
    from nitido.inference.importers import import_model

    network, descriptor = import_model(file, scale, name, residual_scale)
    save_model(output, network, descriptor)
    layout = descriptor.training["imported"]["layout"]
    print(f"{output}: {descriptor.architecture} ×{descriptor.scale}, {descriptor.parameters:,} parameters ({layout})")
