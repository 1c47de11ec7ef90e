"""Let a pose network that has seen more people look at everybody in the training photographs.

    python experiments/teach.py --out runs/teacher

Keeps what PP-TinyPose (rmpe_jax/models/graph.py; AP 0.65 on the 338 test photographs in annotated
boxes; it has seen none of these photographs) sees in the annotated box of each labelled person,
averaged with what it sees in the mirrored crop. A run learns from it by
--train.teacher runs/teacher (configs/coco_small_taught.py).
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from rich.progress import track

from rmpe_jax.config import DataConfig, example_data
from rmpe_jax.data import images, teacher_maps
from rmpe_jax.data.augment import crop_theta
from rmpe_jax.data.crop import Cropper
from rmpe_jax.data.dataset import PhotographSource, prepare
from rmpe_jax.data.teacher_maps import TeacherMaps
from rmpe_jax.geometry import heatmaps
from rmpe_jax.models import graph

SIZE = (256, 192)
EXTEND = 0.25
BATCH = 16


def crops(source: PhotographSource) -> Iterator[tuple[np.ndarray, np.ndarray, int]]:
    """Yield (crop, theta_crop, person's number) of every labelled person."""
    cropper = Cropper(*SIZE)
    for row, person in source.person_index:
        photograph = source[int(row)]
        image = images.pixels(photograph)
        box = photograph.persons.boxes_px[person]
        theta = crop_theta(box, *image.shape[:2], height=SIZE[0], width=SIZE[1], extend=EXTEND)
        theta = np.asarray(theta)
        yield cropper(image, theta), theta, int(photograph.persons.person_id[person])


def main() -> None:
    """Look at everybody and write what is seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=example_data())
    parser.add_argument("--out", type=Path, default=Path("runs/teacher"))
    parser.add_argument("--limit", type=int, help="only so many people, to try it")
    arguments = parser.parse_args()
    data = DataConfig(
        source="coco",
        root=str(arguments.data / "coco_pose"),
        train_annotations="annotations/person_keypoints_train.json",
        train_images="train",
    )
    source = prepare(data, "train")
    file = arguments.data / "weights" / "tinypose_256x192.param"
    parameters, tinypose = graph.parameters(file), graph.read(file)
    flip_order = source.skeleton.flip_order

    @jax.jit
    def look(batch: jax.Array) -> jax.Array:
        """Return heat-maps, uint8, of crops and of their mirror images together."""
        pixels = jnp.asarray(batch, jnp.float32) / 255
        everyone = jnp.concatenate([pixels, pixels[:, :, ::-1]])
        both = graph.heatmaps(parameters, everyone, graph=tinypose)
        seen, mirrored = jnp.split(both, 2)
        merged = jax.vmap(lambda a, b: heatmaps.merge_flip(a, b, flip_order))(seen, mirrored)
        return jnp.round(255 * jnp.clip(merged, 0, 1)).astype(jnp.uint8)

    count = min(len(source.person_index), arguments.limit or len(source.person_index))
    everybody = crops(source)
    maps, thetas, numbers = [], [], []
    for start in track(range(0, count, BATCH), description="Looking"):
        some = [next(everybody) for _ in range(min(BATCH, count - start))]
        cut, theta, number = zip(*some, strict=True)
        padded = np.concatenate([np.stack(cut), np.zeros((BATCH - len(cut), *SIZE, 3), np.uint8)])
        maps.append(np.asarray(look(padded))[: len(cut)])
        thetas += theta
        numbers += number
    seen = TeacherMaps(
        np.concatenate(maps), np.array(numbers), np.stack(thetas), source.skeleton.joints
    )
    teacher_maps.write(arguments.out, seen)
    print(f"what the teacher sees in {count} people: {arguments.out}")


if __name__ == "__main__":
    main()
