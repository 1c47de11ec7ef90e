"""Paint limbs, torsos and heads onto a canvas that knows who owns each pixel.

Points and radii are pixels of the canvas (continuous, 0 at the outer edge), `scale` is the pixels
of one body height, `light` the direction in the picture from which light comes. Painting changes
the canvas in place; what comes later covers.
"""

from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from rmpe_jax.data.synthetic_figure import FACE, HEAD_SIZE, SIDES, Figure
from rmpe_jax.data.synthetic_look import Cloth, Look, woven

NOBODY = -1
TORSO_RADII = {"shoulder": 0.042, "hip": 0.055, "neck": 0.05}  # shares of body height
CORNERS = 16  # of the polygon that stands for a disc


class Canvas(NamedTuple):
    """A picture in RGB and, for each pixel, the number of who owns it, or NOBODY."""

    picture: UInt8[np.ndarray, "height width 3"]
    owner: Int[np.ndarray, "height width"]


def limb(
    canvas: Canvas,
    owner: int,
    ends: Float[np.ndarray, "2 2"],
    radii: Float[np.ndarray, "2"],
    cloth: Cloth,
    *,
    scale: float,
    light: Float[np.ndarray, "2"],
) -> None:
    """Paint a disc stretched from one end to the other."""
    window, x, y = _window(canvas, (ends - radii[:, None]).min(0), (ends + radii[:, None]).max(0))
    length = float(np.hypot(*(ends[1] - ends[0])))
    forwards = (ends[1] - ends[0]) / length if length > 1e-3 else np.array((0.0, 1.0))
    along, across = _along(x, y, ends[0], forwards)
    share = np.clip(along / max(length, 1e-3), 0, 1)
    radius = radii[0] + (radii[1] - radii[0]) * share
    distance = np.hypot(across, along - share * length) / radius
    shade = 0.58 + 0.42 * np.sqrt(np.clip(1 - distance**2, 0, 1))
    shade += 0.2 * across / radius * _sideways(light, forwards)
    colour = woven(cloth, along / scale, across / scale + 1) * shade[..., None]
    _put(canvas, window, distance <= 1, colour, owner)


def torso(
    canvas: Canvas,
    owner: int,
    points: dict[str, Float[np.ndarray, "2"]],
    figure: Figure,
    look: Look,
    *,
    scale: float,
    light: Float[np.ndarray, "2"],
) -> None:
    """Paint the hull of shoulders, hips and neck; the front has a neckline and buttons."""
    angle = np.arange(CORNERS) * (2 * np.pi / CORNERS)
    disc = np.stack([np.cos(angle), np.sin(angle)], -1) * scale * look.stout
    corners = [f"{side}_{joint}" for side in SIDES for joint in ("shoulder", "hip")] + ["neck"]
    rim = np.concatenate(
        [points[name] + disc * TORSO_RADII[name.split("_")[-1]] for name in corners]
    )
    window, x, y = _window(canvas, rim.min(0), rim.max(0))
    inside = np.zeros((y.size, x.size), np.uint8)
    if inside.size == 0:
        return
    corner = (window[1].start + 0.5, window[0].start + 0.5)  # OpenCV counts from pixel centres
    hull = cv2.convexHull((rim - corner).astype(np.float32))
    cv2.fillConvexPoly(inside, np.round(hull * 16).astype(np.int32), 1, shift=4)
    spine = points["pelvis"] - points["neck"]
    down = spine / max(float(np.hypot(*spine)), 1e-3)
    along, across = _along(x, y, points["neck"], down)
    half = 0.5 * np.ptp(rim @ (-down[1], down[0]))
    shade = 0.6 + 0.4 * np.sqrt(np.clip(1 - (across / half) ** 2, 0, 1))
    shade += 0.2 * across / half * _sideways(light, down)
    colour = woven(look.shirt, along / scale, across / scale + 1) * shade[..., None]
    facing = _facing(figure)
    if facing[2] > 0.2:  # only the front has them
        middle = across / scale - (facing[1] * down[0] - facing[0] * down[1]) * 0.07
        colour[np.hypot(middle, along / scale + 0.005) < 0.06] = look.skin.colour * 0.92
        colour[(np.abs(middle) < 0.007) & (along > 0)] = look.shirt.second
    _put(canvas, window, inside > 0, colour, owner)


