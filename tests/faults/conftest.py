"""Jobs in a folder of their own."""

from pathlib import Path

import pytest

from tests.faults.jobs import Job, Make
from tests.forked import ForkServer
from tests.forked.images import make_images


@pytest.fixture
def make(fork_server: ForkServer, tmp_path: Path) -> Make:
    make_images(tmp_path / "images")
    # Without Graphviz: its files are written like all others, and it takes most of a tiny run's time.
    environment = {"NITIDO_CACHE": str(tmp_path / "work" / "cache"), "NITIDO_DATA": str(tmp_path / "data"), "PATH": ""}

    def make(*args: object) -> Job:
        return Job(fork_server, args, tmp_path / "work", tmp_path / "copies", environment)

    return make
