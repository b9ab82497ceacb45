"""Words that the shell completes: names of models, studies, architectures, datasets, metrics and devices.

Install with `nitido --install-completion`. Each function gets the beginning of a word and returns the words that fit;
typer falls back to file names where there are none.
"""

from collections.abc import Iterable


def _beginning_with(incomplete: str, words: Iterable[str]) -> list[str]:
    return sorted(word for word in words if word.startswith(incomplete))


def model_names(incomplete: str) -> list[str]:
    """Return models that ship with nitido, and `bicubic`."""
    from nitido.models.zoo import zoo_names

    return _beginning_with(incomplete, ["bicubic", *zoo_names()])


def study_names(incomplete: str) -> list[str]:
    """Return built-in studies."""
    from importlib.resources import files

    entries = (files("nitido.study") / "builtin").iterdir()
    return _beginning_with(incomplete, (e.name.removesuffix(".yaml") for e in entries if e.name.endswith(".yaml")))


def architecture_names(incomplete: str) -> list[str]:
    """Return network families."""
    from nitido.architectures import architecture_names

    return _beginning_with(incomplete, architecture_names())


def dataset_names(incomplete: str) -> list[str]:
    """Return datasets of the catalog."""
    from nitido.data import DATASETS

    return _beginning_with(incomplete, DATASETS)


def metric_names(incomplete: str) -> list[str]:
    """Return metrics, and `all`."""
    from nitido.evaluation.metrics import METRICS

    return _beginning_with(incomplete, ["all", *METRICS])


def device_names(incomplete: str) -> list[str]:
    """Return `auto` and the devices of this machine."""
    from nitido.base.device import AUTO, available_devices

    return _beginning_with(incomplete, [AUTO, *available_devices()])
