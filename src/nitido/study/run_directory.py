"""Name, read and write the files of a run directory."""

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from nitido.base.atomic import write_text
from nitido.base.errors import NitidoError
from nitido.base.json_files import DamagedFileError, read_json, write_json
from nitido.base.leases import is_unused
from nitido.base.yaml_files import read_yaml, to_yaml
from nitido.study.identity import RunIdentity
from nitido.study.plan import RunConfig
from nitido.study.sessions import Sessions
from nitido.training.metrics_file import last_validated_step, read_curve, read_validation
from nitido.training.transfer import TransferReport

State = Literal["planned", "running", "finished", "interrupted", "diverged", "failed"]

_START_AGAIN = "remove it to resume the run from its last checkpoint"
_RUN = "run"
"""The key of the run's digest in `environment.json`."""
_UNRECORDED = "remove it; the environment of the run then counts as not recorded"


class RunDirectoryError(NitidoError):
    """A run directory cannot be used."""


@dataclass(frozen=True)
class Status:
    """The state of a run.

    `steps` are those that the last checkpoint holds, when this was written. `seconds` is the training time of all
    sessions whose time is known, and `all_seconds` says whether that is the time of every step; version 0.1 wrote the
    time of the last session alone. `reason` says why it ended early; `validation` is what the kept weights measured, by
    metric; `start` says in one line what was taken from a pretrained network and what was frozen. `weights` is the hash
    of the kept weights, `evaluation` that of everything their rows were measured on, and `measured_on` names the device
    that upscaled the images (empty in files of earlier versions).
    """

    state: State
    steps: int = 0
    best_step: int = 0
    seconds: float = 0.0
    validation: dict[str, float] = field(default_factory=dict)
    reason: str = ""
    start: str = ""
    weights: str = ""
    evaluation: str = ""
    all_seconds: bool = False
    measured_on: str = ""

    @property
    def validation_psnr(self) -> float | None:
        """Validation PSNR-Y in dB of the kept weights."""
        return self.validation.get("psnr_y")


