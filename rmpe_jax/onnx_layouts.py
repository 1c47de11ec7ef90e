"""What detectors in ONNX files want to be given, and what their outputs mean.

The window is the picture a network gets: the photograph in the network's own size, either
stretched to it or, in its own proportions, at the top left of a grey square (a letterbox). Boxes
(`_window`) are corners in pixels of the window. People are the first class, as in COCO's order.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Num
from scipy.special import expit

from rmpe_jax.config import OnnxLayout

PERSON = 0  # among the classes
STRIDES = (8, 16, 32)  # of YOLOX and RTMDet
LARGEST_LOG = 20.0  # of the side of a YOLOX box in cells: those that are decoded already are longer
CLASSES = 80  # COCO's; networks with more number people otherwise and want other colours


@runtime_checkable  # for checks of types in tests
class Port(Protocol):
    """An input or output as a session describes it; sides that may vary are no numbers."""

    name: str
    shape: Any
    type: str


class Candidates(NamedTuple):
    """What a network proposes, before suppression; scores in [0, 1]."""

    boxes_window: Float[np.ndarray, "n 4"]
    score: Float[np.ndarray, " n"]


Outputs = dict[str, Num[np.ndarray, "..."]]
"""What a session has put out, by name and in its order."""


class Layout(NamedTuple):
    """How one kind of network is fed and read.

    `mean` and `deviation` are those of the grey levels in [0, 255], in the order of `colours`.
    `smooth` means that the photograph is averaged where it shrinks, not read at points.
    """

    stretched: bool
    smooth: bool
    colours: Literal["rgb", "bgr"]
    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]
    decode: Callable[[Outputs, int, int], Candidates]
    """From the outputs and the window's height and width."""
    fits: Callable[[Sequence[Port], int, int], bool]
    """Whether these can be its outputs for a window of that size."""


def chosen(
    name: OnnxLayout, inputs: Sequence[Port], outputs: Sequence[Port], height: int, width: int
) -> Layout:
    """Return the layout of that name, or for "auto" the one that inputs and outputs speak of.

    Raises ValueError, showing both, if they are none of it.
    """
    if name == "auto":
        fitting = [
            layout
            for key, layout in LAYOUTS.items()
            # By shapes alone many networks look like a DETR, so it is known by its names.
            if layout.fits(outputs, height, width) and (key != "detr" or _is_named_detr(outputs))
        ]
        if len(fitting) == 1:
            return fitting[0]
        problem = "its outputs are those of no detector that is known"
        advice = f"if it is one of {', '.join(LAYOUTS)}, type --onnx-layout NAME"
    elif name in LAYOUTS:
        if LAYOUTS[name].fits(outputs, height, width):
            return LAYOUTS[name]
        problem = f"its outputs are not those of --onnx-layout {name}"
        advice = f"the layouts are auto, {', '.join(LAYOUTS)}"
    else:
        raise ValueError(f"--onnx-layout is {name!r}; allowed are auto, {', '.join(LAYOUTS)}")
    raise ValueError(f"{problem}; {advice}\n{described(inputs, outputs)}")


def described(inputs: Sequence[Port], outputs: Sequence[Port]) -> str:
    """Return a line for each input and output: name, type, shape."""
    ports = [("input", port) for port in inputs] + [("output", port) for port in outputs]
    return "\n".join(f"  {kind} {of.name}: {of.type} {list(of.shape)}" for kind, of in ports)


