"""How a study is shown: pictures and one web page, made from arrays, numbers and the leaderboard alone."""

from nitido.base.errors import NitidoError

BICUBIC = "bicubic"
"""The name under which bicubic interpolation stands in the leaderboard."""


class ReportError(NitidoError):
    """Something cannot be shown: nothing to draw, or pictures that do not belong together."""
