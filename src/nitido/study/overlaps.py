"""Record and describe images shared by the training, validation and test sets of a study."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from nitido.base.json_files import DamagedFileError, read_json, write_json
from nitido.data.overlap import Overlap
from nitido.models.model_file import LearnedImages
from nitido.study.identity import PlannedImages

_FILE = "overlaps.json"
_SHOWN = 3
_OVERLAPS = TypeAdapter(list[Overlap])
_LEARNED = TypeAdapter(dict[str, list[str]])
_SEARCHED = (
    "No test image has the same pixels as a training or validation image, and no near duplicate was found. Whole "
    "images were compared: a crop of less than about 80% of the width or height of another image is not found."
)


def write_overlaps(
    out: Path,
    overlaps: Sequence[Overlap],
    images: PlannedImages,
    learned: Mapping[str, LearnedImages] | None = None,
) -> None:
    """Record the overlaps among `images`, the images of the study in `out`.

    `learned` maps the name of each model that variants start from to the images that it was trained on.
    """
    values = {
        "pictures": images.digest,
        "overlaps": [asdict(overlap) for overlap in overlaps],
        "tests_compared": True,
        "pretrained": {name: list(found.unrecorded) for name, found in (learned or {}).items()},
    }
    write_json(out / _FILE, values)


def describe_choice(
    out: Path, images: PlannedImages, *, rates: bool, steps: bool, pretrained: Iterable[str] = ()
) -> str:
    """Describe what was chosen on the validation images of the study in `out`, and their overlap with test images.

    Only records of exactly these `images` are used.

    Args:
        out: The directory of the study.
        images: Its images.
        rates: Whether any variant has several learning rates to choose from.
        steps: Whether any run was validated more than once, so that there are several steps to choose from.
        pretrained: The models that variants start from.
    """
    what = ["the best step of each run"] if steps else []
    what += ["the learning rate of each variant"] if rates else []
    chosen = f"Chosen on validation images: {' and '.join(what) or 'nothing'}."
    if not steps:
        chosen += " Each run was validated once, at its end, and kept its final weights."
    record = _read(out / _FILE, images)
    if record is None:
        return f"{chosen} Whether they overlap with test images was not recorded."
    found = record.overlaps
    of_tests = _of_tests(found)
    if of_tests:
        sentences = [chosen, f"Test images are near duplicates of others: {_listed(of_tests)}."]
    else:
        sentences = [chosen, "Nothing was chosen on test images.", _SEARCHED]
    twice = _twice(found)
    if twice:
        sentences.append(f"Duplicates or near duplicates among the test images: {_listed(twice)}.")
    elif not record.tests_compared:
        sentences.append("Near duplicates among the test images were not searched for.")
    learned = [overlap for overlap in found if overlap.roles == ("train", "validation")]
    if learned:
        sentences.append(f"Validation images are near duplicates of training images: {_listed(learned)}.")
    for model in dict.fromkeys(pretrained):
        for unrecorded in record.learned.get(model, [model]):
            sentences.append(
                f"The training images of {unrecorded}, from which variants start, are not recorded: they may include "
                "test images."
            )
        if record.learned.get(model) == []:
            sentences.append(
                f"No test image has the same pixels as a training or validation image of {model}; near duplicates were "
                "not searched for."
            )
    return " ".join(sentences)


def overlap_caveats(out: Path, images: PlannedImages) -> tuple[str, ...]:
    """Return the caveats of the study in `out` that follow from recorded overlaps among `images`."""
    record = _read(out / _FILE, images)
    found = record.overlaps if record is not None else []
    said = []
    if of_tests := _of_tests(found):
        said.append(
            f"test images are near duplicates of training or validation images ({_listed(of_tests)}): results may be "
            "too good"
        )
    if twice := [overlap for overlap in _twice(found) if overlap.kind == "near"]:
        said.append(
            f"near duplicates among the test images ({_listed(twice)}) count as different images: intervals may be too "
            "narrow"
        )
    learned = record.learned if record is not None else {}
    if unrecorded := dict.fromkeys(name for names in learned.values() for name in names):
        names = ", ".join(unrecorded)
        said.append(
            f"the training images of {names}, from which variants start, are not recorded: they may include test images"
        )
    return tuple(said)


def _of_tests(found: Sequence[Overlap]) -> list[Overlap]:
    return [overlap for overlap in found if "test" in overlap.roles and overlap.roles != ("test", "test")]


def _twice(found: Sequence[Overlap]) -> list[Overlap]:
    return [overlap for overlap in found if overlap.roles == ("test", "test")]


@dataclass(frozen=True)
class _Record:
    """The contents of `overlaps.json`.

    Attributes:
        overlaps: Duplicates and near duplicates.
        tests_compared: Whether near duplicates were also searched for among the test images.
        learned: For each model to start from, the models whose training images are not recorded.
    """

    overlaps: list[Overlap]
    tests_compared: bool
    learned: dict[str, list[str]]


def _read(path: Path, images: PlannedImages) -> _Record | None:
    """Return the record of `images`; None if there is none."""
    if not path.exists():
        return None
    remedy = "run the study again to recreate it"
    values = read_json(path, remedy)
    try:
        found = _OVERLAPS.validate_python(values.get("overlaps"))
        learned = _LEARNED.validate_python(values.get("pretrained", {}))
    except ValidationError:
        raise DamagedFileError(f"{path} is damaged (no record of overlaps): {remedy}") from None
    known = values.get("pictures") == images.digest
    return _Record(found, values.get("tests_compared") is True, learned) if known else None


def _listed(overlaps: Sequence[Overlap]) -> str:
    more = f"; and {len(overlaps) - _SHOWN} more" if len(overlaps) > _SHOWN else ""
    return "; ".join(map(str, overlaps[:_SHOWN])) + more
