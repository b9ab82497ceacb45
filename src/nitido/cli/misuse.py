"""Describe wrong command-line arguments and suggest corrections."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nitido.base.errors import nearest

_OTHER_WORDS = {"download": "fetch", "get": "fetch", "enlarge": "upscale", "test": "evaluate"}
_NUMBER_WITH_X = re.compile(r"[x×]?(\d+(?:\.\d+)?)[x×]?", re.IGNORECASE)


def describe_misuse(error: Any, arguments: Sequence[str], program: str) -> str:
    """Return one line about `error`, one of typer's for wrong arguments.

    The classes of these errors differ between versions of typer, so they are recognized by their attributes.
    """
    context = getattr(error, "ctx", None)
    message = " ".join(error.format_message().split())
    kind = type(error).__name__
    if kind == "NoSuchOption":
        message = _no_such_option(error.option_name, context, arguments)
    elif kind == "MissingParameter":
        message = _missing(message, error.param, context, arguments)
    elif kind == "BadParameter":
        message = _bad_value(message, getattr(error, "param", None), arguments)
    elif command := re.match(r"No such command '(.*?)'", message):
        message = _no_such_command(message, command[1], context)
    elif extra := re.fullmatch(r"Got unexpected extra arguments? ?(?:\(s\) )?\((.*)\)", message):
        message = _too_many(message, extra[1].split(), arguments)
    return f"{message} ({context.command_path if context is not None else program} --help)"


def _no_such_option(option: str, context: Any, arguments: Sequence[str]) -> str:
    options = [name for parameter in context.command.params for name in parameter.opts if name.startswith("-")]
    value = _value_of([option], arguments)
    alike = next((name for name in options if len(name) > 2 and option.startswith(name)), None)
    alike = alike or next((name for name in options if name.startswith(option)), None)
    key = None if alike else _setting(option.lstrip("-").replace("-", "_").lower(), context, "--set" in options)
    if key is not None:
        meant: str | None = f"--set {key}={value or '…'}"
    else:
        meant = alike or nearest(option, options)
    return f"No such option: {option}" + (f": did you mean {meant}?" if meant else "")


def _setting(word: str, context: Any, has_settings: bool) -> str | None:
    """Return the `--set` key that `word` means in the command of `context`; None if there is none."""
    if not has_settings:
        return None
    from nitido.study.plan import setting_keys
    from nitido.study.settings import ALIASES

    of_training = context.command.name == "train"
    groups = setting_keys().items()
    keys = {
        key
        for group, names in groups
        for key in names
        if (not group.startswith("of ") or (group == "of studies only") is not of_training)
    }
    if not of_training:
        keys -= {"seed", "learning_rate"}  # a study has a list of each
    known = "data.train" if word == "data" else ALIASES.get(word, word)
    return next((key for key in (word, known, f"{known}s", known.removesuffix("s")) if key in keys), None)


def _missing(message: str, parameter: Any, context: Any, arguments: Sequence[str]) -> str:
    """Describe the missing parameter; report first if an image was given instead of a model."""
    from nitido.imaging.files import FORMATS

    if context is not None and context.command.name == "evaluate":
        for word in arguments[1:2]:
            if Path(word).suffix.lower() in FORMATS:
                return f"{word} is an image, not a model: use nitido upscale to upscale images"
    purpose = getattr(parameter, "help", None)
    return f"{message.removesuffix('.')}: {purpose.removesuffix('.')}" if purpose else message


def _bad_value(message: str, parameter: Any, arguments: Sequence[str]) -> str:
    value = _value_of(getattr(parameter, "opts", ()), arguments)
    number = _NUMBER_WITH_X.fullmatch(value or "")
    if number is not None and number[1] != value:
        return f"Invalid value for {parameter.opts[-1]}: {value!r} is not a number: did you mean {number[1]}?"
    if value is None or repr(value) in message:
        return message
    return f"{message.removesuffix('.')}, got {value!r}"


def _no_such_command(message: str, word: str, context: Any) -> str:
    """Return `message` with the commands that `word` may mean, including those of other groups."""
    if "Did you mean" in message:
        return message
    from nitido.architectures import architecture_names
    from nitido.study.spec import builtin_names

    root = context.find_root().command
    found = [word] if word in root.commands else []
    for group in root.commands.values():
        commands = getattr(group, "commands", {})
        found += [f"{group.name} {name}" for name in commands if name in (word, _OTHER_WORDS.get(word))]
    if _OTHER_WORDS.get(word) in root.commands:
        found.append(_OTHER_WORDS[word])
    if word == "help":
        found.append("--help")
    if word in builtin_names():
        found.append(f"study run {word}")
    if word in architecture_names():
        found.append(f"train {word}")
    if not found:
        return message
    return f"{message} Did you mean {' or '.join(f'nitido {command}' for command in found)}?"


def _too_many(message: str, words: Sequence[str], arguments: Sequence[str]) -> str:
    """Return `message` with a suggestion for a setting without `--set`, or a list with spaces."""
    if not words or words[0] not in arguments:
        return message
    before = arguments[: arguments.index(words[0])]
    if "=" in words[0]:
        return f"{message}: did you mean --set {words[0]}?"
    if before and "=" in before[-1]:
        joined = ",".join(word.strip(",") for word in (before[-1], *words))
        return f"{message}: several values are joined by commas: {joined}"
    return message


def _value_of(options: Sequence[str], arguments: Sequence[str]) -> str | None:
    """Return the value that follows one of `options` in `arguments`; None if there is none."""
    for place, word in enumerate(arguments):
        name, equals, value = word.partition("=")
        if name in options:
            following = arguments[place + 1] if place + 1 < len(arguments) else "-"
            return value if equals else None if following.startswith("-") else following
    return None
