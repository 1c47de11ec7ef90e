"""Compose drawn people into a picture: a cluttered background, overlap, light, blur and noise.

Pixels are continuous, 0 at the outer edge. The picture is painted at twice its size and reduced,
so its edges are smooth and the owner of every quarter pixel is known.
"""

from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from rmpe_jax.data import synthetic_body, synthetic_figure, synthetic_look
from rmpe_jax.data.synthetic_body import PARTS
from rmpe_jax.data.synthetic_figure import Figure
from rmpe_jax.data.synthetic_paint import NOBODY, Canvas
from rmpe_jax.skeletons import COCO17

FINE = 2  # canvas pixels per picture pixel, along each side
PEOPLE_SHARES = (0.25, 0.4, 0.2, 0.15)  # of pictures with 1, 2, 3, 4 people
HEIGHTS = (0.32, 0.9)  # a standing person's height as a share of the picture's
MOST_COVERED = 0.45  # of the smaller of two boxes
TRIES = 12
SMALLEST = 0.1  # share of a person that must be in sight for it to be annotated
SMALLEST_AREA = 12  # square pixels in sight, likewise
SCENERY = NOBODY - 1  # owner of things that stand in front of people


class Scene(NamedTuple):
    """A picture in RGB and its people; `owner` has FINE x FINE cells per pixel.

    `joints_px` holds COCO's visibility, `numbers` each person's number in `owner`.
    """

    picture: UInt8[np.ndarray, "height width 3"]
    owner: Int[np.ndarray, "fine_height fine_width"]
    joints_px: Float[np.ndarray, "n 17 3"]
    boxes_px: Float[np.ndarray, "n 4"]
    area: Float[np.ndarray, " n"]
    numbers: tuple[int, ...]


class _Placed(NamedTuple):
    figure: Figure
    centre: Float[np.ndarray, "2"]
    scale: float


def draw(generator: np.random.Generator, height: int, width: int) -> Scene:
    """Return a random scene with at least one annotated person."""
    picture = cv2.resize(_background(generator, height, width), (width * FINE, height * FINE))
    canvas = Canvas(picture, np.full(picture.shape[:2], NOBODY, np.int16))
    people = _place(generator, np.array((width, height)) * FINE)
    painted = _paint_people(generator, canvas, people)
    _paint_scenery(generator, canvas)
    silhouettes = {person: _silhouette(canvas.owner, person) for person in range(len(people))}
    numbers = tuple(
        person
        for person, silhouette in silhouettes.items()
        if np.count_nonzero(silhouette) > max(SMALLEST * painted[person], SMALLEST_AREA * FINE**2)
    )
    if not numbers:  # all stand behind something: draw another scene
        return draw(generator, height, width)
    small = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    return Scene(
        picture=_photograph(generator, small),
        owner=canvas.owner,
        joints_px=np.stack([_joints(canvas, person, people[person]) for person in numbers]),
        boxes_px=np.stack([_box(silhouettes[person]) for person in numbers]),
        area=np.array([np.count_nonzero(silhouettes[person]) / FINE**2 for person in numbers]),
        numbers=numbers,
    )


def _paint_people(
    generator: np.random.Generator, canvas: Canvas, people: list[_Placed]
) -> list[int]:
    """Paint the people in order; return how many canvas pixels each one covered at first."""
    angle = generator.uniform(0, 2 * np.pi)
    light = np.array((np.cos(angle), np.sin(angle))) * generator.uniform(0, 1)
    painted = []
    for person, (figure, centre, scale) in enumerate(people):
        look = synthetic_look.draw_look(generator)
        synthetic_body.paint_person(
            canvas, person, figure, look, centre=centre, scale=scale, light=light
        )
        painted.append(int(np.count_nonzero(_silhouette(canvas.owner, person))))
    return painted


def _silhouette(
    owner: Int[np.ndarray, "fine_height fine_width"], person: int
) -> Bool[np.ndarray, "fine_height fine_width"]:
    """Return where a person is in sight; owners below 0 are no people."""
    return (owner >= person * len(PARTS)) & (owner < (person + 1) * len(PARTS))


def _place(generator: np.random.Generator, size: Int[np.ndarray, "2"]) -> list[_Placed]:
    """Return posed people, the farthest first; boxes overlap at most by MOST_COVERED."""
    placed, boxes = [], []
    for _ in range(1 + generator.choice(len(PEOPLE_SHARES), p=PEOPLE_SHARES)):
        for _ in range(TRIES):
            figure = synthetic_figure.pose_figure(synthetic_figure.draw_pose(generator))
            scale = float(size[1] * np.exp(generator.uniform(*np.log(HEIGHTS))))
            points = scale * np.stack([point[:2] for point in figure.points.values()])
            low, high = points.min(0) - 0.06 * scale, points.max(0) + 0.06 * scale
            middle = generator.uniform(0.04, 0.96) * size[0]
            # Who is nearer is taller and stands lower; some leave the picture at its lower edge.
            ground = scale + generator.uniform(0.03, 0.4) * (size[1] - 0.75 * scale)
            centre = np.array((middle - (low[0] + high[0]) / 2, ground - high[1]))
            box = np.concatenate([low + centre, high + centre])
            if all(_covered(box, other) <= MOST_COVERED for other in boxes):
                placed.append((ground, _Placed(figure, centre, scale)))
                boxes.append(box)
                break
    return [person for _, person in sorted(placed, key=lambda pair: pair[0])]


def _covered(a: Float[np.ndarray, "4"], b: Float[np.ndarray, "4"]) -> float:
    """Return the share of the smaller box that lies in the other."""
    overlap = np.prod(np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0))
    return float(overlap / min(np.prod(a[2:] - a[:2]), np.prod(b[2:] - b[:2])))


