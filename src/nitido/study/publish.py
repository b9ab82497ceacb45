"""Create the leaderboard files and the report from the rows and models in a study's directory."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import polars as pl

from nitido.base.activity import activity
from nitido.base.atomic import write_text
from nitido.base.json_files import DamagedFileError, without_non_finite
from nitido.base.leases import is_leased
from nitido.base.notes import note
from nitido.base.yaml_files import to_yaml
from nitido.data import Store, prepare, resolve
from nitido.data.published_images import replaced_images
from nitido.evaluation.model_comparison import Candidate, compare_on
from nitido.evaluation.objectives import SELECTION_METRICS, Objective
from nitido.evaluation.protocol import decibels
from nitido.evaluation.rows import RowsError, read_rows, table, write_rows
from nitido.evaluation.scoring import BicubicUpscaler, Image, NetworkUpscaler, Upscaler
from nitido.models import load_model_file
from nitido.study.execute import finished_model
from nitido.study.gains_by_content import study_content
from nitido.study.identity import PlannedImages, evaluation_digest, image_records
from nitido.study.leaderboard import Leaderboard, VariantFacts, rank
from nitido.study.leaderboard_tables import as_csv, as_json, as_markdown, as_table
from nitido.study.overlaps import overlap_caveats
from nitido.study.plan import PlannedRun, describe_layers, network_size, plan
from nitido.study.report import BICUBIC, GROUND_TRUTH
from nitido.study.report.comparison import Panel, draw_comparison
from nitido.study.report.costs import FILE as COST_FILE
from nitido.study.report.costs import Costs, measure_costs
from nitido.study.report.curves import Curve
from nitido.study.report.formatting import duration
from nitido.study.report.gain_scatter import draw_content
from nitido.study.report.html import Content, write_report
from nitido.study.report.latex import as_latex
from nitido.study.report.ranking import draw_ranking, draw_training_curves
from nitido.study.report.runs import RunFacts
from nitido.study.report.setting import describe_setting
from nitido.study.report.slider import SelectedImage, View, crop_limit, make_view, select_images
from nitido.study.review import difference, lacks_source
from nitido.study.run_directory import RunDirectory, Status
from nitido.study.sessions import session_words
from nitido.study.spec import Study, StudyError, Transfer, load_resolved

BICUBIC_ROWS = Path("runs", BICUBIC, "rows.parquet")
IMAGES_FILE = "pictures.json"
"""The images of the plan with their hashes, in the directory of a study."""

RANKING_FILES: Mapping[Objective, str] = {"fidelity": "leaderboard", "perception": "perception"}
"""The file name of each ranking's table, without suffix."""

_OPTIONAL_FILES = ("perception.csv", "perception.png", "ranking.png", "curves.png", "leaderboard.png", "content.png")
"""Files that not every study has. Earlier ones are removed so that they cannot contradict the new leaderboard."""


def publish(out: Path, *, interim: bool = False) -> Leaderboard:
    """Rank the study in `out` and write `rows.parquet`, `leaderboard.{csv,json,md,tex,png}` and `report.html` there.

    The costs of the variants are measured once and kept in `cost.json`, but not of an `interim` report, beside which
    other processes compute. Runs that are missing or did not finish are in the table without figures. Raises
    `LeaderboardError` if there are no rows, `StudyError` if `out` holds no study.
    """
    study = load_resolved(out)
    runs = plan(study)
    if not (out / IMAGES_FILE).exists():
        raise StudyError(
            f"{out}: the study has not started, or an earlier version ran it: run 'nitido study run {out}'"
        )
    images = PlannedImages.read(out / IMAGES_FILE)
    stores = _test_stores(study, images)
    found = _once(out, runs, {run.directory: _found(out, run, runs, images) for run in runs})
    for run in runs:
        if found[run.directory].status is not None:
            RunDirectory(out / run.directory).validation_curve()  # raises before anything is written
    bicubic = _bicubic(out, images)
    rows = pl.concat([bicubic.rows, *(run.rows for run in found.values())])
    facts = {BICUBIC: VariantFacts(parameters=0, macs=0, status=bicubic.state)}
    for variant in study.variants:
        own = [run for run in runs if run.config.variant == variant.name]
        facts[variant.name] = _facts(own, [found[run.directory].state for run in own])
    with activity("computing the ranking"):
        board = rank(rows, facts, study=study.study, profile=study.profile, baseline=study.baseline)
    shared = overlap_caveats(out, images)
    shared += _replaced_caveats(stores)
    board = replace(board, caveats={objective: (*shared, *said) for objective, said in board.caveats.items()})
    for name in _OPTIONAL_FILES:
        (out / name).unlink(missing_ok=True)
    # The page is written first because it may fail: a new table must not be next to an old page.
    with activity("writing the report"):
        _draw(out, study, runs, found, rows, board, stores, images, measure=not interim)
    write_rows(rows, out / "rows.parquet")
    write_text(
        out / "leaderboard.json",
        json.dumps(without_non_finite(as_json(board)), indent=2, ensure_ascii=False, allow_nan=False) + "\n",
    )
    tables = {objective: as_table(board, objective) for objective in board.objectives()}
    write_text(out / "leaderboard.md", "\n".join(as_markdown(*table) + "\n" for table in tables.values()))
    write_text(out / "leaderboard.tex", as_latex(board))
    for objective, name in RANKING_FILES.items():
        if objective in tables:
            write_text(out / f"{name}.csv", as_csv(board, objective))
    return board


