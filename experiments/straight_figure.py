"""Draw what the spatial transformer does: crops of jittered boxes, as it straightens them.

    python experiments/straight_figure.py runs/synthetic_rmpe --out docs/straight.jpg

Top: the crop that the network gets. Middle: what the STN makes of it. Bottom: the crop of the
annotated box, which it should be. Held-out people, the first ones with at least as much to do as
most; none is chosen by how it went.
"""

import argparse
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from rmpe_jax import drawing
from rmpe_jax.data.dataset import prepare
from rmpe_jax.data.loader import training_batches
from rmpe_jax.evaluation.centring import only_jittered
from rmpe_jax.models.rmpe import straighten
from rmpe_jax.predict import load

COLUMNS = 8


def main() -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run")
    parser.add_argument("--out", type=Path, default=Path("docs/straight.jpg"))
    arguments = parser.parse_args()
    model = load(arguments.run)
    settings = model.config
    batches = training_batches(
        prepare(settings.data, "validation"),
        settings.data,
        only_jittered(settings.augment),
        height=settings.model.input_height,
        width=settings.model.input_width,
        batch_size=4 * COLUMNS,
        seed=0,
    )
    batch = next(batches)
    batches.close()
    away = np.linalg.norm(batch.theta_star - np.eye(2, 3), axis=(1, 2))
    shown = np.flatnonzero(away >= np.median(away))[:COLUMNS]
    crops = jnp.asarray(batch.crop[shown], jnp.float32) / 255
    found = jax.jit(lambda v, x: model.module.apply(v, x, train=False, method="theta"))
    theta = found(model.variables, crops)
    rows = (
        crops,
        straighten(crops, theta),
        straighten(crops, jnp.asarray(batch.theta_star[shown])),
    )
    tiles = [np.asarray(jnp.clip(one * 255 + 0.5, 0, 255), np.uint8) for row in rows for one in row]
    drawing.write(arguments.out, drawing.contact_sheet(tiles, columns=COLUMNS))


if __name__ == "__main__":
    main()
