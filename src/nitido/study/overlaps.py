"""Record and describe images shared by the training, validation and test sets of a study."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
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
_SEARCHED = (
    "No test picture has the pixels of a training or validation picture, or was found to look nearly like one. They "
    "were compared as whole pictures: a crop of less than about 80% of another's width or height is not found."
)


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
        "tests_compared": True,
        "pretrained": {name: list(found.unrecorded) for name, found in (learned or {}).items()},
    }
    write_json(out / _FILE, values)


def describe_choice(
    out: Path, pictures: PlannedPictures, *, rates: bool, steps: bool, pretrained: Iterable[str] = ()
) -> str:
    """Say what the validation pictures of the study in `out` chose, and what test pictures have to do with it.

    Only what was recorded of just these `pictures` is said.

    Args:
        out: The study's directory.
        pictures: Its pictures.
        rates: Whether any variant has several learning rates to choose from.
        steps: Whether any run was validated more than once, so that it had a choice of steps.
        pretrained: The models that variants start from.
    """
    what = ["the step whose weights each run kept"] if steps else []
    what += ["each variant's learning rate"] if rates else []
    chosen = f"The validation pictures chose {', and '.join(what) or 'nothing'}"
    if not steps:
        chosen += "; each run was validated once, at its end, and kept those weights"
    record = _read(out / _FILE, pictures)
    if record is None:
        return f"{chosen}; whether they show the same as test pictures was not recorded."
    found = record.overlaps
    of_tests = _of_tests(found)
    if of_tests:
        sentences = [f"{chosen}.", f"Test pictures show nearly the same as others: {_listed(of_tests)}."]
    else:
        sentences = [f"{chosen}; test pictures chose nothing.", _SEARCHED]
    twice = _twice(found)
    if twice:
        sentences.append(f"Test pictures that show the same, or nearly: {_listed(twice)}.")
    elif not record.tests_compared:
        sentences.append("Whether two test pictures show nearly the same was not recorded.")
    learnt = [overlap for overlap in found if overlap.roles == ("train", "validation")]
    if learnt:
        sentences.append(f"Validation pictures show nearly the same as training pictures: {_listed(learnt)}.")
    for model in dict.fromkeys(pretrained):
        for unrecorded in record.learned.get(model, [model]):
            sentences.append(
                f"What {unrecorded} was trained on, from which variants start, is not recorded: test pictures may be "
                "among it."
            )
        if record.learned.get(model) == []:
            sentences.append(
                f"No test picture has the same pixels as one that {model} was trained on or chosen by; similar "
                "pictures were not looked for."
            )
    return " ".join(sentences)


def overlap_caveats(out: Path, pictures: PlannedPictures) -> tuple[str, ...]:
    """Say what the figures of the study in `out` suffer from, as far as overlaps among `pictures` were recorded."""
    record = _read(out / _FILE, pictures)
    found = record.overlaps if record is not None else []
    said = []
    if of_tests := _of_tests(found):
        said.append(
            f"test pictures show nearly the same as pictures that trained or chose ({_listed(of_tests)}): figures may "
            "be too good"
        )
    if twice := [overlap for overlap in _twice(found) if overlap.kind == "near"]:
        said.append(
            f"test pictures show nearly the same as other test pictures ({_listed(twice)}) and count as different "
            "ones: intervals may be too narrow"
        )
    learned = record.learned if record is not None else {}
    if unrecorded := dict.fromkeys(name for names in learned.values() for name in names):
        names = ", ".join(unrecorded)
        said.append(f"what {names} learned, from which variants start, is not recorded: test pictures may be among it")
    return tuple(said)


def _of_tests(found: Sequence[Overlap]) -> list[Overlap]:
    return [overlap for overlap in found if "test" in overlap.roles and overlap.roles != ("test", "test")]


def _twice(found: Sequence[Overlap]) -> list[Overlap]:
    return [overlap for overlap in found if overlap.roles == ("test", "test")]


@dataclass(frozen=True)
class _Record:
    """`tests_compared` tells that test pictures were also compared with each other for being nearly the same.

    `learned` has by model to start from those whose pictures are not recorded.
    """

    overlaps: list[Overlap]
    tests_compared: bool
    learned: dict[str, list[str]]


def _read(path: Path, pictures: PlannedPictures) -> _Record | None:
    """What was found among `pictures`; None if nothing was recorded of them."""
    if not path.exists():
        return None
    way_out = "run the study again, which writes it anew"
    values = read_json(path, way_out)
    try:
        found = _OVERLAPS.validate_python(values.get("overlaps"))
        learned = _LEARNED.validate_python(values.get("pretrained", {}))
    except ValidationError:
        raise DamagedFileError(f"{path} is damaged (no record of overlaps): {way_out}") from None
    known = values.get("pictures") == pictures.digest
    return _Record(found, values.get("tests_compared") is True, learned) if known else None


def _listed(overlaps: Sequence[Overlap]) -> str:
    more = f"; and {len(overlaps) - _SHOWN} more" if len(overlaps) > _SHOWN else ""
    return "; ".join(map(str, overlaps[:_SHOWN])) + more
