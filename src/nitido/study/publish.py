"""From the rows and models in a study's directory to its leaderboard files and its report."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from nitido.atomic import write_text
from nitido.data import prepare, resolve
from nitido.evaluation.aims import YARDSTICKS, Aim
from nitido.evaluation.benchmark import BicubicEnlarger, Enlarger, Image, NetworkEnlarger
from nitido.evaluation.comparison import Candidate, compare_on
from nitido.evaluation.rows import read_rows, write_rows
from nitido.inference import load_model_file
from nitido.study.content import study_content
from nitido.study.leaderboard import Leaderboard, VariantFacts, as_json, as_markdown, as_table, rank
from nitido.study.plan import PlannedRun, network_size, plan
from nitido.study.report import BICUBIC
from nitido.study.report.comparison import Panel, draw_comparison
from nitido.study.report.content import draw_content
from nitido.study.report.costs import FILE as COST_FILE
from nitido.study.report.costs import Costs, measure_costs
from nitido.study.report.curves import Curve
from nitido.study.report.html import Content, write_report
from nitido.study.report.latex import as_latex
from nitido.study.report.ranking import draw_ranking, draw_training_curves
from nitido.study.report.runs import RunFacts
from nitido.study.report.setting import describe_setting
from nitido.study.report.slider import Telling, View, crop_limit, make_view, telling_pictures
from nitido.study.run_directory import RunDirectory, write_json
from nitido.study.spec import Study, Transfer, load_resolved
from nitido.yaml_files import to_yaml

BICUBIC_ROWS = Path("runs", BICUBIC, "rows.parquet")

RANKING_FILES: Mapping[Aim, str] = {"fidelity": "leaderboard", "perception": "perception"}
"""The name, without ending, of a ranking's table."""


def publish(out: Path) -> Leaderboard:
    """Rank the study in `out` and write `rows.parquet`, `leaderboard.{csv,json,md,tex,png}` and `report.html` there.

    What the variants cost is measured once and kept in `cost.json`. Runs that are missing or did not finish are in the
    table without figures. Raises `LeaderboardError` when there are no rows at all, `StudyError` when `out` holds no
    study.
    """
    study = load_resolved(out)
    runs = plan(study)
    files = [
        path for path in (BICUBIC_ROWS, *(run.directory / "rows.parquet" for run in runs)) if (out / path).exists()
    ]
    rows = read_rows([out / path for path in files])
    facts = {BICUBIC: VariantFacts(parameters=0, macs=0)}
    facts |= {v.name: _facts(out, [r for r in runs if r.config.variant == v.name]) for v in study.variants}
    board = rank(rows, facts, study=study.study, profile=study.profile, baseline=study.baseline)
    write_rows(rows, out / "rows.parquet")
    write_json(out / "leaderboard.json", as_json(board))
    tables = {aim: as_table(board, aim) for aim in board.aims()}
    write_text(out / "leaderboard.md", "\n".join(as_markdown(*table) + "\n" for table in tables.values()))
    write_text(out / "leaderboard.tex", as_latex(board))
    for aim, name in RANKING_FILES.items():
        if aim in tables:
            write_text(out / f"{name}.csv", _csv(*tables[aim]))
    _draw(out, study, runs, rows, board)
    return board


def _facts(out: Path, runs: Sequence[PlannedRun]) -> VariantFacts:
    """A variant's size, its learning rates whose every run finished, and its status.

    A learning rate that diverged or failed has lost and is left out; the variant is "ok" as long as another one is
    whole. A run that is still to come leaves the choice open: the variant's status is that run's.
    """
    states: dict[float, list[str]] = {}
    for run in runs:
        states.setdefault(run.config.hyperparameters.learning_rate, []).append(_state(out, run))
    whole = tuple(rate for rate, found in states.items() if set(found) == {"finished"})
    unfinished = [state for found in states.values() for state in found if state != "finished"]
    pending = [state for state in unfinished if state not in ("diverged", "failed")]
    state = pending[0] if pending else "ok" if whole else unfinished[0]
    size = network_size(runs[0].config)
    return VariantFacts(size.parameters, size.macs, state, whole, runs[0].config.hyperparameters.aim)


