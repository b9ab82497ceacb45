"""A trained network as one file: safetensors weights with a JSON descriptor in their metadata.

The descriptor contains the architecture, the configuration, the training and the measurements; nothing is inferred from
the file's name. Reading a model file runs no code from the file, and memory is limited by the file's size. A checksum
of weights and descriptor is always verified; files of earlier versions have none.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

import torch
from pydantic import Field, field_validator, model_validator
from safetensors import SafetensorError
from safetensors.torch import save
from torch import Tensor

from nitido.architectures import NetworkConfig, SuperResolutionNetwork, build, count_parameters, get_architecture
from nitido.base.atomic import write_bytes
from nitido.base.errors import NitidoError
from nitido.base.notes import note
from nitido.base.registry import plugin_code
from nitido.base.validation import ConfigError, StrictModel
from nitido.models.build_bounds import OutOfBoundsError, at_most
from nitido.models.publication import Publication
from nitido.models.tensor_file import (
    CHECKSUM_KEY,
    TensorFile,
    read_tensor_file,
    unique_keys,
    with_checksum,
)
from nitido.models.tensor_file import (
    ModelFileError as ModelFileError,
)

METADATA_KEY = "nitido"
"""Key of the descriptor in a safetensors file's metadata."""


class WrongScaleError(ModelFileError):
    """A model does not support the requested scale."""


class LearnedImages(StrictModel):
    """The images on which weights depend, including those of the models from which they were pretrained.

    Attributes:
        train: The first 16 digits of the hash of each training image's pixels.
        validation: The same of the images that selected the step.
        unrecorded: Models from which the weights started and whose images were not recorded.
    """

    train: tuple[str, ...] = ()
    validation: tuple[str, ...] = ()
    unrecorded: tuple[str, ...] = ()

    @classmethod
    def of(cls, train: Iterable[str], validation: Iterable[str], start: "LearnedImages | None" = None) -> Self:
        """Record images by the hashes of their pixels, and those of the model from which the weights `start`."""
        start = start or LearnedImages()
        return cls(
            train=tuple(sorted({*start.train, *map(_short, train)})),
            validation=tuple(sorted({*start.validation, *map(_short, validation)})),
            unrecorded=start.unrecorded,
        )

    def trained_on(self, sha256: str) -> bool:
        """Return whether the image with this hash was a training image."""
        return _short(sha256) in self.train

    def chosen_by(self, sha256: str) -> bool:
        """Return whether the image with this hash was a validation image."""
        return _short(sha256) in self.validation


def _short(sha256: str) -> str:
    return sha256[:16]


class ModelDescriptor(StrictModel):
    """Everything about a model file except for its weights."""

    format_version: Literal[1] = Field(default=1, description="version of this descriptor's layout")
    name: str = Field(min_length=1, description="name of the model in tables")
    architecture: str = Field(description="name of the architecture, as in the registry")
    config: dict[str, Any] = Field(description="the network's full configuration")
    scale: int = Field(ge=1, description="upscaling factor; of several, the first")
    scales: tuple[int, ...] = Field(default=(), description="all scales that the weights support; default: `scale`")
    channels: Literal[1, 3] = Field(description="1 = Y only, 3 = RGB")
    receptive_field_radius: int | None = Field(
        ge=0, description="margin in LR pixels that makes a tile exact; null: output pixels depend on the whole image"
    )
    parameters: int = Field(ge=0, description="number of weights")
    training: dict[str, Any] = Field(
        default_factory=dict,
        description="provenance: variant, hyperparameters, data, seed, steps, seconds, nitido version",
    )
    metrics: dict[str, dict[str, float]] = Field(
        default_factory=dict,
        description="dataset -> metric -> value, e.g. set5 -> psnr_y -> 36.7; x3/psnr_y is at another scale",
    )
    learned: LearnedImages | None = Field(
        default=None, description="images used for training and selection of the weights; null: not recorded"
    )
    plugins: dict[str, str] = Field(
        default_factory=dict, description="name in the configuration that a plugin registered -> hash of its code"
    )
    publication: Publication | None = Field(default=None, description="figures, costs and licence of a zoo model")

    @field_validator("name")
    @classmethod
    def _printable(cls, value: str) -> str:
        if not value.isprintable():
            raise ValueError(f"{value!r} has characters that cannot be printed")
        return value

    @model_validator(mode="before")
    @classmethod
    def _scale_alone(cls, values: Any) -> Any:
        alone = isinstance(values, dict) and "scale" in values and not values.get("scales")
        return {**values, "scales": (values["scale"],)} if alone else values

    @classmethod
    def of(
        cls,
        network: SuperResolutionNetwork,
        architecture: str,
        name: str,
        training: dict[str, Any] | None = None,
        metrics: dict[str, dict[str, float]] | None = None,
        other_scales: Sequence[int] = (),
        learned: LearnedImages | None = None,
    ) -> "ModelDescriptor":
        """Describe `network`, an instance of `architecture`.

        Args:
            network: Gives configuration, scale, channels, receptive field and number of parameters.
            architecture: Name of the architecture.
            name: Name of the model in tables.
            training: Provenance.
            metrics: Dataset -> metric -> value.
            other_scales: Scales that the weights support besides the network's own.
            learned: Images on which the weights depend.
        """
        return cls(
            name=name,
            architecture=get_architecture(architecture).name,
            config=network.config.model_dump(mode="json"),
            scale=network.scale,
            scales=(network.scale, *other_scales),
            channels=network.config.channels,
            receptive_field_radius=network.receptive_field_radius,
            parameters=count_parameters(network),
            training=training or {},
            metrics=metrics or {},
            learned=learned,
            plugins=_plugins(architecture, network.config.model_dump(mode="json")),
        )


