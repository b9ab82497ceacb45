"""The report's sentence about test images follows from what was found."""

from pathlib import Path
from typing import Any

import pytest

from nitido.base.json_files import DamagedFileError, write_json
from nitido.data.overlap import Overlap
from nitido.models.model_file import LearnedImages
from nitido.study.identity import ImageRecord, PlannedImages
from nitido.study.overlaps import describe_choice, overlap_caveats, write_overlaps

IMAGES, OTHERS = (
    PlannedImages(
        train=(ImageRecord(name="a", sha256=train),),
        validation=(ImageRecord(name="b", sha256="2"),),
        test={"./test": (ImageRecord(name="c", sha256="3"),)},
    )
    for train in ("1", "4")
)
CLAIM = "Nothing was chosen on test images"
LEAK = Overlap("near", ("train", "test"), ("bsds200", "set5"), ("302003", "woman"))
CHOSEN = Overlap("near", ("validation", "test"), ("set14", "set5"), ("face", "head"))
TWICE = Overlap("exact", ("test", "test"), ("set5", "./copy"), ("baby", "baby"))


def test_without_a_record_nothing_is_claimed(tmp_path: Path) -> None:
    assert "not recorded" in describe_choice(tmp_path, IMAGES, rates=True, steps=True)
    assert CLAIM not in describe_choice(tmp_path, IMAGES, rates=True, steps=True)


def test_disjoint_images_are_claimed(tmp_path: Path) -> None:
    write_overlaps(tmp_path, [], IMAGES)
    assert CLAIM in describe_choice(tmp_path, IMAGES, rates=True, steps=True)


def test_overlaps_replace_the_claim(tmp_path: Path) -> None:
    write_overlaps(tmp_path, [LEAK, CHOSEN], IMAGES)
    words = describe_choice(tmp_path, IMAGES, rates=True, steps=True)
    assert CLAIM not in words
    assert "woman of set5 (test) and 302003 of bsds200 (train); head of set5 (test) and face of set14" in words


def test_images_in_two_test_sets_are_reported(tmp_path: Path) -> None:
    write_overlaps(tmp_path, [TWICE], IMAGES)
    assert (
        "Duplicates or near duplicates among the test images: baby of ./copy (test) and baby of set5 (test)."
        in describe_choice(tmp_path, IMAGES, rates=True, steps=True)
    )
    assert CLAIM in describe_choice(tmp_path, IMAGES, rates=True, steps=True)


def test_a_record_of_other_images_is_ignored(tmp_path: Path) -> None:
    """As after a kill between the two files, or with one of them from a backup."""
    write_overlaps(tmp_path, [], OTHERS)
    words = describe_choice(tmp_path, IMAGES, rates=True, steps=True)
    assert "not recorded" in words
    assert CLAIM not in words


def test_one_learning_rate_is_not_called_a_choice(tmp_path: Path) -> None:
    write_overlaps(tmp_path, [], IMAGES)
    assert "learning rate" not in describe_choice(tmp_path, IMAGES, rates=False, steps=True)
    assert "the learning rate of each variant" in describe_choice(tmp_path, IMAGES, rates=True, steps=True)


@pytest.mark.parametrize("found", [None, 3, [{}], [{"kind": "near"}]])
def test_a_record_of_something_else_is_damaged(tmp_path: Path, found: Any) -> None:
    write_json(tmp_path / "overlaps.json", {"pictures": IMAGES.digest, "overlaps": found})
    with pytest.raises(DamagedFileError, match=r"overlaps.json is damaged .*run the study again"):
        describe_choice(tmp_path, IMAGES, rates=True, steps=True)


def test_training_images_of_pretrained_models_are_reported(tmp_path: Path) -> None:
    learned = {
        "./known": LearnedImages(train=("1",), validation=("2",)),
        "./warm": LearnedImages(train=("1",), unrecorded=("edsr-x2",)),
    }
    write_overlaps(tmp_path, [], IMAGES, learned)
    words = describe_choice(tmp_path, IMAGES, rates=True, steps=True, pretrained=["./known", "./warm", "./later"])
    assert "No test image has the same pixels as a training or validation image of ./known" in words
    assert "The training images of edsr-x2, from which variants start, are not recorded" in words
    assert "The training images of ./later, from which variants start, are not recorded" in words
    assert "validation image of ./warm" not in words
    assert overlap_caveats(tmp_path, IMAGES) == (
        "the training images of edsr-x2, from which variants start, are not recorded: they may include test images",
    )


def test_a_record_of_version_0_1_says_nothing_of_models_to_start_from(tmp_path: Path) -> None:
    write_json(tmp_path / "overlaps.json", {"pictures": IMAGES.digest, "overlaps": []})
    words = describe_choice(tmp_path, IMAGES, rates=True, steps=True, pretrained=["./warm"])
    assert "The training images of ./warm, from which variants start, are not recorded" in words


def test_the_claim_names_how_images_were_compared(tmp_path: Path) -> None:
    write_overlaps(tmp_path, [], IMAGES)
    words = describe_choice(tmp_path, IMAGES, rates=True, steps=True)
    assert "Whole images were compared: a crop of less than about 80%" in words


def test_a_single_validation_chose_no_step(tmp_path: Path) -> None:
    write_overlaps(tmp_path, [], IMAGES)
    words = describe_choice(tmp_path, IMAGES, rates=False, steps=False)
    assert words.startswith("Chosen on validation images: nothing. Each run was validated once, at its end, and kept")
    words = describe_choice(tmp_path, IMAGES, rates=True, steps=False)
    assert words.startswith(
        "Chosen on validation images: the learning rate of each variant. Each run was validated once"
    )


def test_what_makes_figures_doubtful_is_a_caveat(tmp_path: Path) -> None:
    assert overlap_caveats(tmp_path, IMAGES) == ()
    near = Overlap("near", ("test", "test"), ("./test", "./test"), ("a", "a.jpg"))
    write_overlaps(tmp_path, [LEAK, near, TWICE], IMAGES)
    leak, twice = overlap_caveats(tmp_path, IMAGES)
    assert leak == (
        "test images are near duplicates of training or validation images (woman of set5 (test) and 302003 of "
        "bsds200 (train)): results may be too good"
    )
    assert "(a.jpg of ./test (test) and a of ./test (test)) count as different images" in twice
    assert overlap_caveats(tmp_path, OTHERS) == ()


def test_a_record_of_an_earlier_version_says_nothing_of_tests_among_each_other(tmp_path: Path) -> None:
    write_json(tmp_path / "overlaps.json", {"pictures": IMAGES.digest, "overlaps": []})
    words = describe_choice(tmp_path, IMAGES, rates=True, steps=True)
    assert "Near duplicates among the test images were not searched for." in words
