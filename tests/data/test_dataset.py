import json
import multiprocessing
import os
import shutil
import socket
import sys

import cv2
import numpy as np
import pytest

from rmpe_jax.config import DataConfig
from rmpe_jax.data import coco, dataset
from rmpe_jax.skeletons import COCO17


def synthetic(prepared, **change) -> DataConfig:
    settings = {"synthetic_train": 4, "synthetic_validation": 3} | change
    return DataConfig(prepared=str(prepared), synthetic_height=64, synthetic_width=80, **settings)


def small_coco(root, prepared, *, people=(0, 1, 2)) -> DataConfig:
    """Write a COCO folder: image i shows people[i] people, the last of an image without joints."""
    (root / "annotations").mkdir(parents=True)
    (root / "train2017").mkdir()
    images, annotations = [], []
    for image_id, count in enumerate(people, start=1):
        name = f"{image_id}.jpg"
        cv2.imwrite(str(root / "train2017" / name), np.full((50, 60, 3), 9 * image_id, np.uint8))
        images.append({"id": image_id, "file_name": name, "height": 50, "width": 60})
        for row in range(count):
            annotations.append(
                {
                    "id": 10 * image_id + row,
                    "image_id": image_id,
                    "category_id": 1,
                    "bbox": [5, 6, 30, 40],
                    "area": 500.5,
                    "iscrowd": 0,
                    "keypoints": [8.5, 9.25, 2] * 17 if row < count - 1 else [0] * 51,
                }
            )
    categories = [{"id": 1, "name": "person", "keypoints": list(COCO17.joints)}]
    document = {"images": images, "annotations": annotations, "categories": categories}
    path = root / "annotations/person_keypoints_train2017.json"
    path.write_text(json.dumps(document))
    return DataConfig(source="coco", root=str(root), prepared=str(prepared))


@pytest.fixture(scope="module")
def real(data_root, tmp_path_factory):
    config = DataConfig(
        source="coco",
        root=str(data_root / "coco_pose"),
        validation_annotations="annotations/person_keypoints_val.json",
        validation_images="val",
        prepared=str(tmp_path_factory.mktemp("prepared")),
    )
    return config, dataset.prepare(config, "validation")


def same(one, other):
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.dtype == b.dtype


def test_real_photographs_come_back_as_they_were_annotated(real, data_root):
    _, source = real
    entries = coco.index(data_root / "coco_pose/annotations/person_keypoints_val.json")
    assert len(source) == len(entries) == 338
    assert len(source.person_index) == 848
    for row, entry in enumerate(entries):
        photograph = source[row]
        assert photograph.image_id == entry.image_id
        assert (photograph.height, photograph.width) == (entry.height, entry.width)
        path = data_root / "coco_pose/images/val" / entry.file_name
        assert photograph.jpeg == path.read_bytes(), "the bytes are untouched"
        same(photograph.persons, entry.persons)


def test_annotations_need_no_image(real, data_root):
    _, source = real
    entries = coco.index(data_root / "coco_pose/annotations/person_keypoints_val.json")
    for came, wanted in zip(source.annotations(), entries, strict=True):
        assert came[:4] == wanted[:4]
        same(came.persons, wanted.persons)


def test_person_index_names_the_people_to_train_on(real):
    _, source = real
    annotations = source.annotations()
    for row, person in source.person_index:
        persons = annotations[row].persons
        assert (persons.joints_px[person, :, 2] > 0).any() and not persons.is_crowd[person]
    crowds = sum(int(entry.persons.is_crowd.sum()) for entry in annotations)
    everyone = sum(len(entry.persons.area) for entry in annotations)
    assert (crowds, everyone) == (29, 1388), "evaluation needs those one does not train on"


def test_what_is_prepared_is_opened_again_and_not_written_again(real, monkeypatch):
    config, source = real
    monkeypatch.setattr(dataset, "_write", lambda *_: pytest.fail("written again"))
    again = dataset.prepare(config, "validation")
    assert again.fingerprint == source.fingerprint and again[5].jpeg == source[5].jpeg


def test_tensorflow_is_not_needed(real):
    assert "tensorflow" not in sys.modules


def test_synthetic_splits_differ_and_are_stable(tmp_path):
    train = dataset.prepare(synthetic(tmp_path / "a"), "train")
    again = dataset.prepare(synthetic(tmp_path / "b"), "train")
    validation = dataset.prepare(synthetic(tmp_path / "a"), "validation")
    assert (len(train), len(validation)) == (4, 3)
    assert train.fingerprint == again.fingerprint != validation.fingerprint
    assert [p.jpeg for p in train] == [p.jpeg for p in again]
    assert not {p.jpeg for p in train} & {p.jpeg for p in validation}


@pytest.mark.parametrize("change", [{"seed": 1}, {"synthetic_train": 5}])
def test_other_settings_are_prepared_anew(tmp_path, change):
    one = dataset.prepare(synthetic(tmp_path), "train")
    other = dataset.prepare(synthetic(tmp_path, **change), "train")
    assert one.fingerprint != other.fingerprint and one.folder != other.folder
    assert len(list(tmp_path.iterdir())) == 2


def test_the_seeds_of_splits_never_meet(tmp_path):
    seeds = [
        dataset._synthetic_description(synthetic(tmp_path, seed=seed), split)["seed"]
        for seed in range(5)
        for split in ("train", "validation")
    ]
    assert len(set(seeds)) == 10