@dataclass(frozen=True)
class RunDirectory:
    """The files of a run, under `path`."""

    path: Path

    @property
    def config(self) -> Path:
        """The resolved configuration."""
        return self.path / "config.yaml"

    @property
    def identity(self) -> Path:
        """Everything that the weights depend on, with the hash of every image."""
        return self.path / "identity.json"

    @property
    def failure(self) -> Path:
        """The traceback of an unexpected error; absent without one."""
        return self.path / "failure.txt"

    @property
    def environment(self) -> Path:
        """The training sessions: steps, seconds, versions, hardware, precision, commit."""
        return self.path / "environment.json"

    @property
    def status(self) -> Path:
        """The state of the run."""
        return self.path / "status.json"

    @property
    def task(self) -> Path:
        """What a process needs to train the run of a study, besides the configuration; absent in a single training."""
        return self.path / "task.json"

    @property
    def log(self) -> Path:
        """What the processes that trained the run of a study printed; absent if the study's process trained it."""
        return self.path / "log.txt"

    @property
    def summary(self) -> Path:
        """The layers as a table."""
        return self.path / "summary.txt"

    @property
    def diagram(self) -> Path:
        """The block diagram as SVG; a PNG of it is stored beside it."""
        return self.path / "model.svg"

    @property
    def detailed_graph(self) -> Path:
        """The graph by torchview, if Graphviz is installed."""
        return self.path / "graph.svg"

    @property
    def transfer(self) -> Path:
        """Transferred and frozen weights; absent without either."""
        return self.path / "transfer.json"

    @property
    def last_checkpoint(self) -> Path:
        """The checkpoint from which an interrupted run resumes."""
        return self.path / "checkpoints" / "last.ckpt"

    @property
    def best_checkpoint(self) -> Path:
        """The step that validated best."""
        return self.path / "checkpoints" / "best.ckpt"

    @property
    def metrics(self) -> Path:
        """Scalars, one JSON object per line."""
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
        """Return the configuration; None in a new directory. Raises `NitidoError` if the file is damaged."""
        if not self.config.exists():
            return None
        return RunConfig.parse(read_yaml(self.config, RunDirectoryError), str(self.config))

    def read_identity(self) -> RunIdentity | None:
        """Return the identity; None in a new directory. Raises `DamagedFileError`."""
        if not self.identity.exists():
            return None
        values = read_json(self.identity, "choose another directory, or remove this one to train again")
        return RunIdentity.parse(values, str(self.identity))

    def read_status(self) -> Status | None:
        """Return the status; None in a new directory. Raises `DamagedFileError`."""
        if not self.status.exists():
            return None
        try:
            return _STATUS.validate_python(read_json(self.status, _START_AGAIN))
        except ValidationError:
            raise DamagedFileError(f"{self.status} is damaged (not the status of a run): {_START_AGAIN}") from None

    def write_status(self, status: Status) -> None:
        """Replace the status."""
        write_json(self.status, asdict(status))

    def read_environment(self) -> dict[str, Any] | None:
        """Return the environment of the last session; None if it was not recorded. Raises `DamagedFileError`."""
        if not self.environment.exists():
            return None
        values = read_json(self.environment, _UNRECORDED)
        run = values.pop(_RUN, None)  # absent in files of version 0.1
        try:
            identity = self.read_identity() if run is not None else None
        except NitidoError:  # a damaged identity is reported where the run itself is judged
            return values
        if identity is not None and run != identity.digest:
            raise DamagedFileError(f"{self.environment} is of another run: {_UNRECORDED}")
        return values

    def read_sessions(self) -> Sessions:
        """Return the training sessions with their steps and times. Raises `DamagedFileError`."""
        environment = self.read_environment()
        if environment is None:
            return Sessions()
        try:
            sessions = Sessions.of(environment)
        except ValueError:
            raise DamagedFileError(
                f"{self.environment} is damaged (not the sessions of a run): {_UNRECORDED}"
            ) from None
        (*_, last) = sessions.sessions
        if last.last is None and (status := self.read_status()) is not None:  # of version 0.1
            return Sessions((replace(last, seconds=status.seconds),))
        return sessions

    def write_sessions(self, sessions: Sessions) -> None:
        """Replace the contents of `environment.json`."""
        identity = self.read_identity()
        write_json(self.environment, sessions.as_json() | ({_RUN: identity.digest} if identity is not None else {}))

    def steps_so_far(self) -> int | None:
        """Return the number of steps in the last checkpoint of an unfinished run; None if it was not recorded.

        Version 0.1 did not record it, and wrote a checkpoint at each validation.
        """
        try:
            steps = self.read_sessions().steps
            return steps if steps is not None else last_validated_step(self.metrics)
        except NitidoError:
            return None

    def read_transfer(self) -> TransferReport:
        """Return which weights were transferred and frozen."""
        return TransferReport.parse(read_json(self.transfer, _START_AGAIN), str(self.transfer))

    def write_transfer(self, report: TransferReport) -> None:
        """Write what was taken over and frozen."""
        write_json(self.transfer, report.model_dump(mode="json"))

    def refuse_foreign(self) -> None:
        """Raise `RunDirectoryError` if the path holds something that is no run; nothing may be written there."""
        if not is_unused(self.path) and not self.identity.exists():
            if self.config.exists():
                raise RunDirectoryError(
                    f"{self.path} holds a run without {self.identity.name}, which was removed, or never written by an "
                    "earlier version of nitido: choose another directory"
                )
            raise RunDirectoryError(f"{self.path} is there already and holds no run: choose another directory")

    def difference(self, identity: RunIdentity) -> str:
        """Say in one line where the run in this directory differs from `identity`; empty if it is that run, or new."""
        existing = self.read_identity()
        return existing.difference(identity) if existing is not None else ""

    def claim(self, identity: RunIdentity, config: RunConfig) -> RunIdentity:
        """Write the identity and the configuration, or check that the directory belongs to the same run.

        Only the process that holds the directory's lock may call this.

        Returns:
            The directory's identity. It is older than `identity` and has another digest where a later version of
            nitido has more hyperparameters, at whose defaults the run was trained.

        Raises:
            RunDirectoryError: It holds another run, and the message says the first difference.
        """
        self.refuse_foreign()
        existing = self.read_identity()
        if existing is None:
            existing = identity
            write_json(self.identity, identity.model_dump(mode="json"))
        elif difference := existing.difference(identity):
            raise RunDirectoryError(f"{self.path} holds another run ({difference}): choose another directory")
        text = to_yaml(config.model_dump(mode="json", exclude_none=True))
        if not self.config.exists() or self.config.read_bytes() != text.encode():
            write_text(self.config, text)
        return existing

    def validation_curve(self, metric: str = "psnr_y") -> list[tuple[int, float]]:
        """Return (steps, value) of every validation so far by `metric`; none if `metrics.jsonl` is not there.

        Raises `DamagedFileError` if the file is damaged, or does not hold the validation that chose the weights of
        a finished run.
        """
        status = self.read_status()
        known = status if status is not None and status.state == "finished" and self.metrics.exists() else None
        if known is not None and read_validation(self.metrics, known.best_step) != known.validation:
            raise DamagedFileError(
                f"{self.metrics} is damaged (its validation after step {known.best_step} is not the one in "
                f"{self.status.name}): remove the run's directory and run it again"
            )
        return read_curve(self.metrics, metric)


_STATUS = TypeAdapter(Status)
