"""Draw what the networks of the package find on photographs that may be shown.

    python experiments/photographs_figure.py --out docs/photographs.jpg

Test photographs of coco_pose whose authors allow copies and changes (CC BY or BY-SA 2.0): whole
people, mostly, which is what the networks are good at, and a full kitchen, which they are not.
Prints where each comes from.
"""

import argparse
import csv
from pathlib import Path

import cv2
import numpy as np

from rmpe_jax import drawing, predict
from rmpe_jax.config import example_data
from rmpe_jax.predict_files import picture_of

FREE = {"4": "CC BY 2.0", "5": "CC BY-SA 2.0"}
HEIGHT = 300
SHOWN = (
    "000000345466.jpg",
    "000000205105.jpg",
    "000000541055.jpg",
    "000000283520.jpg",
    "000000410456.jpg",
    "000000397133.jpg",
)


def main() -> None:
    """Write the picture and say whose the photographs are."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=example_data())
    parser.add_argument("--out", type=Path, default=Path("docs/photographs.jpg"))
    parser.add_argument("--names", nargs="*", default=SHOWN)
    parser.add_argument("--columns", type=int, default=3)
    arguments = parser.parse_args()
    root = arguments.data / "coco_pose"
    with (root / "licences.csv").open() as file:
        sources = {row["file_name"]: row for row in csv.DictReader(file)}
    model = predict.load()
    tiles = []
    for name in arguments.names:
        source = sources[name]
        if source["license_id"] not in FREE:
            raise ValueError(f"{name} is under {source['license_name']}: not to be published")
        (result,) = model.stream(root / "images/val" / name)
        tiles.append(_of_height(picture_of(result, model.skeleton)))
        number = Path(source["flickr_url"]).name.split("_")[0]
        link = f"https://www.flickr.com/photo.gne?id={number}"
        print(f"[{number}]({link}) ({FREE[source['license_id']]})")
    drawing.write(arguments.out, drawing.contact_sheet(tiles, columns=arguments.columns))


def _of_height(picture: np.ndarray) -> np.ndarray:
    height, width, _ = picture.shape
    return cv2.resize(
        picture, (round(width * HEIGHT / height), HEIGHT), interpolation=cv2.INTER_AREA
    )


if __name__ == "__main__":
    main()
