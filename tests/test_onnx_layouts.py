from math import exp, tanh
from typing import NamedTuple

import numpy as np
import pytest

from rmpe_jax import onnx_layouts
from rmpe_jax.onnx_layouts import LAYOUTS

HEIGHT, WIDTH = 64, 96


class Port(NamedTuple):
    name: str
    shape: list
    type: str = "tensor(float)"


PICTURE = Port("images", [1, 3, HEIGHT, WIDTH])
LEVELS = [(8, 12), (4, 6), (2, 3)]
YOLOX = [Port("output", [1, 126, 85])]
RTMDET = [Port(str(rows), [1, rows, columns, 5]) for rows, columns in LEVELS]
RTMDET_APART = [
    Port(f"{kind}_{rows}", [1, channels, rows, columns])
    for kind, channels in (("cls", 80), ("bbox", 4))
    for rows, columns in LEVELS
]
FASTESTDET = [Port("758", [1, 85, 4, 6])]
DETR_RAW = [Port("pred_logits", [1, 30, 80]), Port("pred_boxes", [1, 30, 4])]
DETR = [
    Port("labels", ["N", 30], "tensor(int64)"),
    Port("boxes", ["N", 30, 4]),
    Port("scores", ["N", 30]),
]
KNOWN = {
    "yolox": [YOLOX, [Port("out", ["batch", "boxes", 6])]],
    "rtmdet": [RTMDET, RTMDET_APART, [Port(str(i), [1, 84, "h", "w"]) for i in range(3)]],
    "fastestdet": [FASTESTDET, [Port("x", [1, 6, None, None])]],
    "detr": [DETR_RAW, DETR],
}
UNKNOWN = [
    [Port("output0", [1, 84, 126])],  # YOLOv8
    [Port("output", [1, 378, 85])],  # YOLOv5
    [Port("output", [1, 300, 6])],  # boxes after suppression
    [Port("output", [1, 126, 5])],
    [Port("heat", [1, 80, 16, 24])],  # of another stride
    [Port("boxes", [1, 900, 4]), Port("scores", [1, 900, 2])],  # SSD
    [Port("logits", [1, 300, 91]), Port("boxes", [1, 300, 4])],  # COCO's ids with their gaps
    RTMDET_APART[:3] + [Port(str(i), [1, 1, 8, 12]) for i in range(3)] + RTMDET_APART[3:],  # FCOS
    RTMDET[:2],
    [Port("a", [1, 4, 8, 12])] * 3,
    [Port(str(rows), [1, rows, columns, 4]) for rows, columns in LEVELS],
    [Port(str(rows), [1, 2 * rows, columns, 5]) for rows, columns in LEVELS],
    [Port(str(rows), [1, rows, 2 * columns, 5]) for rows, columns in LEVELS],
    [],
]


@pytest.mark.parametrize(
    ("name", "outputs"), [(name, ports) for name, all_ in KNOWN.items() for ports in all_]
)
def test_a_layout_is_told_by_its_outputs_and_may_be_named(name, outputs):
    for asked in ("auto", name):
        assert onnx_layouts.chosen(asked, [PICTURE], outputs, HEIGHT, WIDTH) is LAYOUTS[name]
    for other in set(LAYOUTS) - {name}:
        with pytest.raises(ValueError, match=f"not those of --onnx-layout {other}"):
            onnx_layouts.chosen(other, [PICTURE], outputs, HEIGHT, WIDTH)


@pytest.mark.parametrize("outputs", UNKNOWN)
def test_what_is_not_known_is_shown_with_the_flag(outputs):
    with pytest.raises(ValueError, match="--onnx-layout NAME") as caught:
        onnx_layouts.chosen("auto", [PICTURE], outputs, HEIGHT, WIDTH)
    assert "input images: tensor(float) [1, 3, 64, 96]" in str(caught.value)
    for port in outputs:
        assert f"output {port.name}: {port.type} {port.shape}" in str(caught.value)


def test_other_names_are_taken_where_the_layout_is_typed():
    outputs = [Port("a", [1, 30, 80]), Port("b", [1, 30, 4])]
    assert onnx_layouts.chosen("detr", [PICTURE], outputs, HEIGHT, WIDTH) is LAYOUTS["detr"]


def random(shapes, seed=0):
    generator = np.random.default_rng(seed)
    return {
        port.name: generator.normal(size=[1, *port.shape[1:]]).astype(np.float32) for port in shapes
    }


