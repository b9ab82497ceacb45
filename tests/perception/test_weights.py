"""Weights against a real server on this machine: whole, verified, or a helpful refusal."""

import hashlib
import shutil
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from nitido.perception import PerceptionError
from nitido.perception.vgg19 import WEIGHTS, vgg19
from nitido.perception.weights import WeightsFile, locate

CONTENT = bytes(range(256)) * 4000


@dataclass
class Server:
    url: str
    folder: Path
    drops: int = 0  # how many of the next replies break off half way
    asked: int = 0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    folder = tmp_path / "served"
    folder.mkdir()

    class Handler(SimpleHTTPRequestHandler):
        def copyfile(self, source: BinaryIO, outputfile: BinaryIO) -> None:
            state.asked += 1
            content = source.read()
            if state.drops:
                state.drops -= 1
                content = content[: len(content) // 2]
            outputfile.write(content)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder))) as http:
        state = Server(f"http://127.0.0.1:{http.server_address[1]}", folder)
        thread = threading.Thread(target=http.serve_forever, args=(0.01,))
        thread.start()
        yield state
        http.shutdown()
        thread.join()


@pytest.fixture
def weights(server: Server) -> WeightsFile:
    """A small file on the server."""
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    name = f"net-{sha256[:8]}.pth"
    (server.folder / name).write_bytes(CONTENT)
    return WeightsFile("vgg19", f"{server.url}/{name}", sha256)


@pytest.fixture
def nowhere() -> str:
    """Return a URL without a server."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{closed.getsockname()[1]}"


def _files(weights: WeightsFile) -> list[str]:
    return [path.name for path in weights.path.parent.iterdir()]


def test_the_url_is_torchvisions_and_contains_the_hash() -> None:
    models = pytest.importorskip("torchvision.models")
    assert models.VGG19_Weights.IMAGENET1K_V1.url == WEIGHTS.url
    assert WEIGHTS.name == f"vgg19-{WEIGHTS.sha256[:8]}.pth"


def test_weights_are_downloaded_once(weights: WeightsFile, server: Server) -> None:
    assert locate(weights).read_bytes() == CONTENT
    assert locate(weights) == weights.path
    assert server.asked == 1
    assert _files(weights) == [weights.name]


def test_the_backbone_downloads_its_weights(vgg19_file: Any, server: Server) -> None:
    shutil.copy(vgg19_file.file, server.folder)
    weights = WeightsFile("vgg19", f"{server.url}/{vgg19_file.file.name}", vgg19_file.sha256)
    first = next(vgg19(["conv1_1"], weights).parameters())
    assert first.equal(vgg19_file.features[0].weight)


def test_a_file_with_another_hash_is_refused(weights: WeightsFile, server: Server) -> None:
    (server.folder / weights.name).write_bytes(CONTENT[::-1])
    with pytest.raises(PerceptionError, match="sha256"):
        locate(weights)
    assert _files(weights) == []


def test_a_broken_connection_is_resumed(weights: WeightsFile, server: Server) -> None:
    server.drops = 1
    assert locate(weights).read_bytes() == CONTENT


def test_an_interrupted_download_leaves_no_partial_file(weights: WeightsFile, server: Server) -> None:
    server.drops = 99
    with pytest.raises(PerceptionError, match="the connection was lost"):
        locate(weights)
    assert weights.name not in _files(weights)
    server.drops = 0
    assert locate(weights).read_bytes() == CONTENT


def test_offline_the_error_says_what_to_do(nowhere: str, tmp_path: Path) -> None:
    weights = WeightsFile("vgg19", f"{nowhere}/vgg19-00000000.pth", "0" * 64)
    with pytest.raises(PerceptionError) as caught:
        locate(weights)
    message = str(caught.value)
    assert "\n" not in message
    for part in ("vgg19", weights.url, str(tmp_path / "cache" / "weights"), "copy ", "efficientnet_lite0"):
        assert part in message


def test_a_manually_copied_file_needs_no_network(weights: WeightsFile, server: Server, nowhere: str) -> None:
    weights.path.parent.mkdir(parents=True)
    shutil.copy(server.folder / weights.name, weights.path)
    offline = WeightsFile(weights.owner, f"{nowhere}/{weights.name}", weights.sha256)
    assert locate(offline) == weights.path


def test_the_file_of_torch_hub_is_used_if_it_is_right(
    weights: WeightsFile, server: Server, nowhere: str, tmp_path: Path
) -> None:
    hub = tmp_path / "torch" / "hub" / "checkpoints" / weights.name
    hub.parent.mkdir(parents=True)
    shutil.copy(server.folder / weights.name, hub)
    offline = WeightsFile(weights.owner, f"{nowhere}/{weights.name}", weights.sha256)
    assert locate(offline) == hub
    hub.write_bytes(CONTENT[:-1])
    with pytest.raises(PerceptionError, match="no connection"):
        locate(offline)
    assert locate(weights) == weights.path
