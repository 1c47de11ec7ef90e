"""Poses, boxes, heat-maps and grids drawn on photographs, for people to look at.

On the host, in NumPy and OpenCV. Images are RGB, uint8, [height width 3]; every function returns a
new image and leaves its arguments as they were. Pixels (`_px`) are continuous with 0 at the outer
left (top) edge, so pixel j has its centre at j + 0.5. All marks have a dark rim, which keeps them
visible on bright photographs; widths follow the size of the person or the image.
"""

import base64
import os
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from rmpe_jax.skeletons import Skeleton

Image = UInt8[np.ndarray, "height width 3"]
Colour = tuple[int, int, int]

# Okabe & Ito, Color Universal Design (2008): told apart with any colour vision.
LEFT, RIGHT, CENTRE = (230, 159, 0), (86, 180, 233), (240, 228, 66)
PEOPLE = ((0, 158, 115), (204, 121, 167), (213, 94, 0), (0, 114, 178), (240, 228, 66))
RIM, PAPER, INK = (20, 20, 20), (32, 32, 32), (240, 240, 240)
FAINT = 0.5  # size of a joint's disc without confidence, as a share of a sure one's
TINT = 0.15  # share of the person's colour in the limbs
SLENDER = 4  # a limb is at most this part of its length wide
SUBPIXEL_BITS = 4  # cv2 draws at 1/16 pixel
FONT = cv2.FONT_HERSHEY_SIMPLEX
QUALITY = 82  # of WebP


def poses(
    image: Image,
    joints_px: Float[np.ndarray, "n k 2"],
    confidence: Float[np.ndarray, "n k"],
    skeleton: Skeleton,
    *,
    threshold: float = 0.2,
) -> Image:
    """Return the image with people on it: joints of at least that confidence and their limbs.

    Limbs are orange on the person's left, blue on the right, yellow between, each with a tint of
    the person's own colour, which the joints have in full. The surer a joint, the larger its disc.
    """
    canvas = image.copy()
    for person, (joints, sure) in enumerate(zip(joints_px, confidence, strict=True)):
        shown = (sure >= threshold) & np.isfinite(joints).all(axis=-1)
        if not shown.any():
            continue
        own = PEOPLE[person % len(PEOPLE)]
        longer = max(canvas.shape)
        extent = min(np.ptp(joints[shown], axis=0).max(), longer)
        width = max(1, round(extent / 60), round(longer / 500))
        limbs = [limb for limb in skeleton.limbs if shown[list(limb)].all()]
        # Marks on short limbs are small: faces and hands have many close together.
        lengths = [float(np.hypot(*(joints[a] - joints[b]))) for a, b in limbs]
        widths = [max(1, min(width, round(length / SLENDER))) for length in lengths]
        for (a, b), wide in zip(limbs, widths, strict=True):
            _line(canvas, joints[a], joints[b], RIM, wide + 2)
        for (a, b), wide in zip(limbs, widths, strict=True):
            _line(canvas, joints[a], joints[b], _limb(skeleton, (a, b), own), wide)
        for joint in np.flatnonzero(shown):
            ends = [wide for limb, wide in zip(limbs, widths, strict=True) if joint in limb]
            size = FAINT + (1 - FAINT) * min(float(sure[joint]), 1.0)
            _disc(canvas, joints[joint], (max(ends, default=width) * 0.9 + 1) * size, own)
    return canvas


def boxes(
    image: Image, boxes_px: Float[np.ndarray, "n 4"], labels: Sequence[str] | None = None
) -> Image:
    """Return the image with boxes (x_min, y_min, x_max, y_max), each with its label if given."""
    canvas = image.copy()
    width = _line_width(canvas)
    for number, (x_min, y_min, x_max, y_max) in enumerate(boxes_px.tolist()):
        corners = np.array([[x_min, y_min], [x_max, y_min], [x_max, y_max], [x_min, y_max]])
        colour = PEOPLE[number % len(PEOPLE)]
        _outline(canvas, corners, colour, width)
        if labels is not None:
            _label(canvas, labels[number], (x_min, y_min), colour)
    return canvas


