"""Tests that activities reach the listener of the context in order and always end."""

import threading

import pytest

from nitido.base.activity import Activity, activity, announced, listening


class Recorder:
    def __init__(self) -> None:
        self.events: list[tuple[str, str, int]] = []

    def activity_began(self, activity: Activity) -> None:
        self.events.append(("began", activity.text, activity.done))

    def activity_advanced(self, activity: Activity) -> None:
        self.events.append(("advanced", activity.text, activity.done))

    def activity_ended(self, activity: Activity) -> None:
        self.events.append(("ended", activity.text, activity.done))


def test_an_activity_begins_advances_and_ends() -> None:
    recorder = Recorder()
    with listening(recorder), activity("evaluating"):
        assert list(announced(["a", "b"], "decoding")) == ["a", "b"]
    assert recorder.events == [
        ("began", "evaluating", 0),
        ("began", "decoding", 0),
        ("advanced", "decoding", 1),
        ("advanced", "decoding", 2),
        ("ended", "decoding", 2),
        ("ended", "evaluating", 0),
    ]


def test_an_activity_ends_by_an_exception_and_the_listener_leaves_with_its_block() -> None:
    recorder = Recorder()
    with listening(recorder):
        with pytest.raises(ValueError, match="bad"), activity("decoding"):
            raise ValueError("bad")
        thread = threading.Thread(target=lambda: list(announced([1], "in another thread")))
        thread.start()
        thread.join()
    with activity("without a listener"):
        pass
    assert recorder.events == [("began", "decoding", 0), ("ended", "decoding", 0)]
