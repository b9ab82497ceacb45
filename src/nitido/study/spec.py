"""Define the study file, its profiles, and the settings that `--set` may change."""

from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from nitido.base.errors import NitidoError, unknown_name
from nitido.base.validation import FieldRole, StrictModel, dotted_keys, fields_with
from nitido.base.yaml_files import parse_yaml, read_yaml, to_yaml
from nitido.evaluation.metrics import FIDELITY_METRICS, METRICS
from nitido.study.names import check_name
from nitido.study.resources import Resources
from nitido.training.hyperparameters import Hyperparameters


class StudyError(NitidoError):
    """A study cannot be read, resolved or continued."""


def _as_list(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else [value]


def _several(scales: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(scales)) < 2:
        raise ValueError(f"several different scales are needed, got {', '.join(map(str, scales)) or 'none'}")
    return scales


Words = Annotated[tuple[str, ...], BeforeValidator(_as_list), Field(min_length=1)]
Rates = Annotated[tuple[Annotated[float, Field(gt=0)], ...], BeforeValidator(_as_list), Field(min_length=1)]
Seeds = Annotated[tuple[Annotated[int, Field(ge=0)], ...], BeforeValidator(_as_list), Field(min_length=1)]
Scales = Annotated[tuple[Annotated[int, Field(ge=2)], ...], BeforeValidator(_as_list), AfterValidator(_several)]
"""The scales of a run; a scale that is named twice gets twice the steps."""


def _known_metric(name: str) -> str:
    if name not in METRICS:
        raise ValueError(str(unknown_name("metric", name, METRICS)))
    return name


Metrics = Annotated[
    tuple[Annotated[str, AfterValidator(_known_metric)], ...], BeforeValidator(_as_list), Field(min_length=1)
]
"""Metrics of the test images in addition to those that rank."""

Patterns = Annotated[tuple[str, ...], BeforeValidator(_as_list)]


class DataSplit(StrictModel):
    """The training, validation and test images of a run, each a list of image sets."""

    train: Words = ("samples",)
    validation: Words = ("samples",)
    test: Words = ("samples",)


RENAMED_KEYS: Mapping[str, str] = {"start_anew": "reinitialize"}
"""Keys of version 0.1 that are still read, with their present names."""


class Transfer(StrictModel):
    """How a run starts from a trained network, and which parts are frozen.

    Attributes:
        pretrained: A model (a name of the zoo, a run directory or a file) or `variant:NAME`, the best run of another
            variant of the study with the same seed.
        reinitialize: Shell patterns of modules or parameters that keep their random initialization, or `second_half`,
            the second half of the body's blocks; all other weights must fit. Version 0.1 called it `start_anew`.
        freeze: Shell patterns of modules or parameters that are not trained, or `first_half` of the body's blocks.
    """

    pretrained: str | None = Field(default=None, min_length=1)
    reinitialize: Literal["second_half"] | Patterns = ()
    freeze: Literal["first_half"] | Patterns | None = None

    @model_validator(mode="before")
    @classmethod
    def _renamed(cls, values: Any) -> Any:
        """Accept keys of version 0.1, unless the present key is given too."""
        if not isinstance(values, Mapping):
            return values
        renamed = {old: new for old, new in RENAMED_KEYS.items() if new not in values}
        return {renamed.get(key, key): value for key, value in values.items()}

    @model_validator(mode="after")
    def _something_to_start_from(self) -> Self:
        if self.reinitialize and self.pretrained is None:
            raise ValueError("reinitialize has no effect without pretrained")
        return self

    @property
    def source_variant(self) -> str | None:
        """The variant of the study that the run starts from, if it is one."""
        prefix = "variant:"
        found = self.pretrained is not None and self.pretrained.startswith(prefix)
        return self.pretrained.removeprefix(prefix) if self.pretrained is not None and found else None


class Variant(Transfer):
    """A variant of an architecture (`variant`, default: the name) with changes of its configuration."""

    name: Annotated[str, AfterValidator(check_name)]
    architecture: str
    variant: str
    config: dict[str, Any] = Field(default_factory=dict)
    hyperparameters: dict[str, Any] = Field(default_factory=dict)
    learning_rates: Rates | None = Field(default=None, description="in place of the study's")


class Override(StrictModel):
    """Changes that a profile makes to one variant."""

    config: dict[str, Any] = Field(default_factory=dict)
    hyperparameters: dict[str, Any] = Field(default_factory=dict)
    learning_rates: Rates | None = None


class Profile(StrictModel):
    """One budget of a study.

    Attributes:
        variants: The variants to run; None means all of the study.
        config: The network size of this budget, on which every variant's own configuration is applied.
        overrides: Changes of single variants, for instance of one that is much more expensive.
    """

    description: str = ""
    data: DataSplit
    learning_rates: Rates
    seeds: Seeds = (0,)
    variants: Words | None = None
    config: dict[str, Any] = Field(default_factory=dict)
    overrides: dict[str, Override] = Field(default_factory=dict)
    hyperparameters: dict[str, Any]


def _one_line(text: str) -> str:
    if not text.isprintable():
        raise ValueError(f"{text!r} is not one line of printable characters")
    return text


class StudyFile(StrictModel):
    """The contents of a study file."""

    study: Annotated[str, AfterValidator(_one_line)] = Field(min_length=1, max_length=200)
    question: str
    architecture: str
    scale: int = Field(ge=2, le=8)
    baseline: str
    metrics: Metrics = FIDELITY_METRICS
    variants: tuple[str | dict[str, Any], ...] = Field(min_length=1)
    profiles: dict[str, Profile] = Field(min_length=1)
    resources: Resources | None = None


class Study(StrictModel):
    """A resolved study: everything that its runs and its leaderboard depend on, and what its runs get on a cluster."""

    study: str
    profile: str
    scale: Annotated[int, FieldRole.STUDY_SETTING] = Field(ge=2, le=8)
    baseline: Annotated[str, FieldRole.STUDY_SETTING]
    metrics: Annotated[Metrics, FieldRole.STUDY_SETTING] = FIDELITY_METRICS
    variants: Annotated[tuple[Variant, ...], FieldRole.STUDY_SETTING] = Field(min_length=1)
    data: Annotated[DataSplit, FieldRole.STUDY_SETTING]
    learning_rates: Annotated[Rates, FieldRole.STUDY_SETTING]
    seeds: Annotated[Seeds, FieldRole.STUDY_SETTING]
    hyperparameters: Hyperparameters
    resources: Resources | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [variant.name for variant in self.variants]
        _check_unique("variant", names)
        _check_unique("variant (upper and lower case are one)", [name.lower() for name in names])
        _check_unique("learning rate", self.learning_rates)
        _check_unique("seed", self.seeds)
        for variant in self.variants:
            _check_unique(f"variant {variant.name!r}: learning rate", variant.learning_rates or ())
            _check_source(variant, self.variants)
        for name in _RESERVED.keys() & set(names):
            raise ValueError(f"{name!r} {_RESERVED[name]} and cannot name a variant")
        runs = len(self.seeds) * sum(len(v.learning_rates or self.learning_rates) for v in self.variants)
        if runs > MOST_RUNS:
            raise ValueError(f"{runs:,} runs (variants × learning rates × seeds), at most {MOST_RUNS:,} are planned")
        if self.baseline not in names:
            raise ValueError(f"the baseline {self.baseline!r} is not among the variants: {', '.join(names)}")
        return self


def _check_unique(what: str, values: Sequence[object]) -> None:
    """Raise `ValueError` for the first value that occurs twice."""
    seen = set()
    for value in values:
        if value in seen:
            raise ValueError(f"{what} {value} is listed twice")
        seen.add(value)


_RESERVED = {
    "bicubic": "is in every leaderboard already",
    "dataset": "is the name of a column of the results",
    "image": "is the name of a column of the results",
}
"""Names that a variant cannot have, each with the reason."""


def _check_source(variant: Variant, variants: Sequence[Variant]) -> None:
    """Raise `ValueError` if a variant starts from an unknown variant or, through others, from itself."""
    by_name = {known.name: known for known in variants}
    chain = [variant.name]
    source = variant.source_variant
    while source is not None:
        if source not in by_name:
            raise ValueError(f"variant {chain[-1]!r} starts from {unknown_name('variant', source, by_name)}")
        if source in chain:
            raise ValueError(f"variants start from each other in a circle: {' → '.join([*chain, source])}")
        chain.append(source)
        source = by_name[source].source_variant


MOST_RUNS = 10_000

STUDY_FILE = "study.yaml"
"""File name of the resolved study in its directory."""

_BUILTIN = files("nitido.study") / "builtin"


def study_settings() -> list[str]:
    """Return the keys that `--set` may change besides the hyperparameters."""
    names = fields_with(FieldRole.STUDY_SETTING, Study)
    return [key for key in dotted_keys(Study) if key.partition(".")[0] in names]


def builtin_names() -> list[str]:
    """Return the names of the built-in studies."""
    return sorted(entry.name.removesuffix(".yaml") for entry in _BUILTIN.iterdir() if entry.name.endswith(".yaml"))


def load_study_file(name_or_path: str) -> StudyFile:
    """Read a built-in study by name, or a YAML file. Raises `StudyError` or `ConfigError` in one line."""
    if name_or_path in builtin_names():
        values = parse_yaml((_BUILTIN / f"{name_or_path}.yaml").read_bytes(), name_or_path, StudyError)
    else:
        path = Path(name_or_path)
        if not path.exists() and path.suffix not in (".yaml", ".yml"):
            raise unknown_name("study", name_or_path, builtin_names(), StudyError)
        if path.is_dir():
            raise StudyError(f"{path}: {_not_a_study(path)}")
        if not path.exists():
            builtin = f" (the built-in study: {path.stem})" if path.stem in builtin_names() else ""
            raise StudyError(f"{path}: no such file{builtin}")
        values = read_yaml(path, StudyError)
    return StudyFile.parse(values, name_or_path)


def load_resolved(directory: Path) -> Study:
    """Read the `study.yaml` of a study's directory."""
    path = directory / STUDY_FILE
    if not path.is_file():
        raise StudyError(f"{directory}: {_not_a_study(directory)}")
    return Study.parse(read_yaml(path, StudyError), str(path))


def _not_a_study(path: Path) -> str:
    """Say why `path` is not a study directory, and which directory may be meant."""
    if not path.exists():
        begun = Path("runs", path)
        meant = f": did you mean {begun}?" if (begun / STUDY_FILE).is_file() else " (nitido study run makes one)"
        return f"no such directory{meant}"
    if not path.is_dir():
        return "a file, but a study directory is required"
    inside = sorted(str(found.parent) for found in path.glob(f"*/{STUDY_FILE}"))
    return f"no study's directory: it has no {STUDY_FILE}" + (
        f"; name one of {', '.join(inside[:5])}" if inside else ""
    )


def merge(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return hyperparameters with changes; `steps` replaces `epochs` and vice versa.

    Nested hyperparameters are merged key by key; a loss is replaced as a whole, because its terms belong together.

    >>> merge({"steps": 9, "loss": {"l1": 1}, "adversarial": {"kind": "hinge"}}, {"epochs": 1, "loss": {"l2": 1}})
    {'loss': {'l2': 1}, 'adversarial': {'kind': 'hinge'}, 'epochs': 1}
    """
    merged = dict(base)
    if "steps" in changes or "epochs" in changes:
        merged.pop("steps", None)
        merged.pop("epochs", None)
    for key, value in changes.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping) and key != "loss"
        merged[key] = merge(merged[key], value) if both else value
    return merged


def dump(study: Study) -> str:
    """Return a resolved study as YAML text; what the study sweeps is left out of its hyperparameters."""
    swept = set(fields_with(FieldRole.SWEPT, Hyperparameters))
    return to_yaml(study.model_dump(mode="json", exclude_none=True, exclude={"hyperparameters": swept}))
