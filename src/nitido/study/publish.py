"""From the rows and models in a study's directory to its leaderboard files and its report."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from nitido.atomic import write_text
from nitido.data import prepare, resolve
from nitido.evaluation.aims import Aim
from nitido.evaluation.benchmark import BicubicEnlarger, Enlarger, NetworkEnlarger
from nitido.evaluation.comparison import compare_on
from nitido.evaluation.rows import read_rows, write_rows
from nitido.inference import load_model_file
from nitido.study.leaderboard import RANKED_BY, Leaderboard, VariantFacts, as_json, as_markdown, as_table, rank
from nitido.study.plan import PlannedRun, network_size, plan
from nitido.study.report import BICUBIC
from nitido.study.report.comparison import Panel, draw_comparison
from nitido.study.report.html import RunFacts, write_report
from nitido.study.report.ranking import draw_ranking, draw_training_curves
from nitido.study.run_directory import RunDirectory, write_json
from nitido.study.spec import Study, load_resolved, to_yaml

BICUBIC_ROWS = Path("runs", BICUBIC, "rows.parquet")

RANKING_FILES: Mapping[Aim, str] = {"fidelity": "leaderboard", "perception": "perception"}
"""The name, without ending, of a ranking's table."""


def publish(out: Path) -> Leaderboard:
    """Rank the study in `out` and write `rows.parquet`, `leaderboard.{csv,json,md,png}` and `report.html` there.

    Runs that are missing or did not finish are in the table without figures. Raises `LeaderboardError` when there
    are no rows at all, `StudyError` when `out` holds no study.
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
        status = RunDirectory(out / run.directory).read_status()
        states.setdefault(run.config.hyperparameters.learning_rate, []).append(status.state if status else "missing")
    whole = tuple(rate for rate, found in states.items() if set(found) == {"finished"})
    unfinished = [state for found in states.values() for state in found if state != "finished"]
    pending = [state for state in unfinished if state not in ("diverged", "failed")]
    state = pending[0] if pending else "ok" if whole else unfinished[0]
    size = network_size(runs[0].config)
    return VariantFacts(size.parameters, size.macs, state, whole, runs[0].config.hyperparameters.aim)


def _csv(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *lines])
    return text.getvalue()


def _draw(out: Path, study: Study, runs: Sequence[PlannedRun], rows: pl.DataFrame, board: Leaderboard) -> None:
    draw_ranking(board, out / "ranking.png")
    rankings = [("Ranking", out / "ranking.png")]
    if "perception" in board.aims():
        draw_ranking(board, out / "perception.png", "perception")
        rankings.append(("Ranking by perceptual distance", out / "perception.png"))
    shown = _shown_runs(out, runs, board)
    curves = {name: RunDirectory(out / run.directory).validation_curve() for name, run in shown.items()}
    pictures = [*rankings]
    if shown:
        draw_training_curves(curves, out / "curves.png")
        dataset, picture = _telling_picture(rows, board)
        _draw_comparison(out, study, shown, board, dataset, picture)
        pictures = [(f"Where it shows most: {picture} ({dataset})", out / "leaderboard.png"), *pictures]
        pictures.append(("Validation during training", out / "curves.png"))
    write_report(out, board, pictures=pictures, runs=[_run_facts(out, study, board, run) for run in runs])


def _shown_runs(out: Path, runs: Sequence[PlannedRun], board: Leaderboard) -> dict[str, PlannedRun]:
    """For each variant with results the run that stands for it: its chosen learning rate, its first seed."""
    shown: dict[str, PlannedRun] = {}
    for entry in board.entries:
        for run in runs:
            chosen = run.config.hyperparameters.learning_rate == entry.learning_rate
            if run.config.variant == entry.variant and chosen and RunDirectory(out / run.directory).model.exists():
                shown.setdefault(entry.variant, run)
    return shown


def _telling_picture(rows: pl.DataFrame, board: Leaderboard) -> tuple[str, str]:
    """The test picture on which the best variant gains most over bicubic: (dataset, picture)."""
    best = board.best()
    assert best is not None
    scores = rows.filter((pl.col("split") == "test") & (pl.col("metric") == RANKED_BY)).group_by(
        "dataset", "picture", maintain_order=True
    )
    gains = scores.agg(
        pl.col("value").filter((pl.col("variant") == best.variant) & (pl.col("lr") == best.learning_rate)).mean()
        - pl.col("value").filter(pl.col("variant") == BICUBIC).mean()
    )
    top = gains.sort("value", descending=True, nulls_last=True).row(0, named=True)
    return top["dataset"], top["picture"]


def _draw_comparison(
    out: Path, study: Study, shown: dict[str, PlannedRun], board: Leaderboard, dataset: str, picture: str
) -> None:
    store = prepare(resolve(dataset, "test"), [study.scale])
    index = store.names.index(picture)
    hr = store.hr_cropped(index, study.scale)
    models: dict[str, Enlarger] = {BICUBIC: BicubicEnlarger(study.scale)}
    for name, run in shown.items():
        network = load_model_file(RunDirectory(out / run.directory).model).network
        models[name] = NetworkEnlarger(network)
    results = {candidate.model: candidate for candidate in compare_on(store, index, models, study.scale)}
    order = [BICUBIC, *(entry.variant for entry in board.entries if entry.variant in shown)]
    titles = {e.variant: f"{e.rank}. {e.variant}" if e.rank is not None else e.variant for e in board.entries}
    panels = [Panel("HR", hr, None, None)]
    panels += [Panel(titles[n], results[n].image, results[n].psnr_y, results[n].ssim_y) for n in order]
    heading = f"{study.study} ×{study.scale} · {picture} ({dataset}), in the order of the leaderboard"
    draw_comparison(panels, out / "leaderboard.png", reference=hr, heading=heading)


def _run_facts(out: Path, study: Study, board: Leaderboard, run: PlannedRun) -> RunFacts:
    directory = RunDirectory(out / run.directory)
    status = directory.read_status()
    network_config = run.config.config
    base = next(p for p in plan(study) if p.config.variant == study.baseline).config.config
    changed = {key: value for key, value in network_config.items() if base.get(key) != value}
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
        difference=to_yaml(changed).strip() if changed else "",
    )
