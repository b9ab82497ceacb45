"""The identity of a run: everything that its trained weights depend on, with images identified by their content."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import Field

from nitido.architectures import get_architecture
from nitido.base.json_files import checksum, read_json, write_json
from nitido.base.registry import plugin_code
from nitido.base.validation import ConfigError, StrictModel
from nitido.data import Store
from nitido.evaluation.metrics import metric
from nitido.evaluation.protocol import PROTOCOL
from nitido.study.plan import RunConfig
from nitido.study.spec import RENAMED_KEYS


class ImageRecord(StrictModel):
    """One decoded image.

    Attributes:
        name: Its name in its set.
        sha256: The hash of its RGB pixels and their shape.
        grey: Whether its file has one channel, which is then scored as luma.
    """

    name: str
    sha256: str
    grey: bool = False


Records = tuple[ImageRecord, ...]


def image_records(store: Store) -> Records:
    """Return a record of each image of `store`, in order."""
    return tuple(
        ImageRecord(name=name, sha256=sha256, grey=grey)
        for name, sha256, grey in zip(store.names, store.hashes, store.grey, strict=True)
    )


class RunIdentity(StrictModel):
    """Everything that the weights of a run depend on, except the machine and the version of nitido.

    The evaluated metrics are not included: they can be added to a finished run without training.

    Attributes:
        configuration: The network, the hyperparameters and how the run starts.
        train: The training images, in the order in which patches are drawn from them.
        validation: The images that choose the best step.
        source_sha256: The hash of the model file that the run starts from.
        plugins: For each name in the configuration that a plugin registered, the hash of its file.
        plugin_code: For each of these names, the hash of that file and of all code of the plugin that it depends on,
            as imported. Version 0.1 did not record it.
    """

    configuration: dict[str, Any]
    train: Records
    validation: Records
    source_sha256: str | None = None
    plugins: dict[str, str] = Field(default_factory=dict)
    plugin_code: dict[str, str] = Field(default_factory=dict)

    @classmethod
    def of(cls, run: RunConfig, train: Records, validation: Records, source_sha256: str | None) -> Self:
        """Return the identity of `run` with these images."""
        configuration = _configuration(run)
        plugins = plugin_code(configuration)
        return cls(
            configuration=configuration,
            train=train,
            validation=validation,
            source_sha256=source_sha256,
            plugins={word: found.file for word, found in plugins.items()},
            plugin_code={word: found.code for word, found in plugins.items()},
        )

    @property
    def digest(self) -> str:
        """A hash of everything except the names of the images, which do not affect the weights."""
        values = self.model_dump(mode="json")
        names = {new: old for old, new in RENAMED_KEYS.items()}  # as in version 0.1, whose rows carry this hash
        values["configuration"] = {names.get(key, key): value for key, value in values["configuration"].items()}
        if not self.plugin_code:  # as in version 0.1, whose rows carry this hash
            del values["plugin_code"]
        for split in ("train", "validation"):
            values[split] = [[record["sha256"], record["grey"]] for record in values[split]]
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()

    def difference(self, new: Self) -> str:
        """Say in one line where `new` differs from this identity first; empty if their weights would be the same."""
        return (
            first_difference(_upgraded(self.configuration), _upgraded(new.configuration))
            or _other_images("training", self.train, new.train)
            or _other_images("validation", self.validation, new.validation)
            or ("it starts from other weights" if self.source_sha256 != new.source_sha256 else "")
            or self._other_code(new)
        )

    def _other_code(self, new: Self) -> str:
        """Name the first registered name whose plugin code has changed."""
        old, now = (self.plugin_code, new.plugin_code) if self.plugin_code else (self.plugins, new.plugins)
        words = [word for word in {**old, **now} if old.get(word) != now.get(word)]
        return f"the code of the plugin of {words[0]} changed" if words else ""


class PlannedImages(StrictModel):
    """The training, validation and test images of the runs of a study, by their content."""

    train: Records
    validation: Records
    test: dict[str, Records]

    @classmethod
    def of(cls, train: Store, validation: Store, test: Mapping[str, Store]) -> Self:
        """Record the images of these stores."""
        return cls(
            train=image_records(train),
            validation=image_records(validation),
            test={name: image_records(store) for name, store in test.items()},
        )

    def identity(self, run: RunConfig, source_sha256: str | None) -> RunIdentity:
        """Return the identity of `run` with these images."""
        return RunIdentity.of(run, self.train, self.validation, source_sha256)

    @property
    def digest(self) -> str:
        """A hash of all records."""
        return checksum(self.model_dump(mode="json"))

    def write(self, path: Path) -> None:
        """Write to the JSON file `path`."""
        write_json(path, self.model_dump(mode="json"))

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read back what `write` wrote; raises `DamagedFileError` or `ConfigError`."""
        remedy = "run the study again to recreate it"
        return cls.parse(read_json(path, remedy), str(path))


def evaluation_digest(run: RunConfig, images: PlannedImages) -> str:
    """Return a hash of everything that the rows of a run depend on besides its weights.

    Only metrics that can be measured here are included: if a package is installed later, its metrics are added.
    """
    values = {
        "validation": images.model_dump(mode="json")["validation"],
        "test": images.model_dump(mode="json")["test"],
        "scales": run.every_scale,
        "metrics": sorted(name for name in run.metrics if metric(name).missing() is None),
        "protocol": PROTOCOL,
    }
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def first_difference(old: Any, new: Any, where: str = "") -> str:
    """Return the first difference of two nested values as `key: old → new`; empty if they are equal.

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


def _configuration(run: RunConfig) -> dict[str, Any]:
    """Return the part of the configuration that the weights depend on; images are identified by content, not name."""
    return run.model_dump(mode="json", exclude={"study", "metrics", "data"}, exclude_none=True)


def _upgraded(configuration: dict[str, Any]) -> dict[str, Any]:
    """Return the configuration with the defaults of fields that an earlier version did not have.

    If this version cannot read it (a field or a plugin is missing), it is returned unchanged.
    """
    try:
        run = RunConfig.parse({**configuration, "data": {}}, "identity")
        config = get_architecture(run.architecture).config_class.parse(run.config, "identity")
    except ConfigError:
        return configuration
    return _configuration(run.model_copy(update={"config": config.model_dump(mode="json")}))


def _other_images(what: str, old: Records, new: Records) -> str:
    """Name the first image that was added, removed or changed; only the content and the order count."""
    if [(r.sha256, r.grey) for r in old] == [(r.sha256, r.grey) for r in new]:
        return ""
    for count, verb in ((_missing(new, old), "added"), (_missing(old, new), "removed")):
        if count:
            changed = count[0] in {r.name for r in old} & {r.name for r in new}
            more = f" and {len(count) - 1} more" if len(count) > 1 else ""
            return f"{what} images: {count[0]}{more} {'changed' if changed else verb}"
    return f"{what} images: another order"


def _missing(records: Iterable[ImageRecord], others: Iterable[ImageRecord]) -> list[str]:
    """Return the names of `records` whose content is not among `others`, with multiplicity."""
    left = Counter((r.sha256, r.grey) for r in others)
    names = []
    for record in records:
        if left[record.sha256, record.grey] > 0:
            left[record.sha256, record.grey] -= 1
        else:
            names.append(record.name)
    return names
