"""Drawn people with exact joints, so that everything runs and learns without any download.

Each photograph is a function of (seed, index). Pixels are continuous, 0 at the outer edge.
"""

import cv2
import numpy as np

from rmpe_jax.data import synthetic_scene
from rmpe_jax.records import Persons, Photograph

QUALITY = (75, 96)  # of the JPEG file: lowest, one above the highest
MOST_PEOPLE = 10  # room for the persons of one image in the ids


def photograph(seed: int, index: int, height: int, width: int) -> Photograph:
    """Return photograph number `index` of the endless set `seed`; its image id is index + 1."""
    generator = np.random.default_rng([seed, index])
    scene = synthetic_scene.draw(generator, height, width)
    quality = int(generator.integers(*QUALITY))
    bgr = cv2.cvtColor(scene.picture, cv2.COLOR_RGB2BGR)
    _, encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    image_id = index + 1  # COCO's tools read 0 as "no match"
    count = len(scene.numbers)
    persons = Persons(
        joints_px=scene.joints_px,
        boxes_px=scene.boxes_px,
        area=scene.area,
        is_crowd=np.zeros(count, bool),
        person_id=image_id * MOST_PEOPLE + np.arange(count),
        head_size_px=np.full(count, np.nan),
        is_ignored=np.zeros(count, bool),
    )
    name = f"synthetic_{seed}_{index:06d}.jpg"
    return Photograph(image_id, name, encoded.tobytes(), height, width, persons, {})
