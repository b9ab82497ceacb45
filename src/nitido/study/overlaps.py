"""What a study knows of pictures that its training, validation and test sets share: recorded and put into words."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from nitido.data.overlap import Overlap
from nitido.json_files import read_json, write_json

_FILE = "overlaps.json"
_SHOWN = 3


def write_overlaps(out: Path, overlaps: Sequence[Overlap]) -> None:
    """Record the overlaps of the pictures of the study in `out`."""
    write_json(out / _FILE, {"overlaps": [asdict(overlap) for overlap in overlaps]})


def describe_choice(out: Path) -> str:
    """Say by which pictures the study in `out` chose, and what test pictures have to do with it, as far as recorded."""
    chosen = "Each variant's learning rate was chosen on the validation pictures"
    try:
        recorded = read_json(out / _FILE, "run the study again")["overlaps"]
    except FileNotFoundError:
        return f"{chosen}; whether they show the same as test pictures was not recorded."
    found = [Overlap(o["kind"], *(tuple(o[key]) for key in ("roles", "sets", "pictures"))) for o in recorded]
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


def _listed(overlaps: Sequence[Overlap]) -> str:
    more = f"; and {len(overlaps) - _SHOWN} more" if len(overlaps) > _SHOWN else ""
    return "; ".join(map(str, overlaps[:_SHOWN])) + more