def _state(out: Path, run: PlannedRun) -> str:
    """How far a run came; one that finished and lost its rows since cannot be counted."""
    directory = RunDirectory(out / run.directory)
    status = directory.read_status()
    if status is None:
        return "missing"
    return "rows missing" if status.state == "finished" and not directory.rows.exists() else status.state


def _csv(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *lines])
    return text.getvalue()


def _draw(out: Path, study: Study, runs: Sequence[PlannedRun], rows: pl.DataFrame, board: Leaderboard) -> None:
    """The pictures and the page. Whatever has no results yet is left out of them."""
    if any(entry.variant == BICUBIC and entry.means for entry in board.entries):
        draw_ranking(board, out / "ranking.png")
        if "perception" in board.aims():
            draw_ranking(board, out / "perception.png", "perception")
    shown = _shown_runs(out, runs, board)
    costs = _costs(out, shown, board)
    _draw_curves(out, shown)
    views = _look(out, study, shown, rows, board)
    compared = [(f"{views[0].picture} ({views[0].dataset}): {views[0].why}", out / "leaderboard.png")] if views else []
    content = Content(
        pictures=compared,
        runs=[_run_facts(out, study, board, run) for run in runs],
        curves=_curves(out, runs, board),
        rows=rows,
        costs=costs.by_variant,
        conditions=costs.conditions if shown else "",
        views=views,
        setting=describe_setting(study, runs, out),
        asked=runs[0].config.metrics,
        on_content=_on_content(out, study, rows, board),
    )
    write_report(out, board, content)


def _on_content(out: Path, study: Study, rows: pl.DataFrame, board: Leaderboard) -> tuple[str, Path | None]:
    """On which pictures the best variant gains: a sentence, and `content.png` where there are pictures enough."""
    stores = {dataset: prepare(resolve(dataset, "test"), [study.scale]) for dataset in board.datasets}
    found = study_content(rows, board, stores)
    if found is None:
        return "", None
    if not found.relations:
        return found.sentence, None
    draw_content(found, out / "content.png")
    return found.sentence, out / "content.png"


def _shown_runs(out: Path, runs: Sequence[PlannedRun], board: Leaderboard) -> dict[str, PlannedRun]:
    """For each variant with results the run that stands for it: its chosen learning rate, its first seed."""
    shown: dict[str, PlannedRun] = {}
    for entry in board.entries:
        for run in runs:
            chosen = run.config.hyperparameters.learning_rate == entry.learning_rate
            if run.config.variant == entry.variant and chosen and RunDirectory(out / run.directory).model.exists():
                shown.setdefault(entry.variant, run)
    return shown


def _costs(out: Path, shown: Mapping[str, PlannedRun], board: Leaderboard) -> Costs:
    models = {name: RunDirectory(out / run.directory).model for name, run in shown.items()}
    sizes = {entry.variant: (entry.parameters, entry.macs) for entry in board.entries}
    return measure_costs(models, sizes, out / COST_FILE)


def _curves(out: Path, runs: Sequence[PlannedRun], board: Leaderboard) -> dict[str, list[Curve]]:
    """By the yardstick of each ranking, the validations of every run."""
    rates = {entry.variant: entry.learning_rate for entry in board.entries}
    return {
        YARDSTICKS[aim].metric: [
            Curve(
                variant=run.config.variant,
                learning_rate=run.config.hyperparameters.learning_rate,
                seed=run.config.hyperparameters.seed,
                chosen=run.config.hyperparameters.learning_rate == rates.get(run.config.variant),
                points=tuple(RunDirectory(out / run.directory).validation_curve(YARDSTICKS[aim].metric)),
            )
            for run in runs
        ]
        for aim in board.aims()
    }


def _draw_curves(out: Path, shown: Mapping[str, PlannedRun]) -> None:
    """`curves.png`, unless no shown run has a finite validation."""
    curves = {name: RunDirectory(out / run.directory).validation_curve() for name, run in shown.items()}
    if any(math.isfinite(value) for points in curves.values() for _, value in points):
        draw_training_curves(curves, out / "curves.png")


