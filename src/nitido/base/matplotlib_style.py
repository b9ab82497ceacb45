"""Drawing settings that do not depend on the user's matplotlibrc."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import matplotlib

FONT = "DejaVu Sans"
"""The font of all drawings, which matplotlib includes."""


@contextmanager
def default_style() -> Iterator[None]:
    """Use matplotlib's defaults within the context, then restore the user's settings.

    Figures must be saved within the context too. SVG files contain text as text, unparsed (`$` included). The same
    figure gives the same file. Characters that the font lacks are drawn as boxes without a warning.
    """
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph", category=UserWarning)
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(
            {"font.family": FONT, "text.parse_math": False, "svg.fonttype": "none", "svg.hashsalt": "nitido"}
        )
        yield
