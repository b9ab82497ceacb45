"""The ranking so far: by validation, at the best rate so far, each objective by its own metric."""

from pathlib import Path

from nitido.study.interim import InterimResult, interim_results
from nitido.study.plan import PlannedRun, plan
from nitido.study.resolve import resolve
from nitido.study.run_directory import Status
from nitido.study.spec import load_study_file


def finished(metric: str, value: float) -> Status:
    return Status("finished", 10, validation={metric: value})


def runs_of(study: str, *settings: str) -> list[PlannedRun]:
    return plan(resolve(load_study_file(study), "demo", list(settings)))


def test_the_best_rate_with_a_finished_run_counts_and_the_best_variant_comes_first() -> None:
    runs = runs_of("srcnn", "variants=vanilla,prelu,residual", "learning_rates=0.001,0.002", "seeds=0,1")
    statuses: dict[Path, Status] = {}

    def end(variant: str, rate: float, seed: int, status: Status) -> None:
        statuses[Path("runs", variant, f"lr={rate}", f"seed={seed}")] = status

    end("vanilla", 0.001, 0, finished("psnr_y", 30.0))
    end("vanilla", 0.001, 1, finished("psnr_y", 32.0))
    end("vanilla", 0.002, 0, finished("psnr_y", 30.5))
    end("prelu", 0.002, 0, finished("psnr_y", 33.0))
    end("prelu", 0.002, 1, Status("diverged", reason="the loss was not finite"))
    assert {*statuses} < {run.directory for run in runs}
    assert interim_results(runs, statuses) == [
        InterimResult("prelu", "fidelity", 1, 4, 0.002, 33.0),
        InterimResult("vanilla", "fidelity", 3, 4, 0.001, 31.0),
        InterimResult("residual", "fidelity", 0, 4, None, None),
    ]


def test_a_perceptual_variant_is_ranked_by_its_distance_after_the_others() -> None:
    runs = runs_of("srgan")
    perceptual = {r.config.variant for r in runs if r.config.hyperparameters.objective == "perception"}
    assert 2 <= len(perceptual) < len({r.config.variant for r in runs})
    distances = {name: 0.1 * (number + 1) for number, name in enumerate(sorted(perceptual))}
    statuses = {
        run.directory: finished("perceptual_distance", distances[run.config.variant])
        if run.config.variant in perceptual
        else finished("psnr_y", 30.0)
        for run in runs
    }
    results = interim_results(runs, statuses)
    assert [r.variant for r in results[-len(perceptual) :]] == sorted(perceptual), "smaller distances are better"
