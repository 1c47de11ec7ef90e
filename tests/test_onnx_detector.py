import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from rmpe_jax import onnx_detector
from rmpe_jax.data import detection_files, images
from rmpe_jax.geometry import boxes
from rmpe_jax.onnx_layouts import LAYOUTS
from tests.test_onnx_layouts import Port

RTMDET, FASTESTDET = "weights/rtmdet_nano_person_320.onnx", "weights/fastestdet_352.onnx"
PERSON_PX = [20.0, 10.0, 60.0, 90.0]  # on a picture of 100 x 200


class Network:
    """A session that finds the one white box in its window, as a DETR or a YOLOX says it."""

    def __init__(self, side, layout="detr", *, picture="tensor(float)", told=False):
        self.side, self.layout, self.told = side, layout, told
        self.inputs = [Port("images", ["N", 3, side, side], picture)]
        self.inputs += [Port("orig_target_sizes", ["N", 2], "tensor(int64)")] * told
        self.fed = {}

    def get_inputs(self):
        return self.inputs

    def get_outputs(self):
        if self.told:
            labels = Port("labels", ["N", 1], "tensor(int64)")
            return [labels, Port("boxes", ["N", 1, 4]), Port("scores", ["N", 1])]
        if self.layout == "detr":
            return [Port("logits", [1, 1, 2]), Port("boxes", [1, 1, 4])]
        return [Port("output", [1, "n", 6])]

    def run(self, names, feed):
        assert names == [port.name for port in self.get_outputs()]
        self.fed = feed
        (window,) = feed["images"]
        white = window.min(axis=0) > (0.9 if self.layout == "detr" else 230)
        down, across = (np.flatnonzero(white.any(axis=axis)) for axis in (1, 0))
        corners = np.array([across[0], down[0], across[-1] + 1, down[-1] + 1], np.float32)
        if self.told:
            share = feed["orig_target_sizes"][0] / np.array([window.shape[2], window.shape[1]])
            box = corners * np.tile(share, 2)
            return np.zeros((1, 1), np.int64), box[None, None], np.full((1, 1), 0.75)
        centre, sides = boxes.centre(corners), boxes.size(corners)
        if self.layout == "detr":
            box = np.concatenate([centre, sides]) / window.shape[1]
            return np.array([[[1.0, 9.0]]]), box[None, None].astype(window.dtype)
        rows = np.zeros((1, sum((len(window[0]) // stride) ** 2 for stride in (8, 16, 32)), 6))
        # The second cell of the first row is (1, 0) of stride 8.
        rows[0, 1] = [*(centre / 8 - [1, 0]), *np.log(sides / 8), 0.5, 0.5]
        return [rows.astype(np.float32)]


def picture():
    image = np.zeros((200, 100, 3), np.uint8)
    x_min, y_min, x_max, y_max = map(int, PERSON_PX)
    image[y_min:y_max, x_min:x_max] = 255
    return image


@pytest.mark.parametrize(
    ("network", "score"),
    [
        (Network(320), 0.731059),
        (Network(320, told=True), 0.75),
        (Network(320, "yolox"), 0.25),
        (Network("side", "yolox"), 0.25),
    ],
)
def test_boxes_come_back_in_pixels_of_the_photograph(network, score):
    detector = onnx_detector.of_session(network, "x.onnx")
    found = detector(picture())
    np.testing.assert_allclose(found.boxes_px, [PERSON_PX], atol=1)
    assert found.score == pytest.approx([score], abs=1e-4)
    side = 320 if network.side == 320 else onnx_detector.SIDE
    assert network.fed["images"].shape == (1, 3, side, side)


def test_a_network_in_half_precision_is_fed_so():
    network = Network(320, picture="tensor(float16)")
    found = onnx_detector.of_session(network, "x.onnx")(picture())
    assert network.fed["images"].dtype == np.float16
    np.testing.assert_allclose(found.boxes_px, [PERSON_PX], atol=1)


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [
        ("yolox", [50, 100, 200], [114, 114, 114]),
        (
            "rtmdet",
            [(50 - 103.53) / 57.375, (100 - 116.28) / 57.12, (200 - 123.675) / 58.395],
            [(114 - 103.53) / 57.375, (114 - 116.28) / 57.12, (114 - 123.675) / 58.395],
        ),
        ("fastestdet", [50 / 255, 100 / 255, 200 / 255], None),
        ("detr", [200 / 255, 100 / 255, 50 / 255], None),
    ],
)
def test_each_network_gets_its_colours(name, first, last):
    image = np.full((50, 100, 3), (200, 100, 50), np.uint8)
    window, scale = onnx_detector.windowed(image, LAYOUTS[name], 64, 96)
    assert window.shape == (3, 64, 96) and window.dtype == np.float32
    np.testing.assert_allclose(window[:, 0, 0], first, rtol=1e-5)
    np.testing.assert_allclose(window[:, -1, -1], first if last is None else last, rtol=1e-5)
    np.testing.assert_allclose(scale, [0.96, 1.28 if last is None else 0.96])
    if last is not None:
        np.testing.assert_allclose(window[:, 47, 95], first, rtol=1e-5)
        np.testing.assert_allclose(window[:, 48, 95], last, rtol=1e-5)


def test_a_thin_photograph_keeps_a_pixel():
    window, scale = onnx_detector.windowed(
        np.zeros((1, 900, 3), np.uint8), LAYOUTS["yolox"], 64, 64
    )
    assert (window[:, 0] == 0).all() and (window[:, 1:] == onnx_detector.GREY).all()
    assert scale.tolist() == [64 / 900, 1]


@pytest.mark.parametrize(
    "inputs",
    [
        [Port("x", [1, 320, 320, 3])],
        [Port("x", [8, 3, 320, 320])],
        [Port("x", [1, 3, 320, 320], "tensor(uint8)")],
        [Port("image", [1, 3, 320, 320]), Port("scale", [1, 2]), Port("shape", [1, 2])],
        [Port("image", [1, 3, 320, 320]), Port("mask", [1, 64, 64], "tensor(float)")],
    ],
)
def test_other_inputs_are_refused_and_shown(inputs):
    network = Network(320)
    network.inputs = inputs
    with pytest.raises(ValueError, match=r"^x\.onnx: its inputs are not a picture") as caught:
        onnx_detector.of_session(network, "x.onnx")
    assert f"{inputs[0].name}: {inputs[0].type} {inputs[0].shape}" in str(caught.value)


def test_what_goes_wrong_at_work_names_the_file(monkeypatch):
    network = Network(320, "yolox")
    detector = onnx_detector.of_session(network, "x.onnx")
    monkeypatch.setattr(network, "run", lambda *_: [np.zeros((1, 7, 6), np.float32)])
    with pytest.raises(ValueError, match=r"^x\.onnx: 7 boxes came"):
        detector(picture())

    def broken(*_):
        raise RuntimeError("no kernel")

    monkeypatch.setattr(network, "run", broken)
    with pytest.raises(ValueError, match=r"^x\.onnx: onnxruntime cannot run it: no kernel"):
        detector(picture())


def test_files_that_are_none_are_refused(tmp_path):
    pytest.importorskip("onnxruntime")
    path = tmp_path / "x.onnx"
    with pytest.raises(ValueError, match="x.onnx: no such file; expected a detector"):
        onnx_detector.load(path)
    path.touch()
    with pytest.raises(ValueError, match="x.onnx: 0 bytes that are no ONNX file"):
        onnx_detector.load(path)
    path.write_text("a text")
    with pytest.raises(ValueError, match="x.onnx: 6 bytes that are no ONNX file"):
        onnx_detector.load(path)


def test_a_missing_package_says_what_to_type(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    path = tmp_path / "x.onnx"
    path.touch()
    with pytest.raises(ValueError, match=r'pip install "rmpe_jax\[onnx\]"'):
        onnx_detector.load(path)


@pytest.fixture(scope="module")
def photographs(data_root):
    pytest.importorskip("onnxruntime")
    files = sorted((data_root / "coco_pose" / "images" / "val").glob("*.jpg"))[:6]
    return {int(path.stem): images.read(path) for path in files}


def test_fastestdet_finds_the_boxes_that_are_kept_of_it(data_root, photographs):
    """Boxes and scores of another program, from 0.05 on, see detections/SOURCE.txt."""
    kept = detection_files.read(data_root / "detections/fastestdet_coco_val.json")
    detector = onnx_detector.load(data_root / FASTESTDET)
    for image_id, image in photographs.items():
        found, due = detector(image), detection_files.of_image(kept, image_id, "")
        sure = found.score >= 0.05
        assert sure.sum() == len(due.score)
        np.testing.assert_allclose(found.score[sure], due.score, atol=0.002)
        overlap = boxes.iou(due.boxes_px, found.boxes_px[sure])
        assert (overlap.max(axis=1) > 0.98).all()


def test_rtmdet_finds_people_from_several_threads(data_root, photographs):
    detector = onnx_detector.load(data_root / RTMDET)
    alone = [detector(image) for image in photographs.values()]
    with ThreadPoolExecutor(3) as threads:
        together = list(threads.map(detector, [*photographs.values()] * 2))
    for one, other in zip(alone * 2, together, strict=True):
        np.testing.assert_allclose(one.boxes_px, other.boxes_px, atol=1e-3)
        assert len(one.score) and (np.diff(one.score) <= 0).all() and one.score[0] > 0.3
    with pytest.raises(ValueError, match="not those of --onnx-layout yolox"):
        onnx_detector.load(data_root / RTMDET, "yolox")


def test_a_photograph_of_any_size_is_taken(data_root):
    pytest.importorskip("onnxruntime")
    for path in (RTMDET, FASTESTDET):
        detector = onnx_detector.load(data_root / path)
        for height, width in ((1, 1), (3, 700), (33, 17)):
            found = detector(np.full((height, width, 3), 90, np.uint8))
            assert (found.boxes_px[:, 2:] <= [width, height]).all() and (found.boxes_px >= 0).all()
