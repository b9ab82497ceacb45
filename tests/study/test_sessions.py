"""Which session trained which steps, also where processes are killed and checkpoints are lost."""

import pytest

from nitido.base.json_files import DamagedFileError, write_json
from nitido.study.run_directory import RunDirectory, Status
from nitido.study.sessions import Session, Sessions, session_words

HERE, THERE = {"processor": "here", "packages": {}}, {"processor": "there", "packages": {}}
FIRST, SECOND = Session(HERE, 0, 30, 3.0), Session(THERE, 30, 50, 2.5)


def test_two_sessions_are_read_back(tmp_path) -> None:
    sessions = Sessions((FIRST,)).followed_by(SECOND)
    directory = RunDirectory(tmp_path)
    directory.write_sessions(sessions)
    assert directory.read_sessions() == sessions
    assert (sessions.seconds, sessions.timed, sessions.steps) == (5.5, True, 50)
    environment = directory.read_environment()
    assert environment is not None
    assert environment["processor"] == "there"
    assert session_words(sessions.sessions) == "2 sessions: steps 1–30, 31–50"


@pytest.mark.parametrize(
    ("step", "kept", "timed"),
    [
        (50, [(0, 30, 3.0), (30, 50, 2.5)], True),
        (30, [(0, 30, 3.0)], True),  # the second was killed before its first checkpoint, or lost them
        (40, [(0, 30, 3.0), (30, 40, None)], False),  # an earlier checkpoint is all that is left
        (20, [(0, 20, None)], False),
        (60, [(0, 30, 3.0), (30, 60, None)], False),  # killed between a checkpoint and the record of it
        (0, [], False),  # trained from the start again
    ],
)
def test_what_is_left_of_the_sessions_where_a_run_resumes(step: int, kept: list[object], timed: bool) -> None:
    left = Sessions((FIRST, SECOND)).resumed_at(step)
    assert [(session.first, session.last, session.seconds) for session in left.sessions] == kept
    assert left.timed == timed


def test_a_gap_is_not_taken_for_the_whole_run() -> None:
    assert not Sessions((SECOND,)).complete
    assert not Sessions().complete
    assert not Sessions((FIRST, Session(THERE, 40, 50, 2.5))).complete


def test_a_directory_of_version_0_1_tells_the_last_session(tmp_path) -> None:
    directory = RunDirectory(tmp_path)
    write_json(directory.environment, HERE)
    assert directory.read_sessions().sessions == (Session(HERE),)
    directory.write_status(Status("finished", 30, 20, 7.5))
    (only,) = directory.read_sessions().sessions
    assert (only.environment, only.seconds) == (HERE, 7.5)
    assert not directory.read_sessions().timed
    assert directory.read_sessions().resumed_at(30) == directory.read_sessions()


@pytest.mark.parametrize("changed", [{"steps": 3}, {"steps": [0]}, {"earlier": 3}, {"earlier": [3]}, {"seconds": "x"}])
def test_what_is_no_session_is_one_line(tmp_path, changed: dict[str, object]) -> None:
    directory = RunDirectory(tmp_path)
    write_json(directory.environment, {**HERE, **changed})
    with pytest.raises(DamagedFileError, match=r"environment.json is damaged \(not the sessions of a run\): remove it"):
        directory.read_sessions()
