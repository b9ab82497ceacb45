"""One run, from its configuration to its rows: the engine under `nitido train` and `nitido study run`."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import polars as pl
import torch

from nitido.architectures import SuperResolutionNetwork, build, get_architecture
from nitido.atomic import write_text
from nitido.data import Store, prepare, refuse_chosen_tests, refuse_overlap, resolve, resolve_all
from nitido.data.overlap import Overlap, find_overlaps, tell_overlaps
from nitido.errors import NitidoError
from nitido.evaluation.aims import YARDSTICKS
from nitido.evaluation.benchmark import Enlarger, NetworkEnlarger, evaluate, require_measurable
from nitido.evaluation.metrics import FIDELITY_METRICS
from nitido.evaluation.protocol import PROTOCOL
from nitido.evaluation.rows import table, write_rows
from nitido.exclusive import exclusive
from nitido.inference import ModelDescriptor, save_model
from nitido.inference.model_file import metric_name
from nitido.inspection import draw_detailed_graph, draw_diagram, summarize
from nitido.study.environment import describe_environment
from nitido.study.plan import RunConfig
from nitido.study.run_directory import RunDirectory, Status, write_json
from nitido.study.spec import DataSplit, Transfer
from nitido.study.start import begin_from
from nitido.training.callbacks import ProgressListener, TrainingInterruptedError
from nitido.training.data import samplers
from nitido.training.hyperparameters import Hyperparameters
from nitido.training.memory.limit import refused_memory
from nitido.training.module import DivergedError
from nitido.training.precision import resolve_precision, training_device
from nitido.training.train import Trained, count_steps, train
from nitido.training.transfer import TransferReport

Split = Literal["validation", "test"]


@dataclass(frozen=True)
class Pictures:
    """The decoded pictures of a run or a study: what it learns from, what chooses, what is reported."""

    train: Store
    validation: Store
    test: dict[str, Store]

    def check(self, options: Hyperparameters, scales: Sequence[int]) -> None:
        """Refuse pictures that two of training, validation and test share, and those too small for a patch or metric.

        Pictures that are nearly the same are said on standard error.
        """
        refuse_overlap(self.train, self.validation, *self.test.values())
        refuse_chosen_tests(self.validation, *self.test.values())
        deciding = [*FIDELITY_METRICS, YARDSTICKS[options.aim].metric]
        for scale in scales:
            require_measurable(self.validation, scale, deciding, options.validation_crop)
            for store in (self.validation, *self.test.values()):
                require_measurable(store, scale)
        samplers(self.train, options, scales)
        tell_overlaps(self.overlaps)

    @cached_property
    def overlaps(self) -> tuple[Overlap, ...]:
        """The pictures that occur in two of the sets, with equal pixels or nearly the same."""
        return find_overlaps(self.train, self.validation, self.test)


def load_pictures(data: DataSplit, scales: Sequence[int]) -> Pictures:
    """Decode (or re-use) every picture set of `data`, with their LR at all `scales`."""
    return Pictures(
        train=prepare(resolve_all(data.train, "train"), scales),
        validation=prepare(resolve_all(data.validation, "validation"), scales),
        test={spec: prepare(resolve(spec, "test"), scales) for spec in data.test},
    )


def execute(
    run: RunConfig,
    path: Path,
    begin: Callable[[int], ProgressListener],
    pictures: Pictures | None = None,
    source: Path | None = None,
) -> Status:
    """Train, choose by validation, measure on the test sets; everything lands in the run directory `path`.

    `begin` is told the number of steps when training starts and returns who hears the progress. `source` is the model
    that the run starts from when its configuration names a variant of a study, not a model. A finished run is
    left alone; a half-done one goes on from its last checkpoint. A run that diverges is recorded and returned as
    such. Bad data and bad configurations raise before anything is written.
    """
    directory = RunDirectory(path)
    status = directory.read_status()
    existing = directory.read_config()
    if status is not None and status.state in ("finished", "diverged") and existing == run:
        return status
    pictures = pictures or load_pictures(run.data, run.every_scale)
    pictures.check(run.hyperparameters, run.every_scale)
    network = _build(run)
    start = begin_from(network, run, directory, source)
    directory.claim(run)
    with exclusive(path):
        return _carry_out(run, directory, network, start, begin, pictures)


def _carry_out(
    run: RunConfig,
    directory: RunDirectory,
    network: SuperResolutionNetwork,
    start: TransferReport | None,
    begin: Callable[[int], ProgressListener],
    pictures: Pictures,
) -> Status:
    """Train and measure in a directory that is this run's alone; its status tells at any time how far it came."""
    told = start.summary() if start is not None else ""
    if start is not None:
        directory.write_transfer(start)
    _describe(directory, network, run, told)
    directory.write_status(Status("running"))
    try:
        trained = train(
            network,
            run.hyperparameters,
            train=pictures.train,
            validation=pictures.validation,
            turns=run.turns,
            directory=directory.path,
            labels=_labels(run),
            listener=begin(count_steps(run.hyperparameters, pictures.train, run.scale)),
            metrics=run.validated,
        )
        status = replace(_finish(directory, run, network, trained, pictures), start=told)
    except DivergedError as error:
        status = Status("diverged", reason=str(error))
    except (TrainingInterruptedError, KeyboardInterrupt) as error:
        directory.write_status(Status("interrupted", reason=str(error) or "interrupted"))
        raise
    except (NitidoError, OSError, RuntimeError) as error:
        # On a full disk the reason cannot be recorded either; the error itself is what the user must see.
        with suppress(OSError):
            directory.write_status(Status("failed", reason=str(error).splitlines()[0]))
        raise
    directory.write_status(status)
    return status


