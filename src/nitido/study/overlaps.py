"""What a study knows of pictures that its training, validation and test sets share: recorded and put into words."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from nitido.base.json_files import DamagedFileError, read_json, write_json
from nitido.data.overlap import Overlap
from nitido.models.model_file import LearnedPictures
from nitido.study.identity import PlannedPictures

_FILE = "overlaps.json"
_SHOWN = 3
_OVERLAPS = TypeAdapter(list[Overlap])
_LEARNED = TypeAdapter(dict[str, list[str]])


def write_overlaps(
    out: Path,
    overlaps: Sequence[Overlap],
    pictures: PlannedPictures,
    learned: Mapping[str, LearnedPictures] | None = None,
) -> None:
    """Record the overlaps that were found among `pictures`, those of the study in `out`.

    `learned` is by name what the models that variants start from have learned, of which nothing is held out.
    """
    values = {
        "pictures": pictures.digest,
        "overlaps": [asdict(overlap) for overlap in overlaps],
        "pretrained": {name: list(found.unrecorded) for name, found in (learned or {}).items()},
    }
    write_json(out / _FILE, values)


def describe_choice(out: Path, pictures: PlannedPictures, *, rates: bool, pretrained: Iterable[str] = ()) -> str:
    """Say what the validation pictures of the study in `out` chose, and what test pictures have to do with it.

    Only what was recorded of just these `pictures` is said. `rates` tells whether any variant has several learning
    rates; without them validation chose the steps alone. `pretrained` are the models that variants start from.
    """
    chosen = "The validation pictures chose the step whose weights each run kept"
    if rates:
        chosen += ", and each variant's learning rate"
    recorded = _read(out / _FILE, pictures)
    if recorded is None:
        return f"{chosen}; whether they show the same as test pictures was not recorded."
    found, learned = recorded
    of_tests = [overlap for overlap in found if "test" in overlap.roles and overlap.roles != ("test", "test")]
    if of_tests:
        sentences = [f"{chosen}.", f"Test pictures show nearly the same as others: {_listed(of_tests)}."]
    else:
        sentences = [
            f"{chosen}; test pictures chose nothing, and none of them is, or nearly is, a training or validation "
            "picture."
        ]
    twice = [overlap for overlap in found if overlap.roles == ("test", "test")]
    if twice:
        sentences.append(f"Test sets share pictures: {_listed(twice)}.")
    learnt = [overlap for overlap in found if overlap.roles == ("train", "validation")]
    if learnt:
        sentences.append(f"Validation pictures show nearly the same as training pictures: {_listed(learnt)}.")
    for model in dict.fromkeys(pretrained):
        for unrecorded in learned.get(model, [model]):
            sentences.append(
                f"What {unrecorded} was trained on, from which variants start, is not recorded: test pictures may be "
                "among it."
            )
        if learned.get(model) == []:
            sentences.append(
                f"No test picture has the same pixels as one that {model} was trained on or chosen by; similar "
                "pictures were not looked for."
            )
    return " ".join(sentences)


def _read(path: Path, pictures: PlannedPictures) -> tuple[list[Overlap], dict[str, list[str]]] | None:
    """What was found among `pictures`, and by model to start from those whose pictures are not recorded.

    None if nothing was recorded of these `pictures`.
    """
    if not path.exists():
        return None
    way_out = "run the study again, which writes it anew"
    values = read_json(path, way_out)
    try:
        found = _OVERLAPS.validate_python(values.get("overlaps"))
        learned = _LEARNED.validate_python(values.get("pretrained", {}))
    except ValidationError:
        raise DamagedFileError(f"{path} is damaged (no record of overlaps): {way_out}") from None
    return (found, learned) if values.get("pictures") == pictures.digest else None


def _listed(overlaps: Sequence[Overlap]) -> str:
    more = f"; and {len(overlaps) - _SHOWN} more" if len(overlaps) > _SHOWN else ""
    return "; ".join(map(str, overlaps[:_SHOWN])) + more
