"""The report's sentence about test pictures follows from what was found."""

from pathlib import Path

from nitido.data.overlap import Overlap
from nitido.study.overlaps import describe_choice, write_overlaps

CLAIM = "test pictures chose nothing"
LEAK = Overlap("near", ("train", "test"), ("bsds200", "set5"), ("302003", "woman"))
CHOSEN = Overlap("near", ("validation", "test"), ("set14", "set5"), ("face", "head"))
TWICE = Overlap("exact", ("test", "test"), ("set5", "./copy"), ("baby", "baby"))


def test_without_a_record_nothing_is_claimed(tmp_path: Path) -> None:
    assert "not recorded" in describe_choice(tmp_path)
    assert CLAIM not in describe_choice(tmp_path)


def test_disjoint_pictures_are_claimed(tmp_path: Path) -> None:
    write_overlaps(tmp_path, [])
    assert CLAIM in describe_choice(tmp_path)


def test_what_was_found_is_said_in_place_of_the_claim(tmp_path: Path) -> None:
    write_overlaps(tmp_path, [LEAK, CHOSEN])
    words = describe_choice(tmp_path)
    assert CLAIM not in words
    assert "woman of set5 (test) and 302003 of bsds200 (train); head of set5 (test) and face of set14" in words


def test_pictures_in_two_test_sets_are_said(tmp_path: Path) -> None:
    write_overlaps(tmp_path, [TWICE])
    assert "Test sets share pictures: baby of ./copy (test) and baby of set5 (test)." in describe_choice(tmp_path)
    assert CLAIM in describe_choice(tmp_path)