def _labels(run: RunConfig) -> dict[str, str]:
    """What TensorBoard calls the run."""
    labels = {"architecture": run.architecture, "variant": run.variant}
    return labels | ({"scales": ", ".join(map(str, run.scales))} if run.scales else {})


def _build(run: RunConfig) -> SuperResolutionNetwork:
    config = get_architecture(run.architecture).config_class.parse(run.config, f"variant {run.variant!r}")
    with torch.random.fork_rng():
        torch.manual_seed(run.hyperparameters.seed)
        return build(run.architecture, config)


def _describe(directory: RunDirectory, network: SuperResolutionNetwork, run: RunConfig, start: str) -> None:
    precision = resolve_precision(run.hyperparameters, training_device())
    write_json(directory.environment, describe_environment(precision))
    write_text(directory.summary, f"{summarize(network)}\n" + (f"Start: {start}\n" if start else ""))
    png, title = directory.diagram.with_suffix(".png"), f"{run.architecture} · {run.variant}"
    _attempt("the diagram", lambda: draw_diagram(network, directory.diagram, png, title))
    _attempt("the detailed graph", lambda: draw_detailed_graph(network, directory.detailed_graph))


def _attempt(name: str, draw: Callable[[], object]) -> None:
    """Draw a picture of the network; a run goes on without it, whatever other libraries and programs do."""
    try:
        draw()
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        logging.getLogger(__name__).warning("%s was not drawn: %s", name, reason)


def _finish(
    directory: RunDirectory, run: RunConfig, network: SuperResolutionNetwork, trained: Trained, pictures: Pictures
) -> Status:
    labels = {
        "study": run.study,
        "variant": run.variant,
        "lr": run.hyperparameters.learning_rate,
        "seed": run.hyperparameters.seed,
        "checkpoint": "best",
    }
    with refused_memory():
        measured = [
            row
            for scale in run.every_scale
            for row in measured_rows(NetworkEnlarger(network.at_scale(scale)), pictures, scale, labels, run.metrics)
        ]
    rows = table(measured)
    write_rows(rows, directory.rows)
    tested = (
        rows.filter(pl.col("split") == "test")
        .group_by("dataset", "scale", "metric", maintain_order=True)
        .agg(pl.col("value").mean())
    )
    metrics: dict[str, dict[str, float]] = {}
    for dataset, scale, metric, value in tested.select("dataset", "scale", "metric", "value").iter_rows():
        metrics.setdefault(dataset, {})[metric_name(metric, scale, run.scale)] = value
    provenance = {
        "variant": run.variant,
        "hyperparameters": run.hyperparameters.model_dump(mode="json", exclude_none=True),
        "data": run.data.model_dump(mode="json"),
        **run.model_dump(mode="json", include=set(Transfer.model_fields), exclude_defaults=True),
        "steps": trained.steps,
        "best_step": trained.best_step,
        "validation": trained.validation,
        "protocol": PROTOCOL,
    }
    descriptor = ModelDescriptor.of(network, run.architecture, run.variant, provenance, metrics, run.every_scale[1:])
    save_model(directory.model, network, descriptor)
    return Status("finished", trained.steps, trained.best_step, round(trained.seconds, 1), trained.validation)


def measured_rows(
    enlarge: Enlarger,
    pictures: Pictures,
    scale: int,
    labels: Mapping[str, object],
    metrics: Sequence[str] = FIDELITY_METRICS,
) -> Iterable[dict[str, object]]:
    """Rows of every validation and test picture; `labels` are the columns that are the same in all of them."""
    stores: list[tuple[Split, str, Store]] = [("validation", pictures.validation.name, pictures.validation)]
    stores += [("test", dataset, store) for dataset, store in pictures.test.items()]
    for split, dataset, store in stores:
        for scored in evaluate(enlarge, store, scale, metrics):
            for metric, value in scored.metrics.items():
                yield dict(labels) | {
                    "split": split,
                    "dataset": dataset,
                    "scale": scale,
                    "picture": scored.picture,
                    "metric": metric,
                    "value": value,
                    "protocol": PROTOCOL,
                }
