"""Pictures of a fitted proposals generator: atomic poses, and densities against the offsets.

Drawn people only, never photographs.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from matplotlib.figure import Figure

from rmpe_jax import drawing
from rmpe_jax.data import densities
from rmpe_jax.data.pgpg import Density, Pgpg

TILE, UNIT, MARGIN = 200, 45.0, 20  # pixels: side of a tile, length of a torso at most, border
SIDES = ("x_min", "y_min", "x_max", "y_max")


def draw_atoms(pgpg: Pgpg, path: Path) -> None:
    """Write a sheet of the atoms as people; left is orange. Titles count poses and pairs."""
    tiles = [_atom(atom, pgpg) for atom in pgpg.atoms]
    titles = [
        f"{row}: {pgpg.poses[row]} poses, {pgpg.pairs[row]} pairs" for row in range(len(tiles))
    ]
    drawing.write(path, drawing.contact_sheet(tiles, columns=6, titles=titles))


def draw_offsets(
    pgpg: Pgpg, offsets: Float[np.ndarray, "m 4"], rows: Int[np.ndarray, " m"], path: Path
) -> None:
    """Write histograms of each side's offsets with the densities: everybody, then each row."""
    own = [row for row, density in enumerate(pgpg.own) if density is not None]
    panels = [("everybody", pgpg.everybody, offsets)]
    panels += [(_name(pgpg, row), pgpg.own[row], offsets[rows == row]) for row in own]
    figure = Figure(figsize=(12, 1.9 * len(panels)), layout="constrained")
    axes = figure.subplots(len(panels), 4, sharex=True, squeeze=False)
    grid = np.linspace(-0.4, 0.4, 201)
    for line, (name, density, these) in zip(axes, panels, strict=True):
        assert density is not None
        for side, panel in enumerate(line):
            panel.hist(
                these[:, side], np.linspace(-0.4, 0.4, 61), density=True, color="0.8", label="pairs"
            )
            for told, one, style in _curves(density):
                curve = np.exp(densities.log_density(_alone(one, side), grid[:, None]))
                panel.plot(grid, curve, style, label=told)
        line[0].set_ylabel(f"{name}\n{len(these)} pairs", fontsize=8)
    for side, panel in zip(SIDES, axes[0], strict=True):
        panel.set_title(f"offset of {side} / side of the box")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    figure.savefig(path, dpi=80)


def _atom(atom: Float[np.ndarray, "k 2"], pgpg: Pgpg) -> drawing.Image:
    low, high = atom.min(axis=0), atom.max(axis=0)
    unit = min(UNIT, float((TILE - 2 * MARGIN) / (high - low).max()))
    joints_px = (atom - (low + high) / 2) * unit + TILE / 2
    paper = np.full((TILE, TILE, 3), 250, np.uint8)
    return drawing.poses(paper, joints_px[None], np.ones((1, len(atom))), pgpg.skeleton)


def _name(pgpg: Pgpg, row: int) -> str:
    return f"atom {row}" if row < len(pgpg.atoms) else "without torso"


def _curves(density: Density) -> tuple[tuple[str, densities.Mixture, str], ...]:
    return (("Gaussian", density.gaussian, "C0--"), ("mixture", density.mixture, "C1-"))


def _alone(one: densities.Mixture, side: int) -> densities.Mixture:
    """Return what a mixture says of one number."""
    chosen = slice(side, side + 1)
    return densities.Mixture(one.weights, one.means[:, chosen], one.covariances[:, chosen, chosen])