def _test_stores(study: Study, images: PlannedImages) -> dict[str, Store]:
    """Return the test images by set; raises `StudyError` if they have changed since they were measured."""
    stores = {}
    for dataset in study.data.test:
        store = prepare(resolve(dataset, "test"), [study.scale])
        if image_records(store) != images.test.get(dataset):
            raise StudyError(
                f"{dataset}: the images have changed since they were measured: "
                "run the study again to measure them (without training)"
            )
        stores[dataset] = store
    return stores


def _replaced_caveats(stores: Mapping[str, Store]) -> tuple[str, ...]:
    """Name the test images that have the name of a published set and are not of it."""
    said: dict[str, None] = {}
    for dataset, store in stores.items():
        published = frozenset(path.absolute() for path in resolve(dataset, "test").published)
        for name, images in replaced_images(store.entries, published).items():
            more = f" and {len(images) - 5} more" if len(images) > 5 else ""
            said[
                f"{name}: {', '.join(images[:5])}{more}: not the published images; published figures are not comparable"
            ] = None
    return tuple(said)


@dataclass(frozen=True)
class _Found:
    """The results of a run: its `state`, and its `rows` if it has finished.

    `status` is None if the directory holds nothing of the planned run.
    """

    state: str
    rows: pl.DataFrame = field(default_factory=lambda: table([]))
    status: Status | None = None


def _found(out: Path, run: PlannedRun, runs: Sequence[PlannedRun], images: PlannedImages) -> _Found:
    """Read the results of a run: only rows of the planned run, its weights and the planned images count."""
    directory = RunDirectory(out / run.directory)
    try:
        identity, status = directory.read_identity(), directory.read_status()
    except DamagedFileError:
        return _Found("damaged")
    if identity is None or status is None:
        return _Found("missing")
    if difference(run, runs, out, images):
        return _Found("another run")
    if status.state == "running" and not is_leased(directory.path):
        return _Found("interrupted", status=status)
    if status.state != "finished":
        return _Found(status.state, status=status)
    if lacks_source(run, runs, out, images):
        return _Found("its source is missing", status=status)
    if not directory.rows.exists():
        return _Found("rows missing", status=status)
    try:
        rows = read_rows([directory.rows])
    except RowsError:
        return _Found("rows damaged", status=status)
    whole = set(rows["run"]) == {identity.digest} and status.evaluation == evaluation_digest(run.config, images)
    if whole and _cover(rows, images):
        return _Found("finished", rows, status)
    return _Found("rows outdated", status=status)


def _once(out: Path, runs: Sequence[PlannedRun], found: Mapping[Path, _Found]) -> dict[Path, _Found]:
    """Count runs of a variant that hold the same weights once, because they are one training."""
    first: dict[tuple[str, str], Path] = {}
    once = dict(found)
    for run in runs:
        it, directory = found[run.directory], run.directory
        if it.state != "finished" or it.status is None or not it.status.weights:
            continue
        other = first.setdefault((run.config.variant, it.status.weights), directory)
        if other != directory:
            note(
                f"{out / directory} holds the weights of {out / other}: the same training is not counted twice; "
                "if it is a copy, remove it and run the study again (otherwise training did not change the weights)"
            )
            same_rate = other.parent == directory.parent
            once[directory] = _Found(
                f"the weights of {other.name if same_rate else other.relative_to(other.parents[1])}", status=it.status
            )
    return once


