"""The training sessions of a run: their steps, times and environments."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import TypeAdapter

_STEPS, _SECONDS, _EARLIER = "steps", "seconds", "earlier"


@dataclass(frozen=True)
class Session:
    """The part of a run that one process trained.

    Attributes:
        environment: Versions, hardware, precision and commit, as `describe_environment` returns them.
        first: How many steps the run had when the session began; None in files of version 0.1, which do not say.
        last: How many steps it had at the session's last checkpoint; None as above.
        seconds: The time from the session's start to that checkpoint; None if it is not known.
    """

    environment: Mapping[str, Any]
    first: int | None = None
    last: int | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Sessions:
    """All training sessions of a run, in order. Recreating files is not a session."""

    sessions: tuple[Session, ...] = ()

    @property
    def seconds(self) -> float:
        """The seconds of all sessions whose time is known."""
        return round(sum(session.seconds or 0.0 for session in self.sessions), 1)

    @property
    def complete(self) -> bool:
        """Whether every step of the run is in one of the sessions; not known of files of version 0.1."""
        ends = [0, *(session.last for session in self.sessions)]
        return bool(self.sessions) and ends[:-1] == [session.first for session in self.sessions]

    @property
    def timed(self) -> bool:
        """Whether `seconds` is the time of every step that the run has."""
        return self.complete and all(session.seconds is not None for session in self.sessions)

    @property
    def steps(self) -> int | None:
        """How many steps the run has in its last checkpoint; None if that is not recorded."""
        return self.sessions[-1].last if self.sessions else None

    def resumed_at(self, step: int) -> "Sessions":
        """Return the sessions that contributed to a checkpoint of `step` steps.

        The time of a session is unknown if its process was killed between checkpoint and record, or if its last
        checkpoint was lost and the steps are trained again.
        """
        kept = [session for session in self.sessions if (session.first or 0) < step]
        if kept and kept[-1].last not in (None, step):
            kept[-1] = replace(kept[-1], last=step, seconds=None)
        return Sessions(tuple(kept))

    def followed_by(self, session: Session) -> "Sessions":
        """Return these sessions followed by `session`."""
        return Sessions((*self.sessions, session))

    def as_json(self) -> dict[str, Any]:
        """Return the contents of `environment.json`: the last session, with the earlier ones in a list."""
        *earlier, last = map(_session_as_json, self.sessions)
        return {**last, _EARLIER: earlier}

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "Sessions":
        """Return the sessions in the content of `environment.json`; one without steps in a file of version 0.1.

        Raises `ValueError` if the content is of another form.
        """
        last = {key: value for key, value in values.items() if key != _EARLIER}
        earlier = _EARLIER_SESSIONS.validate_python(values.get(_EARLIER, []))
        return cls(tuple(map(_session_of, [*earlier, last])))


def _session_as_json(session: Session) -> dict[str, Any]:
    return {**session.environment, _STEPS: [session.first, session.last], _SECONDS: session.seconds}


def _session_of(values: Mapping[str, Any]) -> Session:
    environment = {key: value for key, value in values.items() if key not in (_STEPS, _SECONDS)}
    first, last = _SPAN.validate_python(values.get(_STEPS, (None, None)))
    return Session(environment, first, last, _TIME.validate_python(values.get(_SECONDS)))


_EARLIER_SESSIONS = TypeAdapter(list[dict[str, Any]])
_SPAN = TypeAdapter(tuple[int | None, int | None])
_TIME = TypeAdapter(float | None)


def session_words(sessions: Sequence[Session]) -> str:
    """Say which sessions trained which steps; empty for a run of one session, and where that is not recorded.

    >>> session_words([Session({}, 0, 3303, 54.0), Session({}, 3303, 6000, 47.0)])
    '2 sessions: steps 1–3,303, 3,304–6,000'
    """
    if len(sessions) < 2 or any(session.first is None or session.last is None for session in sessions):
        return ""
    spans = [f"{(session.first or 0) + 1:,}–{session.last:,}" for session in sessions]
    return f"{len(spans)} sessions: steps {', '.join(spans)}"
