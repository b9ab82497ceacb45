"""pydantic models with one-line errors that name the nearest valid key."""

import re
from enum import Enum
from types import UnionType
from typing import Annotated, Any, Self, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator

from nitido.base.errors import NitidoError, nearest
from nitido.base.exact_types import WrongTypeError, exact

_NUMBER_WITH_X = re.compile(r"[x×](\d+)|(\d+)[x×]", re.IGNORECASE)  # the usual notation of scales


class ConfigError(NitidoError):
    """A key or value in a configuration is wrong."""


class StrictModel(BaseModel):
    """A frozen configuration object. Unknown keys, NaN, infinity and values of another type are errors.

    Text is parsed as a number or bool if the field does not permit text, because `--set` passes everything as text.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)

    @field_validator("*", mode="before")
    @classmethod
    def _without_conversion(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse values that pydantic would convert silently: true to 1, 1.0 to 1, `1_000` to 1000, `on` to true."""
        field = cls.model_fields.get(info.field_name or "")
        return exact(value, field.annotation) if field is not None else value

    @classmethod
    def parse(cls, values: dict[str, Any], where: str) -> Self:
        """Validate `values`; on failure raise `ConfigError` with one line that starts with `where`."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise ConfigError(describe(error, cls, where)) from None


class FieldRole(Enum):
    """How a study treats a field, stated in its metadata: `seed: Annotated[int, FieldRole.SWEPT]`."""

    STUDY_SETTING = "`--set` of a study changes it"
    SWEPT = "a study runs with several values"
    DEFINES_VARIANT = "`--set` of a study does not change it in variants that set it"


def fields_with(role: FieldRole, model: type[BaseModel]) -> list[str]:
    """Return the names of the fields of `model` that have the role."""
    return [name for name, field in model.model_fields.items() if role in field.metadata]


def dotted_keys(model: type[BaseModel]) -> list[str]:
    """Return the keys of `model` as `--set` writes them: `a.b` for fields of nested models, `a.TERM` for mappings.

    >>> class Optimizer(StrictModel):
    ...     momentum: float = 0.9
    >>> class Training(StrictModel):
    ...     optimizer: Optimizer = Optimizer()
    ...     loss: dict[str, float] = {}
    ...     steps: int = 6
    >>> dotted_keys(Training)
    ['optimizer.momentum', 'loss.TERM', 'steps']
    """
    keys = []
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            keys += [f"{name}.{key}" for key in dotted_keys(field.annotation)]
        else:
            keys.append(f"{name}.TERM" if get_origin(field.annotation) is dict else name)
    return keys


def describe(error: ValidationError, model: type[BaseModel], where: str) -> str:
    """Return the first problem of `error` as one line; for an unknown key it suggests the nearest valid one.

    >>> class Network(StrictModel):
    ...     width: int = 64
    >>> try:
    ...     Network.parse({"widht": 2}, "network")
    ... except ConfigError as problem:
    ...     print(problem)
    network: unknown key 'widht': did you mean 'width'? (valid: width)
    """
    problem = error.errors()[0]
    path = [str(part) for part in problem["loc"]]
    if problem["type"] == "extra_forbidden":
        owner = _owner(model, path[:-1])
        valid = sorted(owner.model_fields)
        guess = nearest(path[-1], valid)
        hint = f"did you mean {guess!r}? " if guess else ""
        inside = f" in {'.'.join(path[:-1])}" if len(path) > 1 else ""
        return f"{where}: unknown key {path[-1]!r}{inside}: {hint}(valid: {', '.join(valid)})"
    message = problem["msg"].removeprefix("Value error, ")
    cause = problem.get("ctx", {}).get("error")
    key = ".".join([*path, *(cause.path if isinstance(cause, WrongTypeError) else ())])
    given = f", got {problem['input']!r}" if problem["type"] not in ("missing", "value_error") else ""
    number = _NUMBER_WITH_X.fullmatch(problem["input"]) if isinstance(problem["input"], str) else None
    if number is not None and "valid integer" in message:
        given += f": did you mean {number[1] or number[2]}?"
    if problem["type"] == "literal_error" and isinstance(problem["input"], str):
        expected = [word.strip(" '") for word in problem["ctx"]["expected"].replace(" or ", ", ").split(",")]
        guess = nearest(problem["input"], expected)
        given += f": did you mean {guess!r}?" if guess else ""
    return f"{where}: {key + ': ' if key else ''}{message[0].lower() + message[1:]}{given}"


def _owner(model: type[BaseModel], path: list[str]) -> type[BaseModel]:
    """Return the nested model that `path` leads to, as far as annotations show: also in options, mappings and lists."""
    annotation: Any = model
    for part in path:
        for choice in _choices(annotation):
            if _is_model(choice) and part in choice.model_fields:
                annotation = choice.model_fields[part].annotation
                break
            if get_origin(choice) in (dict, list, tuple):
                annotation = [inner for inner in get_args(choice) if inner is not Ellipsis][-1]
                break
        else:
            return model
        model = next(filter(_is_model, _choices(annotation)), model)
    return model


def _choices(annotation: Any) -> tuple[Any, ...]:
    """Return the members of a union, without metadata; of anything else itself."""
    if get_origin(annotation) is Annotated:
        return _choices(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return tuple(choice for member in get_args(annotation) for choice in _choices(member))
    return (annotation,)


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
