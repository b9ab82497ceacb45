"""`nitido evaluate` and `nitido compare`."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nitido.base.errors import NitidoError
from nitido.cli import completion
from nitido.cli.console import Device, Json, output_file, print_table, report, say
from nitido.cli.display import loading

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import torch

    from nitido.data import Store
    from nitido.evaluation.metrics import Metric
    from nitido.evaluation.objectives import Objective
    from nitido.evaluation.scoring import Upscaler

BICUBIC = "bicubic"

ALL = "all"
"""Among the metrics: every one that can be measured."""

Models = Annotated[
    list[str],
    typer.Argument(
        metavar="MODEL…",
        help="bicubic, a name of nitido model list, a run directory, or a .safetensors file.",
        autocompletion=completion.model_names,
    ),
]
Scale = Annotated[int, typer.Option(min=2, max=8, help="The scale factor.")]


def evaluate(
    models: Models,
    data: Annotated[
        list[str],
        typer.Option(
            help="An image set: a name, name/split, name[:20], or a folder; repeatable.",
            autocompletion=completion.dataset_names,
        ),
    ],
    scale: Scale,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            help="A metric, or `all`; repeatable. Default: psnr_y, ssim_y, psnr_rgb.",
            show_default=False,
            autocompletion=completion.metric_names,
        ),
    ] = None,
    self_ensemble: Annotated[
        bool, typer.Option("--self-ensemble", help="Self-ensemble over eight flips and rotations (8× slower).")
    ] = False,
    device: Device = None,
    json: Json = None,
) -> None:
    """Measure models on image sets under the literature's protocol.

    Example: nitido evaluate bicubic runs/mine --data set5 --data set14 --scale 2 --metric psnr_y --metric flip
    """
    with loading():
        from nitido.base.device import device_label
        from nitido.data import prepare, resolve
        from nitido.evaluation.metrics import FIDELITY_METRICS, METRICS, MetricNotAvailableError
        from nitido.evaluation.metrics import metric as metric_called
        from nitido.evaluation.model_comparison import evaluate_models, means
        from nitido.evaluation.scoring import require_measurable, unmeasurable

    asked = metric or list(FIDELITY_METRICS)
    named = [metric_called(name) for name in dict.fromkeys(asked) if name != ALL]
    for measure in named:
        if reason := measure.missing():
            raise MetricNotAvailableError(measure.name, reason)
    if self_ensemble and set(models) == {BICUBIC}:
        raise NitidoError(f"--self-ensemble: {BICUBIC} is not a network: leave the option out")
    where = _device(device, models)
    measures = list(dict.fromkeys([*METRICS.values(), *named] if ALL in asked else named))
    upscalers = {_label(name, self_ensemble): _upscaler(name, scale, where, self_ensemble) for name in models}
    stores = {spec: prepare(resolve(spec, "test"), [scale]) for spec in data}
    for store in stores.values():
        require_measurable(store, scale, [measure.name for measure in named])
    lacking = {measure.name: reason for measure in measures if (reason := measure.missing()) is not None}
    measures = [measure for measure in measures if measure.name not in lacking]
    gaps = [
        {"dataset": dataset, "metric": measure.name, "reason": reason}
        for dataset, store in stores.items()
        for measure in measures
        if (reason := unmeasurable(store, scale, measure.name)) is not None
    ]
    rows = evaluate_models(upscalers, stores, scale, [measure.name for measure in measures])
    averages = means(rows, {dataset: len(store) for dataset, store in stores.items()})

    def show() -> None:
        by_cell = {(m["model"], m["dataset"], m["metric"]): m["value"] for m in averages}
        lines = [
            [
                model,
                dataset,
                str(len(stores[dataset])),
                *(_cell(by_cell.get((model, dataset, measure.name)), measure) for measure in measures),
            ]
            for dataset in stores
            for model in upscalers
        ]
        print_table(f"×{scale}", ["model", "dataset", "images", *(measure.label for measure in measures)], lines)
        for name, reason in lacking.items():
            say(f"{name} not available: {reason}")
        for gap in gaps:
            say(f"{gap['metric']} not available on {gap['dataset']}: {gap['reason']}")
        for line in _at_the_limit(rows):
            say(line)

    missing = [{"dataset": dataset, "metric": m, "reason": why} for dataset in stores for m, why in lacking.items()]
    learned = [
        {"model": _label(name, self_ensemble), "dataset": dataset, **counts}
        for name in dict.fromkeys(models)
        for dataset, store in stores.items()
        if (counts := _learned(name, store))
    ]
    report(
        {"rows": rows, "means": averages, "gaps": gaps + missing, "learned": learned, "device": device_label(where)},
        json,
        show,
    )


def compare(
    image: Annotated[Path, typer.Argument(help="The ground truth: it is downscaled and upscaled again.")],
    models: Models,
    scale: Scale,
    output: Annotated[
        Path,
        typer.Option("-o", "--output", metavar="FIGURE", help="The figure to write (.png).", callback=output_file),
    ],
    device: Device = None,
    json: Json = None,
) -> None:
    """Draw one image upscaled by several models, side by side and ranked by PSNR.

    Example: nitido compare photo.png bicubic runs/mine --scale 2 -o figure.png
    """
    with loading():
        from nitido.base.device import device_label
        from nitido.data import ImageSet, prepare
        from nitido.evaluation.model_comparison import compare_on
        from nitido.evaluation.protocol import PSNR_CAP, decibels
        from nitido.study.report.comparison import Panel, draw_comparison

    if output.suffix.lower() != ".png":
        raise NitidoError(f"{output}: the figure is a PNG image; give a name that ends in .png")
    if image.is_dir():
        raise NitidoError(
            f"{image}: a folder, and one image is compared (nitido evaluate MODEL --data {image} measures a folder)"
        )
    if not image.exists():
        raise NitidoError(f"{image}: no such image")
    where = _device(device, models)
    store = prepare(ImageSet(str(image), (image,)), [scale])
    upscalers = {name: _upscaler(name, scale, where) for name in models}
    for name in models:
        _learned(name, store)
    ranked = compare_on(store, 0, upscalers, scale)
    panels = [Panel("HR", store.hr_cropped(0, scale), None, None)]
    titles = _titles(models)
    ranks = [1 + sum(other.psnr_y > c.psnr_y for other in ranked) for c in ranked]  # equal figures share a rank
    panels += [
        Panel(f"{rank}. {titles[c.model]}", c.image, c.psnr_y, c.ssim_y) for rank, c in zip(ranks, ranked, strict=True)
    ]
    draw_comparison(panels, output, reference=store.hr_cropped(0, scale), heading=f"{image.name} ×{scale}")
    entries = [
        {"rank": rank, "model": c.model, "psnr_y": c.psnr_y, "ssim_y": c.ssim_y, "objective": _objective(c.model)}
        for rank, c in zip(ranks, ranked, strict=True)
    ]

    def show() -> None:
        lines = [
            [str(rank), c.model, decibels(c.psnr_y), f"{c.ssim_y:.4f}"] for rank, c in zip(ranks, ranked, strict=True)
        ]
        print_table("", ["#", "model", "PSNR-Y dB", "SSIM-Y"], lines)
        if any(c.psnr_y == PSNR_CAP for c in ranked):
            say(f"≥: PSNR is limited to {PSNR_CAP:g} dB, because it is infinite for equal images")
        for entry in entries:
            if entry["objective"] == "perception":
                say(f"{entry['model']}: trained for perception, which costs PSNR; its rank says nothing of its looks")
        say(f"figure: {output}")

    found = {"image": str(image), "scale": scale, "figure": str(output), "entries": entries}
    report(found | {"device": device_label(where)}, json, show)


def _objective(name: str) -> "Objective":
    """Return what the training of a model optimized; fidelity if that is not recorded."""
    from nitido.models import read_descriptor
    from nitido.models.find import model_path
    from nitido.training.losses import ADVERSARIAL, PERCEPTUAL

    if name == BICUBIC:
        return "fidelity"
    descriptor = read_descriptor(model_path(name))
    if descriptor.publication is not None:
        return descriptor.publication.objective
    loss = descriptor.training.get("hyperparameters", {}).get("loss", {})
    return "perception" if {ADVERSARIAL, PERCEPTUAL} & set(loss) else "fidelity"


def _learned(name: str, store: "Store") -> dict[str, int]:
    """Count the images of `store` that a model was trained on or selected by, and print a note; empty if none."""
    from nitido.base.notes import note
    from nitido.models import read_descriptor
    from nitido.models.find import model_path

    learned = None if name == BICUBIC else read_descriptor(model_path(name)).learned
    if learned is None:
        return {}
    counts = {
        "trained_on": sum(map(learned.trained_on, store.hashes)),
        "chosen_by": sum(map(learned.chosen_by, store.hashes)),
    }
    for count, words in ((counts["trained_on"], "trained on"), (counts["chosen_by"], "chosen by")):
        if count:
            which = f"{count} of the {len(store)} images of {store.name}"
            note(f"{name} was {words} {which}: these scores do not measure how it performs on new images")
    return counts if any(counts.values()) else {}


def _cell(value: float | None, measure: "Metric") -> str:
    return "not available" if value is None else measure.text(value)


def _at_the_limit(rows: "Sequence[Mapping[str, Any]]") -> "Iterator[str]":
    """Yield a line for each model and data set with values of PSNR that are limited."""
    from nitido.evaluation.metrics import METRICS
    from nitido.evaluation.protocol import PSNR_CAP

    limited = [row for row in rows if METRICS[row["metric"]].unit == "dB" and row["value"] == PSNR_CAP]
    for (model, dataset), number in Counter((row["model"], row["dataset"]) for row in limited).items():
        values, count = ("1 PSNR value is", "counts") if number == 1 else (f"{number} PSNR values are", "count")
        yield f"{model} on {dataset}: {values} limited to {PSNR_CAP:g} dB, and {count} as that in the mean"


def _label(name: str, self_ensemble: bool) -> str:
    """Return the label of a model in tables and JSON; a self-ensemble is labeled as one."""
    return f"{name} (self-ensemble)" if self_ensemble and name != BICUBIC else name


def _titles(names: "Sequence[str]") -> dict[str, str]:
    """Return the titles of models: the name in the model file, because a run directory is named after its seed.

    If that name is ambiguous, the title is the argument that the user gave.
    """
    from nitido.models.find import find_model

    own = {name: name if name == BICUBIC else find_model(name).descriptor.name for name in names}
    words = {*names, BICUBIC}
    titles = list(own.values())
    return {
        name: title if titles.count(title) == 1 and title not in words - {name} else name for name, title in own.items()
    }


def _device(name: str | None, models: "Sequence[str]") -> "torch.device":
    """Return the device called `name`; bicubic alone runs on the processor, and refuses the option."""
    from nitido.base.device import AUTO, CPU, choose_device

    if set(models) == {BICUBIC}:
        if name is not None:
            raise NitidoError(f"--device: {BICUBIC} is not a network: leave the option out")
        return CPU
    return choose_device(name or AUTO)


def _upscaler(name: str, scale: int, device: "torch.device", self_ensemble: bool = False) -> "Upscaler":
    from nitido.evaluation.scoring import BicubicUpscaler, NetworkUpscaler
    from nitido.models.find import find_model
    from nitido.models.self_ensemble import SelfEnsemble

    if name == BICUBIC:
        return BicubicUpscaler(scale)
    network = find_model(name, scale).network
    return NetworkUpscaler(SelfEnsemble(network) if self_ensemble else network, device)
