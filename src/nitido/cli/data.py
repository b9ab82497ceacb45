"""`nitido data`: list, fetch, prepare, check."""

from pathlib import Path
from typing import Annotated

import typer

from nitido.cli.console import JSON_TO_STDOUT, print_table, write_json_output

app = typer.Typer(name="data", help="Picture sets: list, fetch, prepare and check them.", no_args_is_help=True)

Json = Annotated[str | None, typer.Option("--json", metavar="FILE", help="Write JSON to FILE ('-': standard output).")]


@app.command("list")
def list_(json: Json = None) -> None:
    """List the known picture sets, where their files lie and under which terms.

    Example: nitido data list
    """
    from nitido.data import DATASETS

    entries = list(DATASETS.values())
    if json:
        known = [
            {"name": e.name, "title": e.title, "count": e.count, "layout": e.layout, "terms": e.terms, "here": here}
            for e in entries
            for here in [e.is_complete()]
        ]
        write_json_output({"datasets": known}, json)
    if json != JSON_TO_STDOUT:
        lines = [
            [e.name, str(e.count), "yes" if e.is_complete() else "no", e.layout, e.terms, e.title] for e in entries
        ]
        print_table("", ["name", "pictures", "here", "layout", "terms", "what"], lines)


@app.command()
def fetch(name: Annotated[str, typer.Argument(help="A dataset of 'nitido data list'.")]) -> None:
    """Download a dataset into $NITIDO_DATA; an interrupted download goes on.

    Example: nitido data fetch bsds200
    """
    from nitido.data import fetch_dataset

    fetched = fetch_dataset(name)
    for source in fetched.sources:
        print(f"{source.url}: sha256 {source.sha256} ({source.trust})")
    print(f"pictures: {fetched.folder}")


@app.command()
def prepare(
    data: Annotated[str, typer.Argument(metavar="NAME_OR_DIR", help="A picture set: a name, name/split, or a folder.")],
    scale: Annotated[
        list[int] | None, typer.Option(min=2, max=8, help="An enlargement to prepare for [default: 2]. Repeatable.")
    ] = None,
) -> None:
    """Decode a picture set once, so that trainings and evaluations start at once.

    Example: nitido data prepare t91 --scale 2 --scale 4
    """
    from nitido.data import prepare, resolve

    store = prepare(resolve(data), scale or [2])
    scales = ", ".join(f"×{k}" for k in scale or [2])
    print(f"{data}: {len(store)} pictures, low resolution for {scales}, in {store.folder}")


@app.command()
def check(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder with pictures.")], json: Json = None
) -> None:
    """Name every picture that is unreadable, too small, not plain RGB, or a duplicate.

    Example: nitido data check photos/
    """
    from nitido.data import check_folder

    findings = check_folder(folder)
    if json:
        write_json_output(
            {"findings": [{"path": str(f.path), "problem": f.problem, "message": f.message} for f in findings]}, json
        )
    if json != JSON_TO_STDOUT:
        for finding in findings:
            print(finding.message)
        print(f"{folder}: {len(findings)} findings")
    if findings:
        raise typer.Exit(1)
