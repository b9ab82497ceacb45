"""The settings that nitido draws with, whatever the user's matplotlibrc says."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import matplotlib

FONT = "DejaVu Sans"
"""The font of all drawings; it comes with matplotlib."""


@contextmanager
def default_style() -> Iterator[None]:
    """Draw with matplotlib's own defaults, and restore the user's settings after; figures are saved inside too.

    Text stays text in SVG files and is shown as it is, `$` included; the same figure gives the same file.
    Letters that the font lacks are drawn as boxes, without a warning.
    """
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph", category=UserWarning)
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(
            {"font.family": FONT, "text.parse_math": False, "svg.fonttype": "none", "svg.hashsalt": "nitido"}
        )
        yield