def head(
    canvas: Canvas,
    owner: int,
    centre: Float[np.ndarray, "2"],
    figure: Figure,
    look: Look,
    *,
    scale: float,
    light: Float[np.ndarray, "2"],
) -> None:
    """Paint the head as an ellipsoid: each pixel's point of its surface says what is there."""
    reach = max(HEAD_SIZE) * scale
    window, x, y = _window(canvas, centre - reach, centre + reach)
    to_unit = (figure.head / HEAD_SIZE).T / scale  # camera offset to point of the unit sphere
    shape = to_unit.T @ to_unit
    dx, dy = np.broadcast_arrays(x - centre[0], y - centre[1])
    # The surface is where offset @ shape @ offset = 1: a quadratic equation for dz.
    linear = shape[0, 2] * dx + shape[1, 2] * dy
    constant = shape[0, 0] * dx**2 + 2 * shape[0, 1] * dx * dy + shape[1, 1] * dy**2 - 1
    root = linear**2 - shape[2, 2] * constant
    thickness = np.sqrt(np.maximum(root, 0)) / shape[2, 2]
    dz = thickness - linear / shape[2, 2]
    colour = _face(np.stack([dx, dy, dz], -1) @ to_unit.T, look)
    shade = 0.7 + 0.3 * thickness / reach + 0.2 * (dx * light[0] + dy * light[1]) / reach
    _put(canvas, window, root > 0, colour * shade[..., None], owner)


def _face(
    point: Float[np.ndarray, "height width 3"], look: Look
) -> Float[np.ndarray, "height width 3"]:
    """Return the colour at points of the unit sphere (sideways to the left, up, forward)."""
    sideways, up, forward = point[..., 0], point[..., 1], point[..., 2]
    colour = np.broadcast_to(look.skin.colour, point.shape).copy()
    for name in ("left_eye", "right_eye"):
        distance = np.linalg.norm(point - np.array(FACE[name]), axis=-1)
        colour[distance < 0.27] = 245
        colour[distance < 0.15] = (30, 25, 25)
        brow = (np.abs(up - 0.45) < 0.06) & (np.abs(sideways - FACE[name][0]) < 0.24)
        colour[brow & (forward > 0)] = look.hair
    nose = np.linalg.norm(point - np.array(FACE["nose"]), axis=-1) < 0.2
    colour[nose] *= (0.85, 0.7, 0.68)
    mouth = (np.abs(up + 0.5) < 0.07) & (np.abs(sideways) < 0.3) & (forward > 0)
    colour[mouth] = (150, 50, 50)
    back = (forward < 0.15 + 0.35 * up) & (up > -0.55)
    colour[back | (up > look.hairline + 0.2)] = look.hair
    return colour


def _facing(figure: Figure) -> Float[np.ndarray, "3"]:
    """Return the direction the chest faces; the camera frame is left-handed, y points down."""
    left = figure.points["left_shoulder"] - figure.points["right_shoulder"]
    forwards = np.cross(left, figure.points["pelvis"] - figure.points["neck"])
    return forwards / np.linalg.norm(forwards)


def _along(
    x: Float[np.ndarray, "1 width"],
    y: Float[np.ndarray, "height 1"],
    start: Float[np.ndarray, "2"],
    forwards: Float[np.ndarray, "2"],
) -> tuple[Float[np.ndarray, "height width"], Float[np.ndarray, "height width"]]:
    """Return how far pixels lie from `start` along a direction and across it."""
    from_x, from_y = x - start[0], y - start[1]
    along = from_x * forwards[0] + from_y * forwards[1]
    return along, from_y * forwards[0] - from_x * forwards[1]


def _sideways(light: Float[np.ndarray, "2"], forwards: Float[np.ndarray, "2"]) -> float:
    return float(light[1] * forwards[0] - light[0] * forwards[1])


def _window(
    canvas: Canvas, low: Float[np.ndarray, "2"], high: Float[np.ndarray, "2"]
) -> tuple[tuple[slice, slice], Float[np.ndarray, "1 width"], Float[np.ndarray, "height 1"]]:
    """Return the slice of the canvas that holds a rectangle, and its pixels' x and y."""
    height, width = canvas.owner.shape
    left, top = np.clip(np.floor(low), 0, (width, height)).astype(int)
    right, bottom = np.clip(np.ceil(high), 0, (width, height)).astype(int)
    x = np.arange(left, right)[None] + 0.5
    y = np.arange(top, bottom)[:, None] + 0.5
    return (slice(top, max(top, bottom)), slice(left, max(left, right))), x, y


def _put(
    canvas: Canvas,
    window: tuple[slice, slice],
    inside: Bool[np.ndarray, "height width"],
    colour: Float[np.ndarray, "height width 3"],
    owner: int,
) -> None:
    canvas.picture[window][inside] = np.clip(colour[inside], 0, 255).astype(np.uint8)
    canvas.owner[window][inside] = owner
