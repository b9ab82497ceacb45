"""Addresses in the repository: every host is known, so that no link leads to an unknown site."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

SCHEME = re.compile(r"(?:\b(?:https?|git|ssh|ftp)://|\bgit@)(?:[\w.-]+@)?([A-Za-z0-9.-]+)([^\s\"'<>)`\\]*)")
BARE = re.compile(r"(?<![\w./-])(?:github|gitlab)\.(?:com|io)[:/][\w.-]+/[\w.-]+")

HOSTS = {
    # images and weights that nitido downloads
    "data.vision.ee.ethz.ch",
    "download.pytorch.org",
    "huggingface.co",
    "www.ifp.illinois.edu",
    "www2.eecs.berkeley.edu",
    # the sample images
    "r0k.us",
    # where the images come from that shipped models were trained on
    "commons.wikimedia.org",
    "git.mate-desktop.org",
    "gitlab.com",
    "invent.kde.org",
    "packages.debian.org",
    # names of formats
    "ns.adobe.com",
    "ns.apple.com",
    "ns.google.com",
    "purl.org",
    "www.debian.org",
    "www.w3.org",
}

REPOSITORIES = {"github.com/facebookincubator/submitit", "github.com/libvips/libvips", "gitlab.com/ubports/development"}
"""Those of hosts where anybody can have one."""

RESERVED = re.compile(
    r"[\w-]*|127\.[\d.]*|0\.0\.0\.0|([\w-]+\.)*(example|invalid|test|localhost)|([\w-]+\.)?example\.(org|com|net)\.?"
)
"""Names that nobody can own (RFC 2606, RFC 6761): tests use them, and templates whose host is filled in."""


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, check=True).stdout
    return [ROOT / name for name in listed.decode().split("\0") if name]


def strange(text: str) -> list[str]:
    """The addresses in `text` whose host or repository is not known."""
    found = []
    for match in SCHEME.finditer(text):
        host, rest = match[1].rstrip(".").lower(), match[2]
        shared = host in ("github.com", "gitlab.com")
        repository = "/".join([host, *rest.strip(":/").split("/")[:2]])
        if not (RESERVED.fullmatch(host) or (repository in REPOSITORIES if shared else host in HOSTS)):
            found.append(match[0])
    bare = (match[0] for match in BARE.finditer(text))
    return found + [address for address in bare if address.replace(":", "/") not in REPOSITORIES]


@pytest.mark.skipif(shutil.which("git") is None or not (ROOT / ".git").exists(), reason="not a checkout")
def test_all_addresses_are_known() -> None:
    files = [path for path in tracked() if path != Path(__file__) and path.is_file()]
    assert len(files) > 200
    texts = {path: path.read_bytes() for path in files}
    texts = {path: content.decode(errors="replace") for path, content in texts.items() if b"\0" not in content}
    assert {str(path.relative_to(ROOT)): found for path, text in texts.items() if (found := strange(text))} == {}


@pytest.mark.parametrize(
    "text",
    [
        "git+https://github.com/nitido/nitido",
        "https://github.com/nitido/nitido.git",
        "git@github.com:nitido/nitido.git",
        "see github.com/nitido/nitido",
        "[docs](https://nitido.readthedocs.io/en/latest)",
        "https://nitido.dev",
        "http://user@nitido.org/x",
        "ssh://git@gitlab.com/nitido/nitido",
        "https://example.org.evil.com/",
    ],
)
def test_an_invented_address_is_found(text: str) -> None:
    assert strange(text)


@pytest.mark.parametrize(
    "text",
    [
        "https://example.org/wiki/File:A.jpg",
        "http://127.0.0.1:{port}/x",
        "http://localhost/{name}",
        "https://b\n",
        "https://{host}/x",
        "https://commons.wikimedia.org/wiki/File:A.jpg",
        "(github.com/libvips/libvips/issues/4518)",
        "nothing at all",
    ],
)
def test_known_and_reserved_names_pass(text: str) -> None:
    assert not strange(text)
