"""Draw the figures and the web page of a study from arrays, numbers and the leaderboard; loads no model."""

from nitido.base.errors import NitidoError

BICUBIC = "bicubic"
"""Name of bicubic interpolation in the leaderboard."""

GROUND_TRUTH = "HR"
"""Name of the original in figures and in the viewer."""


class ReportError(NitidoError):
    """There is nothing to draw, or the images do not belong together."""