def test_a_changed_annotation_or_image_is_prepared_anew(tmp_path):
    config = small_coco(tmp_path / "coco", tmp_path / "prepared")
    first = dataset.prepare(config, "train").fingerprint
    path = tmp_path / "coco/annotations/person_keypoints_train2017.json"
    path.write_text(path.read_text().replace("500.5", "501.5"))
    second = dataset.prepare(config, "train").fingerprint
    cv2.imwrite(str(tmp_path / "coco/train2017/1.jpg"), np.eye(50, 60) * 255)
    third = dataset.prepare(config, "train").fingerprint
    assert len({first, second, third}) == 3


def test_both_layouts_of_images_are_found(tmp_path):
    config = small_coco(tmp_path / "coco", tmp_path / "prepared")
    assert len(dataset.prepare(config, "train")) == 3
    (tmp_path / "coco/images").mkdir()
    (tmp_path / "coco/train2017").rename(tmp_path / "coco/images/train2017")
    assert len(dataset.prepare(config, "train")) == 3


def test_images_without_people_and_people_without_joints_are_kept(tmp_path):
    source = dataset.prepare(small_coco(tmp_path / "coco", tmp_path / "prepared"), "train")
    assert [len(photograph.persons.area) for photograph in source] == [0, 1, 2]
    assert source[0].persons.joints_px.shape == (0, 17, 3)
    assert source.person_index.tolist() == [[2, 0]]


def test_unreadable_images_are_counted_named_and_skipped(tmp_path, capsys):
    config = small_coco(tmp_path / "coco", tmp_path / "prepared")
    (tmp_path / "coco/train2017/2.jpg").write_bytes(b"")
    source = dataset.prepare(config, "train")
    assert [photograph.image_id for photograph in source] == [1, 3] and source.skipped == 1
    told = " ".join(capsys.readouterr().err.split())
    assert "2.jpg: the file is empty" in told and "1 of 3 images could not be read" in told
    summary = json.loads((source.folder / dataset.SUMMARY).read_text())
    assert "2.jpg" in summary["reasons"][0]
    assert dataset.prepare(config, "train").skipped == 1, "it is stored"


def test_an_interrupted_preparation_is_done_again(tmp_path, monkeypatch):
    config = synthetic(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(dataset, "_index_arrays", lambda rows: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            dataset.prepare(config, "train")
    assert list(tmp_path.iterdir()) == []
    assert len(dataset.prepare(config, "train")) == 4


def test_what_a_killed_process_left_is_removed_and_what_a_live_one_writes_is_not(tmp_path):
    config = synthetic(tmp_path)
    folder = dataset.prepare(config, "train").folder
    shutil.rmtree(folder)
    process = multiprocessing.get_context("spawn").Process(target=print)
    process.start()
    process.join()
    dead = tmp_path / f".{folder.name}.{socket.gethostname()}-{process.pid}.abc"
    alive = tmp_path / f".{folder.name}.{socket.gethostname()}-{os.getppid()}.abc"
    elsewhere = tmp_path / f".{folder.name}.other-host-{process.pid}.abc"
    for path in (dead, alive, elsewhere):
        path.mkdir()
    dataset.prepare(config, "train")
    assert not dead.exists() and alive.exists() and elsewhere.exists()


def test_of_two_at_once_the_second_uses_what_the_first_wrote(tmp_path, monkeypatch):
    config, write = synthetic(tmp_path), dataset._write

    def slow(*arguments):
        write(*arguments)
        with monkeypatch.context() as patch:
            patch.setattr(dataset, "_write", write)
            dataset.prepare(config, "train")  # another one finishes meanwhile

    monkeypatch.setattr(dataset, "_write", slow)
    source = dataset.prepare(config, "train")
    assert len(source) == 4
    assert [path.name for path in tmp_path.iterdir()] == [source.folder.name]


def test_missing_data_say_what_came_what_is_expected_and_what_to_type(tmp_path):
    none = DataConfig(source="coco", prepared=str(tmp_path))
    expected = "Expected below it: annotations/person_keypoints_train2017.json .*--data.root DIR"
    with pytest.raises(ValueError, match=f"no folder was given.*{expected}"):
        dataset.prepare(none, "train")
    wrong = DataConfig(source="coco", root=str(tmp_path / "none"), prepared=str(tmp_path))
    with pytest.raises(ValueError, match=f"none is no folder.*{expected}"):
        dataset.prepare(wrong, "train")


def test_a_missing_annotation_file_or_image_folder_is_named(tmp_path):
    config = small_coco(tmp_path / "coco", tmp_path / "prepared")
    with pytest.raises(
        ValueError,
        match=r"holds annotations, train2017, but there is no .*person_keypoints_val2017\.json",
    ):
        dataset.prepare(config, "validation")
    shutil.rmtree(tmp_path / "coco/train2017")
    with pytest.raises(ValueError, match="there is no .*coco/train2017 or .*images/train2017"):
        dataset.prepare(config, "train")


def test_an_empty_synthetic_set_is_refused(tmp_path):
    with pytest.raises(ValueError, match="synthetic train: 0 images of 80 x 64 came; at least 1"):
        dataset.prepare(synthetic(tmp_path, synthetic_train=0), "train")
