"""The run directory: its file names, and reading and writing what is small in it."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from nitido.atomic import write_text
from nitido.errors import NitidoError
from nitido.json_files import without_non_finite
from nitido.study.plan import RunConfig
from nitido.training.metrics_file import read_curve, read_validation
from nitido.training.transfer import TransferReport
from nitido.yaml_files import read_yaml, to_yaml

State = Literal["running", "finished", "interrupted", "diverged", "failed"]


class RunDirectoryError(NitidoError):
    """A run directory cannot be used."""


@dataclass(frozen=True)
class Status:
    """How far a run came.

    `reason` says why it ended early; seconds are of the last sitting's training; `validation` is what the kept weights
    measured, by metric; `start` says in one line what was taken from a pretrained network and what stood still.
    """

    state: State
    steps: int = 0
    best_step: int = 0
    seconds: float = 0.0
    validation: dict[str, float] = field(default_factory=dict)
    reason: str = ""
    start: str = ""

    @property
    def validation_psnr(self) -> float | None:
        """Validation PSNR-Y in dB of the kept weights."""
        return self.validation.get("psnr_y")


@dataclass(frozen=True)
class RunDirectory:
    """Everything a run leaves, under `path`."""

    path: Path

    @property
    def config(self) -> Path:
        """The resolved configuration."""
        return self.path / "config.yaml"

    @property
    def environment(self) -> Path:
        """Versions, hardware, precision, commit."""
        return self.path / "environment.json"

    @property
    def status(self) -> Path:
        """How far the run came."""
        return self.path / "status.json"

    @property
    def summary(self) -> Path:
        """The layers as a table."""
        return self.path / "summary.txt"

    @property
    def diagram(self) -> Path:
        """The block diagram as SVG; the same as PNG lies beside it."""
        return self.path / "model.svg"

    @property
    def detailed_graph(self) -> Path:
        """torchview's graph, where Graphviz is installed."""
        return self.path / "graph.svg"

    @property
    def transfer(self) -> Path:
        """What was taken from a pretrained network and what stands still; not there without either."""
        return self.path / "transfer.json"

    @property
    def last_checkpoint(self) -> Path:
        """Where a run that was interrupted goes on."""
        return self.path / "checkpoints" / "last.ckpt"

    @property
    def metrics(self) -> Path:
        """Scalars, one JSON object a line."""
        return self.path / "metrics.jsonl"

    @property
    def model(self) -> Path:
        """The best weights with their descriptor."""
        return self.path / "model.safetensors"

    @property
    def rows(self) -> Path:
        """The long table of this run."""
        return self.path / "rows.parquet"

    def read_config(self) -> RunConfig | None:
        """The configuration, or None in a new directory."""
        if not self.config.exists():
            return None
        return RunConfig.parse(read_yaml(self.config, RunDirectoryError), str(self.config))

    def read_status(self) -> Status | None:
        """The status, or None in a new directory."""
        return Status(**json.loads(self.status.read_text(encoding="utf-8"))) if self.status.exists() else None

    def write_status(self, status: Status) -> None:
        """Replace the status."""
        write_json(self.status, asdict(status))

    def read_transfer(self) -> TransferReport:
        """What was taken over and frozen."""
        return TransferReport.parse(json.loads(self.transfer.read_text(encoding="utf-8")), str(self.transfer))

    def write_transfer(self, report: TransferReport) -> None:
        """Leave what was taken over and frozen."""
        write_json(self.transfer, report.model_dump(mode="json"))

    def claim(self, config: RunConfig) -> None:
        """Write the configuration, or check that the directory belongs to the same run.

        Raises `RunDirectoryError` that names the first difference when it holds another run, or when it holds
        something that is no run.
        """
        existing = self.read_config()
        if existing is None:
            if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
                raise RunDirectoryError(f"{self.path} is there already and holds no run: choose another directory")
            write_text(self.config, to_yaml(config.model_dump(mode="json", exclude_none=True)))
        elif existing != config:
            difference = first_difference(existing.model_dump(mode="json"), config.model_dump(mode="json"))
            raise RunDirectoryError(f"{self.path} holds another run ({difference}): choose another directory")

    def validation_curve(self, metric: str = "psnr_y") -> list[tuple[int, float]]:
        """Return (steps, value) of every validation so far by `metric`; none if `metrics.jsonl` is not there.

        Raises `DamagedFileError` if the file is damaged, or lacks the validation that a finished run was chosen by.
        """
        status = self.read_status()
        if status is not None and status.state == "finished" and self.metrics.exists():
            read_validation(self.metrics, status.best_step)
        return read_curve(self.metrics, metric)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as readable JSON, atomically."""
    text = json.dumps(without_non_finite(value), indent=2, ensure_ascii=False, allow_nan=False)
    write_text(path, text + "\n")


def first_difference(old: Any, new: Any, where: str = "") -> str:
    """Where two nested values differ first, as `key: old → new`; empty when they are equal.

    >>> first_difference({"data": {"test": "set5"}}, {"data": {"test": "set14"}})
    "data.test: 'set5' → 'set14'"
    """
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(k for k in new if k not in old)]:
            found = first_difference(old.get(key), new.get(key), f"{where}.{key}" if where else str(key))
            if found:
                return found
        return ""
    return "" if old == new else f"{where}: {old!r} → {new!r}"