def agrees(found, rows, scores):
    np.testing.assert_allclose(found.boxes_window, rows, rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(found.score, scores, rtol=1e-5)


def sigmoid(x):
    return 1 / (1 + exp(-x))


def about(x, y, width, height):
    return [x - width / 2, y - height / 2, x + width / 2, y + height / 2]


def test_yolox_counts_cells_of_three_strides():
    outputs = random(YOLOX)
    rows, scores, row = [], [], 0
    for stride in (8, 16, 32):
        for down in range(HEIGHT // stride):
            for across in range(WIDTH // stride):
                x, y, log_width, log_height, thing, person = map(
                    float, outputs["output"][0, row, :6]
                )
                sides = exp(log_width) * stride, exp(log_height) * stride
                rows.append(about((x + across) * stride, (y + down) * stride, *sides))
                scores.append(thing * person)
                row += 1
    agrees(onnx_layouts.yolox(outputs, HEIGHT, WIDTH), rows, scores)


def test_yolox_refuses_other_counts_and_boxes_that_are_decoded():
    outputs = random(YOLOX)
    with pytest.raises(ValueError, match="126 boxes came for a window of 96 x 96; .* has 189"):
        onnx_layouts.yolox(outputs, 96, 96)
    outputs["output"][0, 5, 2] = 60
    with pytest.raises(ValueError, match="without --decode_in_inference"):
        onnx_layouts.yolox(outputs, HEIGHT, WIDTH)


@pytest.mark.parametrize("form", ["together", "apart", "channels first"])
def test_rtmdet_counts_from_the_corners_of_cells(form):
    outputs = random(RTMDET_APART if form == "apart" else RTMDET)
    rows, scores = [], []
    for level, (down, across) in enumerate(LEVELS):
        stride = 8 * 2**level
        for row in range(down):
            for column in range(across):
                if form == "apart":
                    person = outputs[f"cls_{down}"][0, 0, row, column]
                    edges = outputs[f"bbox_{down}"][0, :, row, column]
                else:
                    person, *edges = outputs[str(down)][0, row, column]
                left, top, right, bottom = map(float, edges)
                x, y = column * stride, row * stride
                rows.append([x - left, y - top, x + right, y + bottom])
                scores.append(sigmoid(float(person)))
    if form == "channels first":
        outputs = {name: array.transpose(0, 3, 1, 2) for name, array in outputs.items()}
    agrees(onnx_layouts.rtmdet(outputs, HEIGHT, WIDTH), rows, scores)


def test_fastestdet_takes_cells_whose_best_class_is_a_person():
    outputs = random(FASTESTDET)
    cells = outputs["758"][0]
    cells[[0, *range(5, 85)]] = 1 / (1 + np.exp(-cells[[0, *range(5, 85)]]))
    cells[5, :2] += 1  # people are the best class in half of the cells
    rows, scores = [], []
    for row in range(4):
        for column in range(6):
            thing, x, y, width, height, person, *others = map(float, cells[:, row, column])
            sides = sigmoid(width) * WIDTH, sigmoid(height) * HEIGHT
            centre = (column + tanh(x)) / 6 * WIDTH, (row + tanh(y)) / 4 * HEIGHT
            rows.append(about(*centre, *sides))
            scores.append(thing**0.6 * person**0.4 if person >= max(others) else 0)
    assert 12 <= np.count_nonzero(scores) < 24
    agrees(onnx_layouts.fastestdet(outputs, HEIGHT, WIDTH), rows, scores)


def test_detr_speaks_in_shares_of_the_window():
    outputs = random(DETR_RAW)
    rows = [
        about(x * WIDTH, y * HEIGHT, width * WIDTH, height * HEIGHT)
        for x, y, width, height in outputs["pred_boxes"][0].tolist()
    ]
    scores = [sigmoid(float(logits[0])) for logits in outputs["pred_logits"][0]]
    agrees(onnx_layouts.detr(outputs, HEIGHT, WIDTH), rows, scores)


def test_detr_after_its_last_step_speaks_in_pixels_of_all_classes():
    outputs = random(DETR)
    outputs["labels"] = np.array([[0, 3, 0] * 10])
    found = onnx_layouts.detr(outputs, HEIGHT, WIDTH)
    people = [row for row in range(30) if row % 3 != 1]
    agrees(found, outputs["boxes"][0, people], outputs["scores"][0, people])
