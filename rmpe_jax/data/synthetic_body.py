"""Which parts a drawn person is made of, which covers which, and which joints are in sight.

Lengths are shares of body height; points are canvas pixels, 0 at the outer edge. The camera's z
grows towards the viewer.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from rmpe_jax.data import synthetic_paint
from rmpe_jax.data.synthetic_figure import FACE, SIDES, Figure
from rmpe_jax.data.synthetic_look import Look
from rmpe_jax.data.synthetic_paint import Canvas

PARTS = ("torso", "neck", "head") + tuple(
    f"{side}_{part}" for part in ("upper_arm", "forearm", "thigh", "shin") for side in SIDES
)
FAR_SIDE = 0.045  # a shoulder or hip so far behind the torso's middle is hidden by it
FAR_EAR = 0.02  # an ear so far behind the skull's middle is hidden
HEAD_NEARER = 0.02


class Limb(NamedTuple):
    """A stretched disc: two ends with their radii; a joint of body `part`."""

    part: str
    start: str
    end: str
    radii: tuple[float, float]
    cloth: str
    nearer: float
    """Added to its depth, so that touching parts cover each other in a fixed order."""


LIMBS = tuple(
    Limb(f"{side}_{part}", f"{side}_{start}", f"{side}_{end}", radii, cloth, nearer)
    for side in SIDES
    for part, start, end, radii, cloth, nearer in (
        ("upper_arm", "shoulder", "elbow", (0.036, 0.028), "shirt", 0.03),
        ("forearm", "elbow", "wrist", (0.027, 0.019), "forearm", 0.034),
        ("forearm", "wrist", "hand", (0.018, 0.022), "skin", 0.035),
        ("thigh", "hip", "knee", (0.055, 0.039), "trousers", -0.02),
        ("shin", "knee", "ankle", (0.038, 0.022), "shin", -0.022),
        ("shin", "ankle", "toe", (0.024, 0.018), "shoe", -0.018),
    )
) + (
    Limb("neck", "neck", "skull", (0.034, 0.03), "skin", 0.0),
    Limb("head", "left_ear", "left_ear", (0.017, 0.017), "skin", 0.0),
    Limb("head", "right_ear", "right_ear", (0.017, 0.017), "skin", 0.0),
)
CARRIERS = {  # the parts on which a joint is seen
    "shoulder": "upper_arm",
    "elbow": "upper_arm forearm",
    "wrist": "forearm",
    "hip": "thigh",
    "knee": "thigh shin",
    "ankle": "shin",
}


def paint_person(
    canvas: Canvas,
    person: int,
    figure: Figure,
    look: Look,
    *,
    centre: Float[np.ndarray, "2"],
    scale: float,
    light: Float[np.ndarray, "2"],
) -> None:
    """Paint one person from its farthest part to its nearest.

    `centre` is where the pelvis comes to lie, `scale` the pixels of one body height, `light` the
    direction in the picture from which light comes.
    """
    flat = {name: centre + scale * point[:2] for name, point in figure.points.items()}
    depth = {name: float(point[2]) for name, point in figure.points.items()}
    order = [((depth[limb.start] + depth[limb.end]) / 2 + limb.nearer, limb) for limb in LIMBS]
    order += [((depth["neck"] + depth["pelvis"]) / 2, "torso")]
    order += [(depth["skull"] + HEAD_NEARER, "head")]
    for _, what in sorted(order, key=lambda pair: pair[0]):
        part = what.part if isinstance(what, Limb) else what
        owner = person * len(PARTS) + PARTS.index(part)
        if isinstance(what, Limb):
            ends = np.stack([flat[what.start], flat[what.end]])
            radii = np.array(what.radii) * scale * look.stout
            cloth = getattr(look, what.cloth)
            synthetic_paint.limb(canvas, owner, ends, radii, cloth, scale=scale, light=light)
        elif what == "torso":
            synthetic_paint.torso(canvas, owner, flat, figure, look, scale=scale, light=light)
        else:
            synthetic_paint.head(
                canvas, owner, flat["skull"], figure, look, scale=scale, light=light
            )


def seen(
    owner: Int[np.ndarray, "height width"],
    person: int,
    figure: Figure,
    name: str,
    point: Float[np.ndarray, "2"],
) -> bool:
    """Return whether a joint is visible: the topmost part at its pixel is one that carries it."""
    x, y = np.floor(point).astype(int)
    if not (0 <= y < owner.shape[0] and 0 <= x < owner.shape[1]):
        return False
    part = int(owner[y, x]) - person * len(PARTS)
    if not 0 <= part < len(PARTS):
        return False
    depth = figure.points[name][2]
    if name in FACE:
        nearer = depth - figure.points["skull"][2]
        return PARTS[part] == "head" and bool(nearer > (-FAR_EAR if "ear" in name else 0))
    side, kind = name.split("_")
    if PARTS[part] == "torso" and kind in ("shoulder", "hip"):
        middle = figure.points["neck" if kind == "shoulder" else "pelvis"][2]
        return bool(depth > middle - FAR_SIDE)
    return PARTS[part] in [f"{side}_{carrier}" for carrier in CARRIERS[kind].split()]
