"""Make one input of the fuzz test again and run it: `python -m tests.fuzz.replay TARGET INDEX [SEED]`."""

import os
import random
import sys
import tempfile
from pathlib import Path

from tests.fuzz import corpus, targets


def main(name: str, index: int, seed: int) -> None:
    """Leave the input in a new folder and print how its commands end."""
    folder = Path(tempfile.mkdtemp(prefix="nitido-fuzz-"))
    os.environ |= {"NITIDO_CACHE": str(folder / "corpus" / "cache"), "NITIDO_DATA": str(folder / "data"), "PATH": ""}
    (folder / "corpus").mkdir()
    corpus.build(str(folder / "corpus"))
    os.environ["NITIDO_CACHE"] = str(folder / "work" / "cache")
    generator = random.Random(f"{seed}/{name}/{index}")
    file, given = targets.place_input(name, generator, folder / "corpus", folder / "work")
    print(f"{file}, damaged: {given}")
    for arguments in targets.TARGETS[name].commands(given):
        print("nitido", *arguments)
        print(*targets.run_command(arguments), sep="\n")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 16)
