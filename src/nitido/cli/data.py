"""`nitido data`: list, fetch, prepare, check."""

from pathlib import Path
from typing import Annotated

import typer

from nitido.base.errors import NitidoError, nearest
from nitido.cli import completion
from nitido.cli.console import Json, print_table, report, say

app = typer.Typer(name="data", help="Image sets: list, fetch, prepare and check them.", no_args_is_help=True)


@app.command("list")
def list_(json: Json = None) -> None:
    """List the known image sets, where their files are stored, and their terms of use.

    Example: nitido data list
    """
    from nitido.data import DATASETS

    known = [
        {"name": e.name, "title": e.title, "count": e.count, "layout": e.layout, "terms": e.terms, "here": here}
        for e in DATASETS.values()
        for here in [e.is_complete()]
    ]

    def show() -> None:
        lines = [
            [e.name, str(e.count), "yes" if found["here"] else "no", e.layout, e.terms, e.title]
            for e, found in zip(DATASETS.values(), known, strict=True)
        ]
        print_table("", ["name", "images", "here", "layout", "terms", "what"], lines)

    report({"datasets": known}, json, show)


@app.command()
def fetch(
    name: Annotated[
        str, typer.Argument(help="A dataset of 'nitido data list'.", autocompletion=completion.dataset_names)
    ],
) -> None:
    """Download a dataset to $NITIDO_DATA, resuming an interrupted download.

    Example: nitido data fetch bsds200
    """
    from nitido.data import fetch_dataset

    fetched = fetch_dataset(name)
    for source in fetched.sources:
        say(f"{source.url}: sha256 {source.sha256} ({source.trust})")
    say(f"images: {fetched.folder}")


@app.command()
def prepare(
    data: Annotated[
        str,
        typer.Argument(
            metavar="NAME_OR_DIR",
            help="An image set: a name, name/split, or a folder.",
            autocompletion=completion.dataset_names,
        ),
    ],
    scale: Annotated[
        list[int] | None, typer.Option(min=2, max=8, help="A scale to prepare for; repeatable. Default: 2.")
    ] = None,
) -> None:
    """Decode an image set once, so that training and evaluation start without delay.

    Example: nitido data prepare t91 --scale 2 --scale 4
    """
    from nitido.data import prepare, resolve

    store = prepare(resolve(data), scale or [2])
    scales = ", ".join(f"×{k}" for k in scale or [2])
    say(f"{data}: {len(store)} images, low resolution for {scales}, in {store.folder}")


@app.command()
def check(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder of images.")], json: Json = None
) -> None:
    """Report every image that is unreadable, too small, not plain RGB, or nearly the same as another.

    Example: nitido data check photos/
    """
    from nitido.data import DATASETS, check_folder

    if not folder.exists() and (known := nearest(str(folder), DATASETS)) is not None:
        raise NitidoError(
            f"{folder}: no such folder; the images of the dataset {known!r} belong in {DATASETS[known].folder()}"
        )
    findings = check_folder(folder)

    def show() -> None:
        for finding in findings:
            say(finding.message)
        say(f"{folder}: {len(findings)} findings")

    report(
        {"findings": [{"path": str(f.path), "problem": f.problem, "message": f.message} for f in findings]}, json, show
    )
    if findings:
        raise typer.Exit(1)
