"""Silence Lightning's messages; nitido prints what matters."""

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from lightning.pytorch.profilers import PassThroughProfiler

_NOTHING = nullcontext()


class NoProfiler(PassThroughProfiler):
    """Lightning's profiler that measures nothing, without a generator for each of the fifty hooks of a step."""

    def profile(self, action_name: str) -> AbstractContextManager[None]:  # type: ignore[override]
        """Return a context that does nothing."""
        return _NOTHING


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Silence Lightning's information lines and the warnings that do not apply to nitido's deterministic streams.

    TensorBoard writes in a thread of its own, whose errors are raised again in the training: not printed twice.
    """
    logger = logging.getLogger("lightning.pytorch")
    level, excepthook = logger.level, threading.excepthook
    logger.setLevel(logging.ERROR)
    threading.excepthook = lambda args: None if args.exc_type is OSError else excepthook(args)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=UserWarning, module="lightning")
            warnings.filterwarnings("ignore", category=FutureWarning, module="lightning")
            yield
    finally:
        threading.excepthook = excepthook
        logger.setLevel(level)
