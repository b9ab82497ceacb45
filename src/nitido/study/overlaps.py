"""What a study knows of pictures that its training, validation and test sets share: recorded and put into words."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from nitido.base.json_files import DamagedFileError, read_json, write_json
from nitido.data.overlap import Overlap
from nitido.study.identity import PlannedPictures

_FILE = "overlaps.json"
_SHOWN = 3
_OVERLAPS = TypeAdapter(list[Overlap])


def write_overlaps(out: Path, overlaps: Sequence[Overlap], pictures: PlannedPictures) -> None:
    """Record the overlaps that were found among `pictures`, those of the study in `out`."""
    write_json(out / _FILE, {"pictures": pictures.digest, "overlaps": [asdict(overlap) for overlap in overlaps]})


def describe_choice(out: Path, pictures: PlannedPictures, *, rates: bool) -> str:
    """Say what the validation pictures of the study in `out` chose, and what test pictures have to do with it.

    Only what was recorded of just these `pictures` is said. `rates` tells whether any variant has several learning
    rates; without them validation chose the steps alone.
    """
    chosen = "The validation pictures chose the step whose weights each run kept"
    if rates:
        chosen += ", and each variant's learning rate"
    found = _read(out / _FILE, pictures)
    if found is None:
        return f"{chosen}; whether they show the same as test pictures was not recorded."
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
    return " ".join(sentences)


def _read(path: Path, pictures: PlannedPictures) -> list[Overlap] | None:
    """What was found among `pictures`; None if nothing was recorded of them."""
    if not path.exists():
        return None
    way_out = "run the study again, which writes it anew"
    values = read_json(path, way_out)
    try:
        found = _OVERLAPS.validate_python(values.get("overlaps"))
    except ValidationError:
        raise DamagedFileError(f"{path} is damaged (no record of overlaps): {way_out}") from None
    return found if values.get("pictures") == pictures.digest else None


def _listed(overlaps: Sequence[Overlap]) -> str:
    more = f"; and {len(overlaps) - _SHOWN} more" if len(overlaps) > _SHOWN else ""
    return "; ".join(map(str, overlaps[:_SHOWN])) + more
