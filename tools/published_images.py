"""Record the content hashes of the published test sets: `python -m tools.published_images`.

Reads the sets from the data folder ($NITIDO_DATA) and writes src/nitido/data/published_images.json. Run it only with
images that were verified otherwise: tests compare the sets with MATLAB's output.
"""

import json
from pathlib import Path

from nitido.base.folders import data_root
from nitido.data import prepare, resolve
from nitido.data.published_images import DIGITS

SETS = ("set5", "set14", "bsd100")
FILE = Path(__file__).parents[1] / "src" / "nitido" / "data" / "published_images.json"


def main() -> None:
    """Write the file."""
    hashes = {
        name: sorted(h[:DIGITS] for h in prepare(resolve(str(data_root() / name), "test"), []).hashes) for name in SETS
    }
    FILE.write_text(json.dumps(hashes, indent=0) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