def metric_name(metric: str, scale: int, first: int) -> str:
    """Return the name in a descriptor of a metric measured at `scale`; it is plain for the `first` scale.

    >>> metric_name("psnr_y", 2, 2), metric_name("psnr_y", 3, 2)
    ('psnr_y', 'x3/psnr_y')
    """
    return metric if scale == first else f"x{scale}/{metric}"


class LoadedModel(NamedTuple):
    """A network in eval mode at one of its scales, and the descriptor of its file."""

    network: SuperResolutionNetwork
    descriptor: ModelDescriptor


def save_model(path: Path, network: SuperResolutionNetwork, descriptor: ModelDescriptor) -> None:
    """Write the weights and buffers of `network` with `descriptor` to `path`, atomically.

    Raises:
        ModelFileError: A weight is not finite, the descriptor does not match the network, or writing fails. `path` is
            unchanged.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    check_finite(path, tensors)
    _check_descriptor(path, network, descriptor)
    try:
        # Into memory first, because files written by safetensors can be read only by their owner.
        write_bytes(path, with_checksum(save(tensors, metadata={METADATA_KEY: descriptor.model_dump_json()})))
    except (SafetensorError, OSError) as error:
        raise ModelFileError(f"{path}: could not be written ({error})") from None


def read_descriptor(path: Path) -> ModelDescriptor:
    """Return the descriptor of the model file at `path`; raise `ModelFileError`, also if its weights are damaged."""
    return _descriptor(read_tensor_file(path))


def load_model_file(path: Path, scale: int | None = None) -> LoadedModel:
    """Build the network that the file at `path` describes, on the CPU, in eval mode, with its weights.

    Args:
        path: The file.
        scale: One of the scales that the weights support; by default the first one.

    Raises:
        ModelFileError: The file is missing, damaged, not a model of nitido, or for another scale, or the names, shapes,
            types or values of its tensors do not match its descriptor.
    """
    file = read_tensor_file(path)
    descriptor = _descriptor(file)
    config = _config(path, descriptor)
    try:
        with at_most(tensors=len(file.table), elements=file.elements):
            network = build_blank(descriptor.architecture, config)
    except (OutOfBoundsError, RuntimeError, MemoryError, OverflowError):  # RuntimeError: too large for torch
        raise ModelFileError(
            f"{path}: its descriptor needs more weights than the {file.elements:,} in the file"
        ) from None
    _check_descriptor(path, network, descriptor)
    tensors = file.tensors()
    check_layout(path, network.state_dict(), tensors, "its descriptor")
    check_finite(path, tensors)
    if CHECKSUM_KEY not in file.metadata:
        check_not_zeroed(path, tensors)
    network.load_state_dict(tensors)
    _note_other_code(path, descriptor)
    wanted = descriptor.scale if scale is None else scale
    if wanted not in descriptor.scales:
        served = " or ".join(f"×{known}" for known in descriptor.scales)
        raise WrongScaleError(f"{path}: this model upscales by {served}, not by ×{wanted}")
    return LoadedModel(network.eval().at_scale(wanted), descriptor)


def build_blank(architecture: str, config: NetworkConfig) -> SuperResolutionNetwork:
    """Return a network whose weights the caller will overwrite, without changing the random generator's state."""
    with torch.random.fork_rng(devices=[]):
        return build(architecture, config)