def _bicubic(out: Path, images: PlannedImages) -> _Found:
    if not (out / BICUBIC_ROWS).exists():
        return _Found("rows missing")
    try:
        rows = read_rows([out / BICUBIC_ROWS])
    except RowsError:
        return _Found("rows damaged")
    return _Found("ok", rows) if _cover(rows, images) else _Found("rows outdated")


def _cover(rows: pl.DataFrame, images: PlannedImages) -> bool:
    """Return whether `rows` are of exactly the planned images, compared by hash."""
    measured = set(rows.select("split", "dataset", "image", "content").unique().iter_rows())
    planned = {("test", d, r.name, r.sha256) for d, records in images.test.items() for r in records}
    tested = {row for row in measured if row[0] == "test"}
    validated = {(name, content) for split, _, name, content in measured if split == "validation"}
    return tested == planned and validated == {(r.name, r.sha256) for r in images.validation}


def _facts(runs: Sequence[PlannedRun], found: Sequence[str]) -> VariantFacts:
    """Return the size of a variant, the learning rates whose runs all finished, and its status.

    A learning rate that diverged or failed is left out; the variant is "ok" if another one is complete. While a run is
    pending, the choice is open and the status of the variant is the status of that run.
    """
    states: dict[float, list[str]] = {}
    for run, state in zip(runs, found, strict=True):
        states.setdefault(run.config.hyperparameters.learning_rate, []).append(state)
    whole = tuple(rate for rate, states_ in states.items() if set(states_) == {"finished"})
    unfinished = [state for states_ in states.values() for state in states_ if state != "finished"]
    pending = [state for state in unfinished if state not in ("diverged", "failed")]
    state = pending[0] if pending else "ok" if whole else unfinished[0]
    size = network_size(runs[0].config)
    others = {
        rate: next(state for state in found if state != "finished")
        for rate, found in states.items()
        if rate not in whole
    }
    return VariantFacts(size.parameters, size.macs, state, whole, runs[0].config.hyperparameters.objective, others)


def _draw(
    out: Path,
    study: Study,
    runs: Sequence[PlannedRun],
    found: Mapping[Path, _Found],
    rows: pl.DataFrame,
    board: Leaderboard,
    stores: Mapping[str, Store],
    images: PlannedImages,
    *,
    measure: bool,
) -> None:
    """Draw figures and page, and `measure` costs if asked; runs without results are left out."""
    if any(entry.variant == BICUBIC and entry.means for entry in board.entries):
        draw_ranking(board, out / "ranking.png")
        if "perception" in board.objectives():
            draw_ranking(board, out / "perception.png", "perception")
    shown = _shown_runs(out, runs, found, board)
    costs = _costs(out, shown if measure else {}, board)
    crops = {run.config.hyperparameters.validation_crop for run in runs}
    crop = crops.pop() if len(crops) == 1 else None
    _draw_curves(out, shown, crop)
    views = _views(out, study, shown, rows, board, stores)
    compared = [(f"{views[0].image} ({views[0].dataset}): {views[0].why}", out / "leaderboard.png")] if views else []
    with activity("describing the networks"):
        layers = _layers(runs, found)
    content = Content(
        images=compared,
        runs=[_run_facts(out, study, board, run, found[run.directory], layers) for run in runs],
        curves=_curves(out, [r for r in runs if found[r.directory].status is not None], board),
        rows=rows,
        costs=costs.by_variant,
        conditions=costs.conditions if shown and measure else "",
        views=views,
        shown_seed=_seed_words(shown, board),
        setting=describe_setting(study, runs, out, images),
        asked=runs[0].config.metrics,
        crop=crop,
        on_content=_on_content(out, rows, board, stores),
    )
    write_report(out, board, content)


def _on_content(
    out: Path, rows: pl.DataFrame, board: Leaderboard, stores: Mapping[str, Store]
) -> tuple[str, Path | None]:
    """Say on which images the best variant gains; draw `content.png` if there are enough images."""
    found = study_content(rows, board, stores)
    if found is None:
        return "", None
    if not found.relations:
        return found.sentence, None
    draw_content(found, out / "content.png")
    return found.sentence, out / "content.png"