def heatmap(crop: Image, heatmaps: Float[np.ndarray, "h w k"]) -> Image:
    """Return the crop, dimmed, under the highest of its heat-maps; 0 is clear, 1 opaque."""
    height, width, _ = crop.shape
    highest = heatmaps.max(axis=-1, initial=0).astype(np.float32).clip(0, 1)
    share = cv2.resize(highest, (width, height), interpolation=cv2.INTER_LINEAR)
    levels = np.round(128 + 127 * share).astype(np.uint8)  # the bright half of the colours
    colours = cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)
    # A square root lets the flanks of a peak show.
    opacity = np.sqrt(share)[..., None]
    return np.round(0.6 * crop * (1 - opacity) + colours * opacity).astype(np.uint8)


def grid(image: Image, theta: Float[np.ndarray, "2 3"], lines: int = 8) -> Image:
    """Return the image with the crop that theta pulls, as a grid of `lines` x `lines` cells.

    The crop's upper edge is blue and its upper left corner has a disc, so that turns and mirror
    images show.
    """
    canvas = image.copy()
    width = _line_width(canvas)
    along, edge = np.linspace(-1, 1, lines + 1), np.ones(lines + 1)
    upright = np.stack([np.stack([along, -edge], axis=-1), np.stack([along, edge], axis=-1)])
    points = np.concatenate([upright, upright[..., ::-1]], axis=1) @ theta[:, :2].T + theta[:, 2]
    starts_px, ends_px = (points + 1) / 2 * np.array(image.shape[1::-1])
    outer = np.arange(2 * (lines + 1)) % (lines + 1) % lines == 0
    for chosen, colour, wide in ((~outer, LEFT, 1), (outer, RIM, width + 2), (outer, LEFT, width)):
        for start, end in zip(starts_px[chosen], ends_px[chosen], strict=True):
            _line(canvas, start, end, colour, wide)
    upper = lines + 1  # the first of the level lines
    _line(canvas, starts_px[upper], ends_px[upper], RIGHT, width)
    _disc(canvas, starts_px[upper], 2.0 * width + 1, RIGHT)
    return canvas


def arrows(
    image: Image, starts_px: Float[np.ndarray, "n 2"], ends_px: Float[np.ndarray, "n 2"]
) -> Image:
    """Return the image with an arrow from each start to its end."""
    canvas = image.copy()
    width = _line_width(canvas)
    for start, end in zip(starts_px, ends_px, strict=True):
        along = end - start
        length = float(np.hypot(*along))
        head = min(length / 2, 5.0 * width) * along / max(length, 1e-9)
        across = np.array([-head[1], head[0]]) / 2
        strokes = ((start, end), (end - head + across, end), (end - head - across, end))
        for colour, extra in ((RIM, 2), (CENTRE, 0)):
            for a, b in strokes:
                _line(canvas, a, b, colour, width + extra)
    return canvas


def contact_sheet(
    tiles: Sequence[UInt8[np.ndarray, "_ _ 3"]], columns: int, titles: Sequence[str] | None = None
) -> Image:
    """Return the tiles in rows, each in the middle of its cell; the cells fit the tiles."""
    if not tiles or columns < 1:
        raise ValueError(
            f"a contact sheet needs a tile and a column; got {len(tiles)} tiles, {columns} columns"
        )
    if titles is not None and len(titles) != len(tiles):
        raise ValueError(f"{len(tiles)} tiles have {len(titles)} titles: give one to each, or none")
    gap, strip = 6, 24 if titles is not None else 0
    heights = [
        max(t.shape[0] for t in tiles[i : i + columns]) for i in range(0, len(tiles), columns)
    ]
    widths = [max(t.shape[1] for t in tiles[i::columns]) for i in range(min(columns, len(tiles)))]
    tops = np.cumsum([gap, *(height + strip + gap for height in heights)])
    lefts = np.cumsum([gap, *(width + gap for width in widths)])
    sheet = np.empty((tops[-1], lefts[-1], 3), np.uint8)
    sheet[:] = PAPER
    for number, tile in enumerate(tiles):
        row, column = divmod(number, columns)
        height, width, _ = tile.shape
        top = tops[row] + strip + (heights[row] - height) // 2
        left = lefts[column] + (widths[column] - width) // 2
        sheet[top : top + height, left : left + width] = tile
        if titles is not None:
            _title(sheet, titles[number], (lefts[column], tops[row] + strip - 8), widths[column])
    return sheet


def data_uri(image: Image) -> str:
    """Return a picture as the address of itself, in WebP."""
    done, encoded = cv2.imencode(".webp", image[..., ::-1], [cv2.IMWRITE_WEBP_QUALITY, QUALITY])
    assert done
    return f"data:image/webp;base64,{base64.b64encode(encoded.tobytes()).decode()}"