def check_layout(path: Path, expected: Mapping[str, Tensor], found: Mapping[str, Tensor], required_by: str) -> None:
    """Raise `ModelFileError` unless `found`, read from `path`, has the names, shapes and types of `expected`.

    `required_by` says in the message what expects them.
    """
    missing = sorted(expected.keys() - found.keys())
    extra = sorted(found.keys() - expected.keys())
    if missing:
        raise ModelFileError(f"{path}: weights that {required_by} requires are missing: {', '.join(missing)}")
    if extra:
        raise ModelFileError(f"{path}: weights that {required_by} does not have: {', '.join(extra)}")
    for name, tensor in expected.items():
        if found[name].shape != tensor.shape or found[name].dtype != tensor.dtype:
            raise ModelFileError(
                f"{path}: {name} is {_describe(found[name])}, but {required_by} needs {_describe(tensor)}"
            )


def check_finite(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Raise `ModelFileError` if one of the `tensors` of `path` contains NaN or infinity."""
    for name, tensor in tensors.items():
        if not bool(torch.isfinite(tensor).all()):
            raise ModelFileError(f"{path}: {name} contains NaN or infinite weights")


def check_not_zeroed(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Raise `ModelFileError` if all weights of a layer are zero, as in an incompletely copied file.

    This is for files without a checksum. One-dimensional tensors (biases, means) may be zero.
    """
    for name, tensor in tensors.items():
        if tensor.ndim > 1 and not bool(tensor.any()):
            raise ModelFileError(f"{path}: all weights of {name} are zero: the file is damaged")


def _descriptor(file: TensorFile) -> ModelDescriptor:
    if METADATA_KEY not in file.metadata:
        raise ModelFileError(f"{file.path}: a safetensors file without nitido's descriptor; import it first")
    # Otherwise a flipped bit in the checksum's key would make this a file without checksum.
    unknown = sorted(file.metadata.keys() - {METADATA_KEY, CHECKSUM_KEY, "format"})
    if unknown and CHECKSUM_KEY not in file.metadata:
        raise ModelFileError(
            f"{file.path} is damaged or modified (nitido writes no metadata {unknown[0]!r}): "
            "obtain it again from its source, or train it again"
        )
    return parse_descriptor(file.path, file.metadata[METADATA_KEY])


def parse_descriptor(path: Path, text: str) -> ModelDescriptor:
    """Return the descriptor in the metadata of the file at `path`; raise `ModelFileError` if it is invalid."""
    try:
        values = json.loads(text, object_pairs_hook=unique_keys, parse_constant=_no_number)
        json.dumps(values, ensure_ascii=False).encode()  # lone surrogates cannot be printed
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"{path}: its descriptor is not JSON ({error})") from None
    try:
        return ModelDescriptor.parse(values, "descriptor")
    except ConfigError as error:
        raise ModelFileError(f"{path}: {error}") from None


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is not a number")


def _config(path: Path, descriptor: ModelDescriptor) -> NetworkConfig:
    try:
        family = get_architecture(descriptor.architecture)
        return family.config_class.parse(descriptor.config, f"config of {family.name}")
    except ConfigError as error:
        raise ModelFileError(f"{path}: {error}") from None


def _check_descriptor(path: Path, network: SuperResolutionNetwork, descriptor: ModelDescriptor) -> None:
    pairs = {
        "config": (_config(path, descriptor), network.config),
        "scale": (descriptor.scale, network.scale),
        "channels": (descriptor.channels, network.channels),
        "receptive_field_radius": (descriptor.receptive_field_radius, network.receptive_field_radius),
        "parameters": (descriptor.parameters, count_parameters(network)),
    }
    for key, (said, true) in pairs.items():
        if said != true:
            raise ModelFileError(f"{path}: the descriptor states {key} = {said}, but its network has {true}")
    said_scales = f"{path}: the descriptor states scales = {list(descriptor.scales)}"
    if descriptor.scales[0] != network.scale or len(set(descriptor.scales)) < len(descriptor.scales):
        raise ModelFileError(f"{said_scales}, but they must be unique and start with {network.scale}")
    for scale in descriptor.scales:
        try:
            network.at_scale(scale)
        except NitidoError as error:
            raise ModelFileError(f"{said_scales}: {error}") from None


def _plugins(architecture: str, config: Mapping[str, Any]) -> dict[str, str]:
    return {word: found.code for word, found in plugin_code([architecture, config]).items()}


def _note_other_code(path: Path, descriptor: ModelDescriptor) -> None:
    """Report which plugins have other code than the model of `path` was trained with."""
    for word, code in _plugins(descriptor.architecture, descriptor.config).items():
        if word not in descriptor.plugins:
            note(f"{path}: the plugin code of {word} with which it was trained is not recorded")
        elif descriptor.plugins[word] != code:
            note(
                f"{path}: the plugin code of {word} has changed since it was trained: "
                "its weights are used in a different network"
            )


def _describe(tensor: Tensor) -> str:
    return f"{tuple(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')}"
