"""The pictures of a report: photographs, heat-maps, gradients and arrows, as data URIs.

Images come as [h w 3] in [0, 1] or uint8 and are enlarged or reduced to about one size, so that
marks have one width. NaN is black.
"""

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from rmpe_jax import drawing
from rmpe_jax.drawing import data_uri
from rmpe_jax.geometry import affine
from rmpe_jax.inspection.maps import descent_arrows_px
from rmpe_jax.records import Array
from rmpe_jax.skeletons import Skeleton

Image = UInt8[np.ndarray, "height width 3"]
SIDE = 320  # pixels of the longer side of most pictures
PHOTOGRAPH_SIDE = 720
ARROWS = 18  # along the longer side
# Okabe & Ito (2008), as in `drawing`: vermilion where more light costs, blue where it helps.
COSTS, HELPS = np.array([213, 94, 0]), np.array([0, 114, 178])
STRONG = 99.5  # percentile of |gradient| that is shown in full colour


def shown(image: Float[Array, "h w 3"] | UInt8[Array, "h w 3"], side: int = SIDE) -> Image:
    """Return a picture of that longer side; what is enlarged twice or more keeps its pixels."""
    pixels = np.asarray(image)
    if pixels.dtype != np.uint8:
        pixels = np.round(255 * np.clip(np.nan_to_num(pixels), 0, 1)).astype(np.uint8)
    share = side / max(pixels.shape[:2])
    size = tuple(max(1, round(share * length)) for length in pixels.shape[1::-1])
    if share >= 2:
        return cv2.resize(pixels, size, interpolation=cv2.INTER_NEAREST)
    return drawing.resized(pixels, share)


def heatmap(image: Float[Array, "h w 3"], heatmaps: Float[Array, "mh mw k"]) -> str:
    """Return the highest of the heat-maps over an image of their frame."""
    return data_uri(drawing.heatmap(shown(image), np.nan_to_num(np.asarray(heatmaps))))


def pose(
    image: Float[Array, "h w 3"] | UInt8[Array, "h w 3"],
    joints: Float[Array, "k 2"],
    confidence: Float[Array, " k"],
    skeleton: Skeleton,
    *,
    side: int = SIDE,
) -> Image:
    """Return an image with a pose on it, its joints in [-1, 1] of that image."""
    canvas = shown(image, side)
    joints_px = affine.to_pixels(np.asarray(joints, np.float64), *canvas.shape[:2])
    return drawing.poses(canvas, joints_px[None], np.asarray(confidence)[None], skeleton)


def gradient_map(image: Float[Array, "h w 3"], gradient: Float[Array, "h w 3"], side: int) -> str:
    """Return where more light would raise the loss (vermilion) or lower it (blue), on grey."""
    slope = np.nan_to_num(np.asarray(gradient, np.float64).sum(axis=-1))
    strong = np.percentile(np.abs(slope), STRONG)
    # A square root lets the many weak ones show beside the few strong.
    share = np.sqrt(np.clip(np.abs(slope) / (strong if strong > 0 else 1), 0, 1))[..., None]
    grey = np.nan_to_num(np.asarray(image, np.float64)).mean(axis=-1, keepdims=True)
    colours = np.where(slope[..., None] > 0, COSTS, HELPS)
    mixed = (1 - share) * (60 + 120 * grey) + share * colours
    return data_uri(shown(mixed.astype(np.uint8), side))


def arrows(
    image: Float[Array, "h w 3"], points: Float[Array, "gh gw 2"], gradient: Float[Array, "gh gw 2"]
) -> str:
    """Return an image with arrows along which its sampling points would go down the loss."""
    canvas = shown(image, 2 * SIDE)
    every = max(1, round(max(points.shape[:2]) / ARROWS))
    ends = descent_arrows_px(
        np.asarray(points),
        np.asarray(gradient),
        *canvas.shape[:2],
        every=every,
        longest_px=2 * SIDE / ARROWS * 1.6,
    )
    if not all(np.isfinite(end).all() for end in ends):
        return data_uri(canvas)
    dimmed = np.round(0.75 * canvas).astype(np.uint8)
    return data_uri(drawing.arrows(dimmed, *ends))
