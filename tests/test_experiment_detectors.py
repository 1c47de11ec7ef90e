import json

import pytest

from experiments import detectors
from rmpe_jax.config import DataConfig
from rmpe_jax.data.dataset import prepare

FIGURES = {  # experiments/results/detector_others.json has those of all 338 photographs
    "RTMDet-nano person 320": (0.437, 0.658),
    "FastestDet 352": (0.263, 0.523),
}


@pytest.fixture(scope="module")
def result(data_root, tmp_path_factory):
    """On twelve of the photographs."""
    pytest.importorskip("onnxruntime")
    folder = tmp_path_factory.mktemp("twelve")
    path = data_root / "coco_pose/annotations/person_keypoints_val.json"
    document = json.loads(path.read_text())
    document["images"] = document["images"][:12]
    kept = {image["id"] for image in document["images"]}
    people = [person for person in document["annotations"] if person["image_id"] in kept]
    (folder / "val.json").write_text(json.dumps(document | {"annotations": people}))
    config = DataConfig(
        source="coco",
        root=str(data_root / "coco_pose"),
        validation_annotations=str(folder / "val.json"),
        validation_images="val",
        prepared=str(folder / "prepared"),
    )
    return detectors.compared(prepare(config, "validation"), data_root)


def test_networks_find_people_and_hog_few(result):
    found = result["detectors"]
    assert result["images"] == 12
    assert found["RTMDet-nano person 320"]["AP"] > found["FastestDet 352"]["AP"] > 0.15
    assert found["FastestDet 352"]["AP"] > 3 * found["OpenCV HOG"]["AP"] >= 0
    assert all(row["seconds_per_image"] > 0 for row in found.values())


def test_the_same_network_has_the_figures_of_its_file(result):
    ours, file = result["detectors"]["FastestDet 352"], result["files"]["FastestDet 352"]
    for name in detectors.KEPT:
        assert ours[name] == pytest.approx(file[name], abs=0.01)


def test_the_table_has_a_row_for_each(result):
    assert len(detectors.table(result).splitlines()) == 2 + len(detectors.DETECTORS) + 2


def test_what_is_kept_agrees_with_what_was_measured_elsewhere():
    kept = json.loads((detectors.RESULTS / "detector_others.json").read_text())
    assert kept["images"] == 338
    for name, (ap, ap50) in FIGURES.items():
        row = kept["detectors"][name]
        assert (row["AP"], row["AP50"]) == pytest.approx((ap, ap50), abs=0.01)