def resized(image: Image, share: float) -> UInt8[np.ndarray, "_ _ 3"]:
    """Return the image with its sides multiplied by `share`, averaged where it shrinks."""
    height, width = (max(1, round(share * side)) for side in image.shape[:2])
    way = cv2.INTER_AREA if share < 1 else cv2.INTER_LINEAR
    return cv2.resize(image, (width, height), interpolation=way)


def _limb(skeleton: Skeleton, limb: tuple[int, int], own: Colour) -> Colour:
    """Return a limb's colour: its side's, tinted with the person's."""
    names = [skeleton.joints[joint] for joint in limb]
    left = any(name.startswith("left_") for name in names)
    right = any(name.startswith("right_") for name in names)
    side = CENTRE if left == right else LEFT if left else RIGHT
    red, green, blue = (round((1 - TINT) * a + TINT * b) for a, b in zip(side, own, strict=True))
    return red, green, blue


def _line_width(canvas: Image) -> int:
    """Return the width of marks that belong to no person: 1/250 of the image's longer side."""
    return max(1, round(max(canvas.shape) / 250))


def _fixed(point_px: Float[np.ndarray, " 2"]) -> tuple[int, int]:
    """Return a point as cv2 wants it: pixel centres at whole numbers, in fixed point.

    Far away points are brought nearer, since cv2 counts in 32 bits.
    """
    x, y = np.round((np.clip(point_px, -1e6, 1e6) - 0.5) * 2**SUBPIXEL_BITS).astype(int).tolist()
    return x, y


def _line(
    canvas: Image,
    start_px: Float[np.ndarray, " 2"],
    end_px: Float[np.ndarray, " 2"],
    colour: Colour,
    width: int,
) -> None:
    cv2.line(canvas, _fixed(start_px), _fixed(end_px), colour, width, cv2.LINE_AA, SUBPIXEL_BITS)


def _disc(canvas: Image, centre_px: Float[np.ndarray, " 2"], radius: float, colour: Colour) -> None:
    for size, paint in ((radius + 1, RIM), (radius, colour)):
        fixed = round(size * 2**SUBPIXEL_BITS)
        cv2.circle(canvas, _fixed(centre_px), fixed, paint, -1, cv2.LINE_AA, SUBPIXEL_BITS)


def _outline(
    canvas: Image, corners_px: Float[np.ndarray, "n 2"], colour: Colour, width: int
) -> None:
    for paint, extra in ((RIM, 2), (colour, 0)):
        for start, end in zip(corners_px, np.roll(corners_px, -1, axis=0), strict=True):
            _line(canvas, start, end, paint, width + extra)


def _label(canvas: Image, text: str, corner_px: tuple[float, float], colour: Colour) -> None:
    """Write on a plate of the colour above the corner, or below it at the image's upper edge."""
    scale = max(0.4, max(canvas.shape) / 1600)
    (width, height), below = cv2.getTextSize(text, FONT, scale, 1)
    height += below + 4
    left = int(np.clip(corner_px[0], 0, max(0, canvas.shape[1] - width - 4)))
    top = int(np.clip(corner_px[1] - height, 0, max(0, canvas.shape[0] - height)))
    cv2.rectangle(canvas, (left, top), (left + width + 4, top + height), colour, -1)
    ink = RIM if sum(colour) > 300 else INK
    cv2.putText(
        canvas, text, (left + 2, top + height - below - 1), FONT, scale, ink, 1, cv2.LINE_AA
    )


def _title(sheet: Image, text: str, corner: tuple[np.integer, np.integer], room: int) -> None:
    """Write a line that starts at the corner, smaller if the room asks for it."""
    scale = 0.45
    (width, _), _ = cv2.getTextSize(text, FONT, scale, 1)
    scale *= min(1, room / max(width, 1))
    left, bottom = (int(value) for value in corner)
    cv2.putText(sheet, text, (left, bottom), FONT, scale, INK, 1, cv2.LINE_AA)


def write(path: Path, image: Image) -> None:
    """Write a picture to a file, or raise OSError naming it; an earlier picture is kept then."""
    # Not by cv2.imwrite, which says nothing of a small picture that a full disk did not take.
    done, encoded = cv2.imencode(path.suffix, image[:, :, ::-1])
    assert done
    part = path.with_name(f"{path.name}.part")
    try:
        part.write_bytes(encoded.tobytes())
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise OSError(
            f"{path}: the picture could not be written ({error.strerror}); is the folder "
            "writable, is the disk full?"
        ) from error
