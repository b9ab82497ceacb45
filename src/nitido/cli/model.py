"""`nitido model`: list, show, plot, export and import."""

from pathlib import Path
from typing import Annotated

import typer

from nitido.cli.console import JSON_TO_STDOUT, print_table, write_json_output
from nitido.cli.export import export
from nitido.errors import NitidoError

app = typer.Typer(
    name="model", help="Look at trained models, export them, and import other people's.", no_args_is_help=True
)
app.command()(export)

ModelName = Annotated[
    str, typer.Argument(metavar="MODEL", help="A name of the zoo, a run directory, or a .safetensors file.")
]


@app.command("list")
def list_(
    json: Annotated[
        str | None, typer.Option("--json", metavar="FILE", help="Write the list to FILE ('-': standard output).")
    ] = None,
) -> None:
    """List the trained models that ship with nitido, with their PSNR-Y; `model show NAME` tells all of one.

    Example: nitido model list
    """
    from nitido.zoo import listing

    models = listing.zoo_descriptors()
    if json:
        write_json_output({"models": listing.as_json(models)}, json)
    if json != JSON_TO_STDOUT:
        print_table("PSNR-Y", listing.HEADER, listing.as_lines(models))


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
    from nitido.yaml_files import to_yaml

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
        typer.Option(
            min=2, max=4, help="The enlargement: one of several that the weights serve [default: all], else checked."
        ),
    ] = None,
    name: Annotated[str | None, typer.Option(help="What tables call the model; default: FILE's name.")] = None,
    residual_scale: Annotated[
        float | None,
        typer.Option(min=0, help="How much each residual block of an EDSR adds; default: as published for its size."),
    ] = None,
) -> None:
    """Make a model file from weights in a foreign layout, recognised by what is in the file, never by its name.

    Known: VDSR as its authors' .npz, which serves ×2, ×3 and ×4.

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
    scales = " ".join(f"×{served}" for served in descriptor.scales)
    print(f"{output}: {descriptor.architecture} {scales}, {descriptor.parameters:,} parameters ({layout})")