def _look(
    out: Path, study: Study, shown: Mapping[str, PlannedRun], rows: pl.DataFrame, board: Leaderboard
) -> list[View]:
    """The telling pictures enlarged by every shown variant; the first is drawn to `leaderboard.png` as well."""
    telling = telling_pictures(rows, board) if shown else []
    if not telling:
        return []
    models: dict[str, Enlarger] = {BICUBIC: BicubicEnlarger(study.scale)}
    for name, run in shown.items():
        models[name] = NetworkEnlarger(load_model_file(RunDirectory(out / run.directory).model).network)
    order = [BICUBIC, *(entry.variant for entry in board.entries if entry.variant in shown)]
    views = []
    for index, chosen in enumerate(telling):
        hr, results = _enlarged(study, models, chosen)
        if index == 0:
            _draw_comparison(out, study, board, chosen, hr, [results[name] for name in order])
        scores = {name: f"{results[name].psnr_y:.2f} dB" for name in order}
        side = crop_limit(len(order) + 1, len(telling))
        views.append(make_view(chosen, hr, {name: results[name].image for name in order}, scores, side))
    return views


def _enlarged(study: Study, models: Mapping[str, Enlarger], chosen: Telling) -> tuple[Image, dict[str, Candidate]]:
    """The original of one picture, and every model's result."""
    store = prepare(resolve(chosen.dataset, "test"), [study.scale])
    index = store.names.index(chosen.picture)
    found = compare_on(store, index, models, study.scale)
    return store.hr_cropped(index, study.scale), {candidate.model: candidate for candidate in found}


def _draw_comparison(
    out: Path, study: Study, board: Leaderboard, chosen: Telling, hr: Image, candidates: Sequence[Candidate]
) -> None:
    titles = {e.variant: f"{e.rank}. {e.variant}" if e.rank is not None else e.variant for e in board.entries}
    panels = [Panel("HR", hr, None, None)]
    panels += [Panel(titles[c.model], c.image, c.psnr_y, c.ssim_y) for c in candidates]
    heading = f"{study.study} ×{study.scale} · {chosen.picture} ({chosen.dataset}), in the order of the leaderboard"
    draw_comparison(panels, out / "leaderboard.png", reference=hr, heading=heading)


def _run_facts(out: Path, study: Study, board: Leaderboard, run: PlannedRun) -> RunFacts:
    directory = RunDirectory(out / run.directory)
    status = directory.read_status()
    return RunFacts(
        variant=run.config.variant,
        learning_rate=run.config.hyperparameters.learning_rate,
        seed=run.config.hyperparameters.seed,
        status=status.state if status else "missing",
        steps=status.steps if status else 0,
        seconds=status.seconds if status else 0.0,
        parameters=board.entry(run.config.variant).parameters,
        validation_psnr=status.validation_psnr if status else None,
        directory=run.directory.as_posix(),
        diagram=directory.diagram if directory.diagram.exists() else None,
        difference=_difference(study, run),
        summary=directory.summary.read_text(encoding="utf-8") if directory.summary.exists() else "",
        reason=status.reason if status else "",
    )


def _difference(study: Study, run: PlannedRun) -> str:
    """Where a run's network and training are not the baseline's, as YAML; its learning rate and seed are not told."""
    base = next(p for p in plan(study) if p.config.variant == study.baseline).config
    changed = {key: value for key, value in run.config.config.items() if base.config.get(key) != value}
    own, usual = (c.hyperparameters.model_dump(mode="json", exclude_none=True) for c in (run.config, base))
    trained = {k: v for k, v in own.items() if usual.get(k) != v and k not in ("learning_rate", "seed")}
    changed |= {"hyperparameters": trained} if trained else {}
    changed |= {
        key: getattr(run.config, key) for key in Transfer.model_fields if getattr(run.config, key) != getattr(base, key)
    }
    return to_yaml(changed).strip() if changed else ""