def _shown_runs(
    out: Path, runs: Sequence[PlannedRun], found: Mapping[Path, _Found], board: Leaderboard
) -> dict[str, PlannedRun]:
    """Return for each variant with results its run with the chosen learning rate and the first seed."""
    shown: dict[str, PlannedRun] = {}
    for run in runs:
        status, variant = found[run.directory].status, run.config.variant
        if variant in shown or status is None or found[run.directory].state != "finished":
            continue
        chosen = run.config.hyperparameters.learning_rate == board.entry(variant).learning_rate
        otherwise = "left out of the report; run the study again to recreate it from the checkpoints"
        if chosen and finished_model(RunDirectory(out / run.directory), status, otherwise) is not None:
            shown[variant] = run
    order = [entry.variant for entry in board.entries]
    return dict(sorted(shown.items(), key=lambda item: order.index(item[0])))


def _costs(out: Path, shown: Mapping[str, PlannedRun], board: Leaderboard) -> Costs:
    models = {name: RunDirectory(out / run.directory).model for name, run in shown.items()}
    sizes = {entry.variant: (entry.parameters, entry.macs) for entry in board.entries}
    return measure_costs(models, sizes, out / COST_FILE)


def _curves(out: Path, runs: Sequence[PlannedRun], board: Leaderboard) -> dict[str, list[Curve]]:
    """Return the validations of every run by the selection metric of each ranking."""
    rates = {entry.variant: entry.learning_rate for entry in board.entries}
    return {
        SELECTION_METRICS[objective].metric: [
            Curve(
                variant=run.config.variant,
                learning_rate=run.config.hyperparameters.learning_rate,
                seed=run.config.hyperparameters.seed,
                chosen=run.config.hyperparameters.learning_rate == rates.get(run.config.variant),
                points=tuple(RunDirectory(out / run.directory).validation_curve(SELECTION_METRICS[objective].metric)),
            )
            for run in runs
        ]
        for objective in board.objectives()
    }


def _draw_curves(out: Path, shown: Mapping[str, PlannedRun], crop: int | None) -> None:
    """Draw `curves.png`, unless no shown run was validated: by the metric that chose the steps of all shown runs.

    If some were chosen by perceptual distance and others by PSNR, the figure shows PSNR; the page has both.
    """
    objectives = {run.config.hyperparameters.objective for run in shown.values()}
    objective = objectives.pop() if len(objectives) == 1 else "fidelity"
    metric = SELECTION_METRICS[objective].metric
    curves = {name: RunDirectory(out / run.directory).validation_curve(metric) for name, run in shown.items()}
    if any(curves.values()):
        draw_training_curves(curves, out / "curves.png", objective, crop)


def _views(
    out: Path,
    study: Study,
    shown: Mapping[str, PlannedRun],
    rows: pl.DataFrame,
    board: Leaderboard,
    stores: Mapping[str, Store],
) -> list[View]:
    """Upscale the most informative images with every shown variant; the first one becomes `leaderboard.png`."""
    selected = select_images(rows, board) if shown else []
    if not selected:
        return []
    models: dict[str, Upscaler] = {BICUBIC: BicubicUpscaler(study.scale)}
    for name, run in shown.items():
        models[name] = NetworkUpscaler(load_model_file(RunDirectory(out / run.directory).model).network)
    order = [BICUBIC, *(entry.variant for entry in board.entries if entry.variant in shown)]
    views = []
    for index, chosen in enumerate(selected):
        hr, results = _upscaled(stores[chosen.dataset], study.scale, models, chosen)
        if index == 0:
            _draw_comparison(
                out, study, board, chosen, hr, [results[name] for name in order], _seed_words(shown, board)
            )
        scores = {name: f"{decibels(results[name].psnr_y)} dB" for name in order}
        side = crop_limit(len(order) + 1, len(selected))
        views.append(make_view(chosen, hr, {name: results[name].image for name in order}, scores, side))
    return views


def _seed_words(shown: Mapping[str, PlannedRun], board: Leaderboard) -> str:
    """Say of which seeds the shown runs are; "" if no variant has another seed."""
    if all(len(board.entry(name).seeds) == 1 for name in shown):
        return ""
    seeds = sorted({run.config.hyperparameters.seed for run in shown.values()})
    return f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"


def _upscaled(
    store: Store, scale: int, models: Mapping[str, Upscaler], chosen: SelectedImage
) -> tuple[Image, dict[str, Candidate]]:
    """Return the original of one image and the result of every model."""
    index = store.names.index(chosen.image)
    found = compare_on(store, index, models, scale)
    return store.hr_cropped(index, scale), {candidate.model: candidate for candidate in found}


