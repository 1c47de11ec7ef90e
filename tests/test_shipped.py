"""The networks of the package: as small as promised, and as good on real photographs."""

import json
import re
from dataclasses import replace

import jax
import numpy as np
import pytest

import rmpe_jax
from experiments import shipped as measure
from rmpe_jax import human_detector, predict, shipped
from rmpe_jax.config import DataConfig
from rmpe_jax.data.dataset import prepare

MEGABYTES, PARAMETERS = 16, 4e6


def parameters(variables) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))


@pytest.fixture(scope="module")
def results(data_root, tmp_path_factory):
    """What is measured on a part of the test photographs."""
    config = DataConfig(
        source="coco",
        root=str(data_root / "coco_pose"),
        validation_annotations="annotations/person_keypoints_val.json",
        validation_images="val",
        prepared=str(tmp_path_factory.mktemp("prepared")),
    )
    source = prepare(config, "validation")
    return measure.measured(source.take(np.arange(0, len(source), 42)), resamples=0)


def test_they_are_small():
    files = [shipped.POSE, shipped.DETECTOR, shipped.NMS]
    assert sum(file.stat().st_size for file in files) < MEGABYTES * 1e6
    assert parameters(predict.load(shipped.POSE).variables) <= PARAMETERS
    assert parameters(human_detector.load(shipped.DETECTOR).variables) <= PARAMETERS


def test_they_work_on_real_photographs(results):
    """On 9 of them, whose figures lie far around those of all in experiments/results."""
    for name, figure in (
        ("detector_shipped", "AP50"),
        ("coco_small_shipped", "AP"),
        ("coco_small_shipped_detected", "AP"),
    ):
        known = json.loads((measure.RESULTS / f"{name}.json").read_text())
        assert known["images"] == 338
        assert results[name][figure] > 0.6 * known[figure]


def test_the_card_has_the_measured_figures():
    card = (shipped.HERE / "README.md").read_text()
    for name, figures in (
        ("detector_shipped", ("AP", "AP50", "recall50")),
        ("coco_small_shipped", ("AP", "AP50", "AP75")),
        ("coco_small_shipped_detected", ("AP", "AP50", "AP75")),
    ):
        known = json.loads((measure.RESULTS / f"{name}.json").read_text())
        row = " | ".join(f"{known[figure]:.3f}" for figure in figures)
        assert row in card, f"{name}: {row}"


def test_no_folder_of_a_machine_is_in_them():
    for file in (shipped.POSE, shipped.DETECTOR):
        head = file.read_bytes()[:200_000].decode("latin-1")
        assert not re.search(r"/(home|work|root|tmp|Users)/|\.\./", head)


def test_people_are_found_without_a_word_about_where(data_root):
    """One photograph in, everybody on it out, best first."""
    path = data_root / "coco_pose/images/val/000000000785.jpg"
    model = rmpe_jax.load()
    image = rmpe_jax.read_image(path)
    poses = model(image)
    best = int(np.argmax(poses.score))
    height, width, _ = image.shape
    assert poses.score[best] > 0.2
    x_min, y_min, x_max, y_max = poses.boxes_px[best]
    assert (x_max - x_min) * (y_max - y_min) > 0.05 * height * width
    (result,) = model.stream(path)
    np.testing.assert_allclose(result.poses.joints_px, poses.joints_px, atol=1e-3)
    (box,) = replace(model, nms=None)(image, boxes=[poses.boxes_px[best]]).boxes_px
    np.testing.assert_array_equal(box, poses.boxes_px[best])
