"""Run many short nitido processes quickly: each is forked from one process that has imported everything.

Starting Python with PyTorch takes seconds; a fork takes milliseconds and is as separate: it can be killed, can crash
or exceed its memory, and leaves nothing in the tests' own process.
"""

from tests.forked.client import Ended, ForkServer

__all__ = ["Ended", "ForkServer"]
