"""Errors of studies."""

from nitido.base.errors import NitidoError


class StudyError(NitidoError):
    """A study cannot be read, resolved or continued."""