def _draw_comparison(
    out: Path,
    study: Study,
    board: Leaderboard,
    chosen: SelectedImage,
    hr: Image,
    candidates: Sequence[Candidate],
    seed: str,
) -> None:
    titles = {e.variant: f"{e.rank}. {e.variant}" if e.rank is not None else e.variant for e in board.entries}
    panels = [Panel(GROUND_TRUTH, hr, None, None)]
    panels += [Panel(titles[c.model], c.image, c.psnr_y, c.ssim_y) for c in candidates]
    heading = (
        f"{study.study} ×{study.scale} · {chosen.image} ({chosen.dataset}), variants in the order of the leaderboard"
    )
    heading += f", {seed}" if seed else ""
    draw_comparison(panels, out / "leaderboard.png", reference=hr, heading=heading)


def _layers(runs: Sequence[PlannedRun], found: Mapping[Path, _Found]) -> dict[str, str]:
    """Return the table of the layers of each variant that has begun, from its configuration.

    The `summary.txt` of a run is for people; it has no checksum and may have been modified.
    """
    begun = {run.config.variant: run.config for run in reversed(runs) if found[run.directory].status is not None}
    return {variant: describe_layers(config) for variant, config in begun.items()}


def _run_facts(
    out: Path, study: Study, board: Leaderboard, run: PlannedRun, found: _Found, layers: Mapping[str, str]
) -> RunFacts:
    directory = RunDirectory(out / run.directory)
    status = found.status
    return RunFacts(
        variant=run.config.variant,
        learning_rate=run.config.hyperparameters.learning_rate,
        seed=run.config.hyperparameters.seed,
        status=found.state,
        steps=_steps(directory, status),
        time=_time(directory, status),
        parameters=board.entry(run.config.variant).parameters,
        validation_psnr=status.validation_psnr if status else None,
        validation=_validation(run, status) if status else "",
        directory=run.directory.as_posix(),
        diagram=directory.diagram if status and directory.diagram.exists() else None,
        difference=_difference(study, run),
        summary="\n".join([layers[run.config.variant], *([f"Start: {status.start}"] if status.start else [])])
        if status
        else "",
        reason=status.reason if status else "",
    )


def _steps(directory: RunDirectory, status: Status | None) -> int | None:
    if status is None:
        return None
    return status.steps if status.state == "finished" else directory.steps_so_far()


def _time(directory: RunDirectory, status: Status | None) -> str:
    """Return the training time of a run in words, with its sessions if there were several."""
    if status is None:
        return "–"
    sessions = directory.read_sessions()
    finished = status.state == "finished"
    seconds, timed = (status.seconds, status.all_seconds) if finished else (sessions.seconds, sessions.timed)
    if not timed and not seconds:
        return "–"
    words = session_words(sessions.sessions)
    return f"{'' if timed else 'at least '}{duration(seconds)}" + (f" ({words})" if words else "")


def _validation(run: PlannedRun, status: Status) -> str:
    """Return the validation result of the kept weights of a run by its selection metric; "" if there is none."""
    options = run.config.hyperparameters
    value = status.validation.get(SELECTION_METRICS[options.objective].metric)
    if value is None:
        return ""
    crop = f" (crop of {options.validation_crop} px)" if options.validation_crop else ""
    return SELECTION_METRICS[options.objective].words(value) + crop


def _difference(study: Study, run: PlannedRun) -> str:
    """Return how a run differs from the baseline in network and training, as YAML, without learning rate and seed."""
    base = next(p for p in plan(study) if p.config.variant == study.baseline).config
    changed: dict[str, object] = {}
    if run.config.architecture != base.architecture:
        changed["architecture"] = run.config.architecture
    changed |= {key: value for key, value in run.config.config.items() if base.config.get(key) != value}
    own, usual = (c.hyperparameters.model_dump(mode="json", exclude_none=True) for c in (run.config, base))
    trained = {k: v for k, v in own.items() if usual.get(k) != v and k not in ("learning_rate", "seed")}
    changed |= {"hyperparameters": trained} if trained else {}
    changed |= {
        key: getattr(run.config, key) for key in Transfer.model_fields if getattr(run.config, key) != getattr(base, key)
    }
    return to_yaml(changed).strip() if changed else ""
