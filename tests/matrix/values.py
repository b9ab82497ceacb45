"""What every key of a study is set to in the matrix test. A key of a model without a value here fails the test by name.

The keys come from the models themselves: `leaves` lists those of a model and of the models within it.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel

from nitido.architectures import activation_names, block_names, get_architecture
from nitido.training.hyperparameters import Hyperparameters
from nitido.training.losses import ADVERSARIAL, PERCEPTUAL, loss_names


@dataclass(frozen=True)
class Value:
    """A value of a key, as `--set` takes it, with what it needs besides, and the error where it is one."""

    value: str
    needs: Mapping[str, str] = field(default_factory=dict)
    refused: str = ""


def leaves(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the dotted name and the annotation of every key of `model` that is no model itself."""
    for name, info in model.model_fields.items():
        annotation = info.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield from leaves(annotation, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", annotation


def literals(annotation: Any) -> list[Any]:
    """All values of an annotation that is made of literals and booleans; none for any other.

    >>> literals(Literal["auto", "kernels"] | bool)
    ['auto', 'kernels', True, False]
    >>> literals(int)
    []
    """
    if annotation is bool:
        return [True, False]
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    parts = [literals(part) for part in get_args(annotation) if part is not type(None)]
    return list(itertools.chain(*parts)) if parts and all(parts) else []


_ADVERSARIAL = {"loss": f"l1,{ADVERSARIAL}", "batch": "2"}
_PERCEPTUAL = {"loss": f"l1,{PERCEPTUAL}"}

_NORM = "adversarial.discriminator.normalization"

_PLAIN: Mapping[str, Sequence[Value]] = {
    "loss": [
        *(Value(f"l1,{name}" if name in (ADVERSARIAL, PERCEPTUAL) else name, {"batch": "2"}) for name in loss_names()),
        Value(ADVERSARIAL, refused="alone"),
        Value(f"l1,{ADVERSARIAL}", {"batch": "1"}, refused="batch 2"),
    ],
    "perceptual.backbone": [Value("efficientnet_lite0", {**_PERCEPTUAL})],
    "perceptual.layers": [Value("stage1", {**_PERCEPTUAL})],
    "perceptual.weights": [Value("2", {**_PERCEPTUAL, "perceptual.layers": "stage1"})],
    "perceptual.normalised": [Value("true", {**_PERCEPTUAL})],
    "perceptual.feature_scale": [Value("12.75", {**_PERCEPTUAL, "perceptual.normalised": "false"})],
    "adversarial.learning_rate": [Value("0.0001", {**_ADVERSARIAL})],
    "adversarial.collapse": [Value("3", {**_ADVERSARIAL})],
    "adversarial.discriminator.width": [Value("2", {**_ADVERSARIAL})],
    "adversarial.discriminator.dense_width": [Value("8", {**_ADVERSARIAL})],
    "adversarial.discriminator.batch_norm_momentum": [Value("0.5", {**_ADVERSARIAL, _NORM: "batch"})],
    "adversarial.discriminator.batch_norm_epsilon": [Value("0.1", {**_ADVERSARIAL, _NORM: "batch"})],
    "learning_rate": [],  # a study's `learning_rates`
    "seed": [],  # a study's `seeds`
    "weight_decay": [Value("0.01", {"optimizer": "adamw"})],
    "momentum": [Value("0.5", {"optimizer": "sgd"})],
    "warmup": [Value("1")],
    "steps": [Value("3"), Value("1"), Value("0", refused="steps")],
    "epochs": [Value("0.01"), Value("0.1")],
    "batch": [Value("2"), Value("1e21", refused="batch")],
    "patch": [Value("16"), Value("2000", refused="patch")],
    "ema": [Value("0.5")],
    "gradient_clip": [Value("0.1")],
    "validate_every": [Value("1"), Value("3")],
    "validation_crop": [Value("64")],
    "log_every": [Value("1"), Value("100")],
}

_NEEDED: Mapping[str, Mapping[str, str]] = {
    "adversarial.kind": _ADVERSARIAL,
    "adversarial.discriminator.normalization": _ADVERSARIAL,
    "perceptual.normalised": _PERCEPTUAL,
}
"""What the values of keys need that are made of literals."""

_BY_MACHINE = {("precision", "bfloat16"), ("precision", "float16"), ("compile", "kernels"), ("compile", "true")}
"""Values that not every machine can do: they are tried alone, and may be refused."""


def hyperparameters() -> dict[str, list[Value]]:
    """Every hyperparameter with the values it is set to: all of them where it is made of literals."""
    found: dict[str, list[Value]] = {}
    for name, annotation in leaves(Hyperparameters):
        every = [Value(str(value).lower(), _NEEDED.get(name, {})) for value in literals(annotation)]
        every = [value for value in every if (name, value.value) not in _BY_MACHINE]
        assert name in _PLAIN or every, f"the hyperparameter {name!r} is new: give it a value in {__file__}"
        found[name] = [*every, *_PLAIN.get(name, ())]
    return found


def dependent_on_the_machine() -> list[dict[str, str]]:
    """Settings that not every machine can do."""
    return [{"precision": "bfloat16"} | {key: value} for key, value in sorted(_BY_MACHINE)]


_NETWORK: Mapping[str, Sequence[Any]] = {
    "scale": [],  # a study's own
    "blocks": [1],
    "layers": [1],
    "growth": [2],
    "width": [3],
    "depth": [2],
    "kernel_sizes": [[5, 3, 1]],
    "widths": [[3, 8]],
    "residual_scale": [0.1],
    "rgb_mean": [[0.4, 0.5, 0.6]],
    "batch_norm_momentum": [0.9],
    "batch_norm_epsilon": [0.1],
}

_WORDS = {"activation": activation_names, "block": block_names, "second_half_block": block_names}
"""Keys whose values are registered names."""


def network_configs(architecture: str) -> list[dict[str, Any]]:
    """Configurations in which every key has every value it is set to: the n-th has the n-th value of each.

    Registered names are the same for all architectures: EDSR gets all of them, others one.
    """
    together: list[dict[str, Any]] = []
    for key, info in get_architecture(architecture).config_class.model_fields.items():
        values: Sequence[Any] = literals(info.annotation) or _NETWORK.get(key, ())
        if key in _WORDS:
            values = _WORDS[key]() if architecture == "edsr" or key == "second_half_block" else _WORDS[key]()[-1:]
        if key == "second_half_block":  # the block of the first half would have no effect, which is refused
            fields = get_architecture(architecture).config_class.model_fields
            values = [value for value in values if value != fields["block"].default]
        assert values or key in _NETWORK, f"the key {key!r} of {architecture} is new: give it a value in {__file__}"
        for value in values if key != "scale" else ():
            own = next((own for own in together if key not in own and not _clash({**own, key: value})), None)
            if own is None:
                together.append({key: value})
            else:
                own[key] = value
    return together


def _clash(config: Mapping[str, Any]) -> bool:
    """Whether keys exclude each other: grey images have no mean color."""
    return config.get("channels") == 1 and "rgb_mean" in config