def _joints(canvas: Canvas, person: int, placed: _Placed) -> Float[np.ndarray, "17 3"]:
    """Return COCO's joints in picture pixels; 0 0 0 where one lies outside the picture."""
    height, width = canvas.owner.shape
    joints = np.zeros((len(COCO17.joints), 3))
    for row, name in enumerate(COCO17.joints):
        point = placed.centre + placed.scale * placed.figure.points[name][:2]
        if (point >= 0).all() and (point < (width, height)).all():
            visible = synthetic_body.seen(canvas.owner, person, placed.figure, name, point)
            joints[row] = (*point / FINE, 2 if visible else 1)
    return joints


def _box(silhouette: Bool[np.ndarray, "fine_height fine_width"]) -> Float[np.ndarray, "4"]:
    rows, columns = np.flatnonzero(silhouette.any(1)), np.flatnonzero(silhouette.any(0))
    return np.array((columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)) / FINE


def _background(
    generator: np.random.Generator, height: int, width: int
) -> UInt8[np.ndarray, "height width 3"]:
    """Return a wall and a floor with blotches and with things that are no people."""
    colours = _muted(generator, 4)
    horizon = generator.uniform(0.3, 0.8) * height
    y = np.arange(height)[:, None, None]
    wall = colours[0] + (colours[1] - colours[0]) * y / height
    floor = colours[2] + (colours[3] - colours[2]) * y / height
    picture = np.broadcast_to(np.where(y < horizon, wall, floor), (height, width, 3))
    picture = picture.astype(np.float32)
    for cells in (4, 12, 40):
        blotches = generator.standard_normal((cells, cells, 4), dtype=np.float32)
        blotches = cv2.resize(blotches, (width, height), interpolation=cv2.INTER_CUBIC)
        strength, tint = generator.uniform(0, (20, 7))
        picture += strength * blotches[..., 3:] + tint * blotches[..., :3]
    picture = np.ascontiguousarray(np.clip(picture, 0, 255).astype(np.uint8))
    for _ in range(generator.integers(3, 16)):
        _paint_thing(generator, picture)
    return cv2.GaussianBlur(picture, (0, 0), generator.uniform(0.4, 2.0))


def _muted(generator: np.random.Generator, count: int) -> Float[np.ndarray, "count 3"]:
    """Return colours of which most are not far from grey."""
    colours = generator.uniform(15, 240, (count, 3))
    grey = colours.mean(1, keepdims=True)
    return grey + (colours - grey) * generator.uniform(0.1, 0.9, (count, 1))


def _paint_thing(
    generator: np.random.Generator, picture: UInt8[np.ndarray, "height width 3"]
) -> None:
    """Paint a rectangle, disc, line, rod or grid in place."""
    height, width, _ = picture.shape
    colour = tuple(_muted(generator, 1)[0].tolist())
    start = (generator.uniform(0, 1, 2) * (width, height)).astype(int)
    reach = (generator.uniform(-0.3, 0.3, 2) * (width, height)).astype(int)
    kind = generator.integers(5)
    thickness = int(generator.integers(1, 9))
    end = start + reach
    if kind == 0:
        cv2.rectangle(picture, start.tolist(), end.tolist(), colour, -1)
    elif kind == 1:
        cv2.circle(picture, start.tolist(), int(generator.integers(3, height // 8)), colour, -1)
    elif kind == 2:
        cv2.line(picture, start.tolist(), end.tolist(), colour, thickness, cv2.LINE_AA)
    elif kind == 3:
        axes = (int(abs(reach[0]) // 2 + 3), int(thickness + 3))
        cv2.ellipse(
            picture, start.tolist(), axes, float(generator.uniform(0, 180)), 0, 360, colour, -1
        )
    else:
        for step in range(0, 5):
            shift = start + (step * (thickness + 5), 0)
            cv2.line(picture, shift.tolist(), (shift + (0, reach[1])).tolist(), colour, 2)


def _paint_scenery(generator: np.random.Generator, canvas: Canvas) -> None:
    """Sometimes put a thing in front of the people, standing on the lower edge."""
    if generator.random() > 0.2:
        return
    height, width = canvas.owner.shape
    wide, high = generator.uniform(0.06, 0.3) * width, generator.uniform(0.1, 0.4) * height
    left = generator.uniform(-0.1, 1) * width
    colour = _muted(generator, 1)[0]
    columns = slice(max(0, int(left)), max(0, int(left + wide)))
    rows = slice(int(height - high), height)
    y = np.linspace(1.1, 0.8, rows.stop - rows.start)[:, None, None]
    canvas.picture[rows, columns] = np.clip(colour * y, 0, 255).astype(np.uint8)
    canvas.owner[rows, columns] = SCENERY


def _photograph(
    generator: np.random.Generator, picture: UInt8[np.ndarray, "height width 3"]
) -> UInt8[np.ndarray, "height width 3"]:
    """Return the picture as a camera gives it: light that falls off, tint, blur, noise."""
    height, width, _ = picture.shape
    x, y = np.linspace(-1, 1, width), np.linspace(-1, 1, height)[:, None]
    slope = generator.uniform(-0.2, 0.2, 2)
    exposure = 2 ** generator.uniform(-0.5, 0.4) * (1 + slope[0] * x + slope[1] * y)
    tint = generator.uniform(0.9, 1.1, 3)
    lit = (picture * exposure[..., None] * tint).astype(np.float32)
    blur = generator.uniform(0, 1.1)
    if blur > 0.3:
        lit = cv2.GaussianBlur(lit, (0, 0), blur)
    noise = generator.standard_normal((height, width, 1), dtype=np.float32)
    return np.clip(lit + generator.uniform(0, 7) * noise, 0, 255).astype(np.uint8)