def yolox(outputs: Outputs, height: int, width: int) -> Candidates:
    """Read YOLOX (Ge et al., 2021), exported without decoding.

    A row for each cell of strides 8, 16, 32: x, y, log width, log height, all in cells, and the
    probabilities of an object and of each class.
    """
    (rows,) = (array[0] for array in outputs.values())
    cells = [_cells(height // stride, width // stride) for stride in STRIDES]
    if len(rows) != sum(map(len, cells)):
        raise ValueError(
            f"{len(rows)} boxes came for a window of {width} x {height}; YOLOX of strides 8, 16, "
            f"32 has {sum(map(len, cells))}"
        )
    if rows[:, 2:4].max() > LARGEST_LOG:
        raise ValueError(
            "the boxes are in pixels already, YOLOX's raw ones are not; export it without "
            "--decode_in_inference"
        )
    stride = np.repeat(np.array(STRIDES, np.float32), [len(of) for of in cells])[:, None]
    centre = (rows[:, :2] + np.concatenate(cells)) * stride
    sides = np.exp(rows[:, 2:4]) * stride
    return Candidates(_about(centre, sides), rows[:, 4] * rows[:, 5 + PERSON])


def rtmdet(outputs: Outputs, height: int, width: int) -> Candidates:
    """Read RTMDet (Lyu et al., 2022), exported without suppression.

    Maps of strides 8, 16, 32, of the logits of the classes and of the distances in pixels to the
    left, top, right and bottom edge. They come as one map a level, logits first, or as two;
    channels last or first. Cell (row, column) speaks of the point (column, row) x stride: its
    corner, not its centre.
    """
    maps = _channels_last([array[0] for array in outputs.values()])
    logits = [level[..., PERSON] for level in maps if level.shape[2] != 4]
    edges = [level[..., -4:] for level in maps if level.shape[2] == 4 or len(logits) == len(maps)]
    found, scores = [], []
    for logit, edge in zip(logits, edges, strict=True):
        rows, columns = logit.shape
        point = _cells(rows, columns) * np.array([width / columns, height / rows], np.float32)
        edge = edge.reshape(-1, 4)
        found.append(np.concatenate([point - edge[:, :2], point + edge[:, 2:]], axis=1))
        scores.append(expit(logit.reshape(-1)))
    return Candidates(np.concatenate(found), np.concatenate(scores))


def fastestdet(outputs: Outputs, height: int, width: int) -> Candidates:
    """Read FastestDet (github.com/dog-qiuqiu/FastestDet): one map [5 + classes, rows, columns].

    Its channels are object, x, y, width, height and the classes, as probabilities. A cell scores
    object^0.6 x class^0.4, and nothing where people are not its best class.
    """
    (cells,) = (array[0] for array in outputs.values())
    _, rows, columns = cells.shape
    person = cells[5 + PERSON]
    score = cells[0] ** 0.6 * person**0.4 * (cells[5:].argmax(axis=0) == PERSON)
    place = _cells(rows, columns) + np.tanh(cells[1:3]).reshape(2, -1).T
    size = np.array([width, height], np.float32)
    sides = expit(cells[3:5]).reshape(2, -1).T * size
    return Candidates(_about(place * (size / [columns, rows]), sides), score.reshape(-1))


def detr(outputs: Outputs, height: int, width: int) -> Candidates:
    """Read RT-DETR (Zhao et al., 2024) and D-FINE (Peng et al., 2024), in either form.

    Raw: logits of each class [queries classes], and boxes as (x, y, width, height) about their
    centres in shares of the window. After its own last step: labels, boxes as corners in pixels of
    the size that it was told, which is the window's, and scores.
    """
    arrays = [array[0] for array in outputs.values()]
    boxes = next(array for array in arrays if array.shape[-1] == 4 and array.ndim == 2)
    others = [array for array in arrays if array is not boxes]
    if len(others) == 1:
        size = np.array([width, height], np.float32)
        return Candidates(
            _about(boxes[:, :2] * size, boxes[:, 2:] * size), expit(others[0][:, PERSON])
        )
    labels = next(array for array in others if array.dtype.kind == "i")
    score = next(array for array in others if array.dtype.kind == "f")
    people = labels == PERSON
    return Candidates(boxes[people], score[people])


def _about(
    centre: Float[np.ndarray, "n 2"], sides: Float[np.ndarray, "n 2"]
) -> Float[np.ndarray, "n 4"]:
    return np.concatenate([centre - sides / 2, centre + sides / 2], axis=1)


def _cells(rows: int, columns: int) -> Float[np.ndarray, "n 2"]:
    """Return (column, row) of each cell, row by row."""
    grid = np.meshgrid(np.arange(columns), np.arange(rows))
    return np.stack(grid, axis=-1).reshape(-1, 2).astype(np.float32)


def _channels_last(maps: list[np.ndarray]) -> list[np.ndarray]:
    """Return maps of several levels as [rows columns channels].

    Sizes differ from level to level, channels do not: they are the axis with fewer lengths.
    """
    first, last = ({level.shape[axis] for level in maps} for axis in (0, 2))
    return [np.moveaxis(level, 0, 2) for level in maps] if len(first) < len(last) else maps


def _is_yolox(outputs: Sequence[Port], height: int, width: int) -> bool:
    if [len(port.shape) for port in outputs] != [3]:
        return False
    _, count, columns = outputs[0].shape
    due = sum((height // stride) * (width // stride) for stride in STRIDES)
    return isinstance(columns, int) and columns > 5 and _may_be(count, due)


def _is_rtmdet(outputs: Sequence[Port], height: int, width: int) -> bool:
    shapes = [port.shape for port in outputs]
    if len(shapes) not in (3, 6) or any(len(shape) != 4 for shape in shapes):
        return False
    strides = STRIDES * 2
    for channel, row in ((1, 2), (3, 1)):
        sides = zip(shapes, strides, strict=False)
        are_levels = all(
            _may_be(shape[row], height // stride) and _may_be(shape[row + 1], width // stride)
            for shape, stride in sides
        )
        channels = [shape[channel] for shape in shapes]
        if not are_levels or not all(isinstance(length, int) for length in channels):
            continue
        if len(shapes) == 3:
            return len(set(channels)) == 1 and channels[0] > 4
        return channels.count(4) == 3 and len(set(channels)) == 2
    return False


def _is_fastestdet(outputs: Sequence[Port], height: int, width: int) -> bool:
    if [len(port.shape) for port in outputs] != [4]:
        return False
    _, channels, rows, columns = outputs[0].shape
    is_stride_16 = _may_be(rows, height // 16) and _may_be(columns, width // 16)
    return isinstance(channels, int) and channels > 5 and is_stride_16


def _is_detr(outputs: Sequence[Port], height: int, width: int) -> bool:
    boxes = [port for port in outputs if len(port.shape) == 3 and port.shape[2] == 4]
    others = [port for port in outputs if port not in boxes]
    if len(boxes) != 1:
        return False
    if len(others) == 1:
        shape = others[0].shape
        return len(shape) == 3 and isinstance(shape[2], int) and shape[2] <= CLASSES
    kinds = sorted("int" in port.type for port in others if len(port.shape) == 2)
    return len(others) == 2 and kinds == [False, True]


def _is_named_detr(outputs: Sequence[Port]) -> bool:
    names = [port.name for port in outputs]
    return set(names) == {"labels", "boxes", "scores"} or (
        any("logits" in name for name in names) and any("boxes" in name for name in names)
    )


def _may_be(length: object, due: int) -> bool:
    """Return whether a side of a shape is what is due, or may vary."""
    return length == due or not isinstance(length, int)


BLACK, WHITE = (0.0, 0.0, 0.0), (255.0, 255.0, 255.0)
LAYOUTS = {
    # Megvii's demo/ONNXRuntime, from release 0.1.1 on: grey levels as they are.
    "yolox": Layout(False, False, "bgr", BLACK, (1.0, 1.0, 1.0), yolox, _is_yolox),
    # MMDetection's configs/rtmdet: ImageNet's mean and deviation.
    "rtmdet": Layout(
        *(False, False, "bgr", (103.53, 116.28, 123.675), (57.375, 57.12, 58.395)),
        *(rtmdet, _is_rtmdet),
    ),
    "fastestdet": Layout(True, True, "bgr", BLACK, WHITE, fastestdet, _is_fastestdet),
    # Trained on photographs that torchvision shrinks with averaging.
    "detr": Layout(True, True, "rgb", BLACK, WHITE, detr, _is_detr),
}
