import itertools
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import cv2
import numpy as np
import pytest

from rmpe_jax.config import DataConfig, SetConfig
from rmpe_jax.data import coco, dataset, index, shards
from rmpe_jax.skeletons import COCO17, MPII16


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


def sets(prepared):
    """Return the folders of finished sets."""
    return sorted(path.name for path in prepared.iterdir() if not path.name.startswith("."))


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
    assert sets(tmp_path) == sorted([one.folder.name, other.folder.name])


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
    assert "2.jpg" in summary["skipped"][0]
    assert dataset.prepare(config, "train").skipped == 1, "it is stored"


def interrupted_after(monkeypatch, photographs):
    """Make the reading of photographs end by an error after so many."""
    seen = itertools.count(1)
    digest = index.digest

    def counted(photograph):
        if next(seen) > photographs:
            raise KeyboardInterrupt
        return digest(photograph)

    monkeypatch.setattr(index, "digest", counted)
    return seen


def test_an_interrupted_preparation_goes_on_after_its_last_finished_shard(tmp_path, monkeypatch):
    config = synthetic(tmp_path, synthetic_train=10)
    monkeypatch.setattr(shards, "PHOTOGRAPHS", 4)
    with monkeypatch.context() as patch:
        interrupted_after(patch, 9)
        with pytest.raises(KeyboardInterrupt):
            dataset.prepare(config, "train")
    assert sets(tmp_path) == []
    with monkeypatch.context() as patch:
        seen = interrupted_after(patch, 99)
        source = dataset.prepare(config, "train")
    assert next(seen) == 3, "the two of the third shard are read, no other"
    whole = dataset.prepare(replace(config, prepared=str(tmp_path / "whole")), "train")
    assert source.fingerprint == whole.fingerprint and len(source) == 10
    for one, other in zip(source, whole, strict=True):
        assert one.jpeg == other.jpeg
        same(one.persons, other.persons)
    files = [sorted(p.name for p in of.folder.rglob("*array_record*")) for of in (source, whole)]
    assert files[0] == files[1] and len(files[0]) == 3
    assert not list(tmp_path.glob(".*partial"))


def test_a_kill_at_the_very_end_loses_no_shard(tmp_path, monkeypatch):
    config = synthetic(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(shards, "gathered", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            dataset.prepare(config, "train")
    seen = interrupted_after(monkeypatch, 99)
    assert len(dataset.prepare(config, "train")) == 4
    assert next(seen) == 1, "nothing is read again"


def test_of_two_at_once_the_second_waits_and_uses_what_the_first_wrote(tmp_path):
    """Two processes, since a lock is a process's."""
    code = (
        "import sys\nfrom rmpe_jax.config import DataConfig\nfrom rmpe_jax.data import dataset\n"
        "config = DataConfig(prepared=sys.argv[1], synthetic_train=30)\n"
        "print(dataset.prepare(config, 'train').fingerprint)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    both = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    told = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    assert told[0][0] == told[1][0] != ""
    assert len(sets(tmp_path)) == 1


def test_changed_bytes_of_a_prepared_set_are_found(tmp_path):
    source = dataset.prepare(synthetic(tmp_path), "train")
    assert dataset.verify(source) == []
    (path,) = source.folder.rglob("*array_record-*")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    assert len(dataset.verify(source)) == 1 and path.name in dataset.verify(source)[0]
    path.unlink()
    assert len(dataset.verify(source)) == 1


def test_missing_images_are_an_error_if_that_is_wanted(tmp_path):
    config = small_coco(tmp_path / "coco", tmp_path / "prepared")
    (tmp_path / "coco/train2017/2.jpg").unlink()
    with pytest.raises(ValueError, match="1 images of coco train .*2.jpg: no such file.*missing"):
        dataset.prepare(replace(config, missing="error"), "train")
    assert len(dataset.prepare(config, "train")) == 2


def test_a_folder_without_any_of_the_images_is_an_error(tmp_path):
    config = small_coco(tmp_path / "coco", tmp_path / "prepared")
    for path in (tmp_path / "coco/train2017").iterdir():
        path.unlink()
    with pytest.raises(ValueError, match="none of the 3 annotated images of coco train can be re"):
        dataset.prepare(config, "train")
    assert sets(tmp_path / "prepared") == []


def test_the_fingerprint_is_of_the_content_and_not_of_where_it_came_from(tmp_path):
    one = small_coco(tmp_path / "a", tmp_path / "prepared")
    other = small_coco(tmp_path / "b", tmp_path / "prepared")
    (tmp_path / "b/train2017/unused.jpg").write_bytes(b"not annotated")
    first, second = dataset.prepare(one, "train"), dataset.prepare(other, "train")
    assert first.folder != second.folder and first.fingerprint == second.fingerprint


def test_joints_are_mapped_by_name_and_those_a_set_lacks_are_unlabelled(tmp_path):
    config = small_coco(tmp_path / "coco", tmp_path / "prepared")
    source = dataset.prepare(config, "train")
    mapped = dataset.prepare(replace(config, skeleton="MPII16"), "train")
    assert (source.skeleton, mapped.skeleton) == (COCO17, MPII16)
    assert mapped.fingerprint == source.fingerprint, "the same records"
    for photograph, annotated in zip(mapped, mapped.annotations(), strict=True):
        same(photograph.persons, annotated.persons)
    joints = mapped[2].persons.joints_px
    knee, neck = MPII16.joints.index("left_knee"), MPII16.joints.index("upper_neck")
    np.testing.assert_array_equal(joints[0, knee], [8.5, 9.25, 2])
    np.testing.assert_array_equal(joints[0, neck], [0, 0, 0])
    assert mapped[0].persons.joints_px.shape == (0, 16, 3)


def test_people_who_have_none_of_the_wanted_joints_are_not_trained_on(tmp_path):
    config = small_coco(tmp_path / "coco", tmp_path / "prepared")
    names = ["left_paw", "right_paw"]
    described = {"name": "animal", "keypoints": names, "skeleton": [[1, 2]], "sigmas": [0.1, 0.1]}
    path = tmp_path / "animal.json"
    path.write_text(json.dumps(described))
    source = dataset.prepare(replace(config, skeleton=str(path)), "train")
    assert source.skeleton.joints == tuple(names)
    assert len(source.person_index) == 0


def test_an_unknown_skeleton_says_which_there_are(tmp_path):
    config = synthetic(tmp_path, skeleton="COCO18")
    with pytest.raises(ValueError, match="data.skeleton is 'COCO18'; allowed are COCO17, .*JSON"):
        dataset.prepare(config, "train")


def test_a_mixture_has_the_joints_of_the_first_set(tmp_path):
    root = tmp_path / "coco"
    small_coco(root, tmp_path / "prepared")
    config = synthetic(
        tmp_path / "prepared",
        weight=3.0,
        also=(SetConfig(source="coco", root=str(root), weight=1.0),),
    )
    mixture = dataset.prepare_mixture(replace(config, skeleton="MPII16"))
    assert [source.data_set for source in mixture.sources] == ["synthetic", "coco"]
    assert [source.skeleton for source in mixture.sources] == [MPII16, MPII16]
    assert mixture.weights == (3.0, 1.0)


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


def test_a_preparation_recovers_when_the_pictures_are_there_again(tmp_path):
    """Whether all or one could not be read, whether skipped or an error."""
    config = small_coco(tmp_path / "coco", tmp_path / "prepared")
    folder = tmp_path / "coco/train2017"
    kept = {path.name: path.read_bytes() for path in folder.iterdir()}
    for path in folder.iterdir():
        path.write_bytes(b"?" * len(kept[path.name]))
    with pytest.raises(ValueError, match="none of the 3 annotated images"):
        dataset.prepare(config, "train")
    strict = replace(config, missing="error")
    (folder / "1.jpg").write_bytes(kept["1.jpg"])
    with pytest.raises(ValueError, match="2 images .* mend them and type the same command again"):
        dataset.prepare(strict, "train")
    for name, content in kept.items():
        (folder / name).write_bytes(content)
    assert len(dataset.prepare(strict, "train")) == 3


def test_a_picture_of_the_same_length_is_prepared_anew(tmp_path):
    config = small_coco(tmp_path / "coco", tmp_path / "prepared")
    first = dataset.prepare(config, "train")
    path = tmp_path / "coco/train2017/1.jpg"
    content = path.read_bytes()
    changed = content.replace(b"JFIF", b"JFIE")
    assert changed != content
    path.write_bytes(changed)
    os.utime(path, ns=(1, 1))
    assert dataset.prepare(config, "train").fingerprint != first.fingerprint


def test_what_is_prepared_may_lie_among_the_pictures(tmp_path):
    root = tmp_path / "coco"
    config = replace(small_coco(root, root / "prepared"), train_images=".")
    for path in (root / "train2017").iterdir():
        path.rename(root / path.name)
    first = dataset.prepare(config, "train")
    (root / "notes.txt").write_text("seen")
    (first.folder / dataset.CONTACT_SHEET).write_bytes(b"a picture of ours")
    assert dataset.prepare(config, "train").folder == first.folder


def test_a_link_to_nowhere_is_an_image_that_cannot_be_read(tmp_path):
    config = small_coco(tmp_path / "coco", tmp_path / "prepared")
    path = tmp_path / "coco/train2017/2.jpg"
    path.unlink()
    path.symlink_to(tmp_path / "nowhere.jpg")
    assert dataset.prepare(config, "train").skipped == 1


def test_a_file_name_that_leads_elsewhere_is_refused(tmp_path):
    config = small_coco(tmp_path / "coco", tmp_path / "prepared")
    path = tmp_path / "coco/annotations/person_keypoints_train2017.json"
    path.write_text(path.read_text().replace('"2.jpg"', '"../2.jpg"'))
    with pytest.raises(ValueError, match=r"image 2: \.\./2.jpg is not a file below"):
        dataset.prepare(config, "train")


@pytest.mark.parametrize("name", [dataset.SUMMARY, dataset.INDEX])
def test_a_damaged_set_says_what_to_remove(tmp_path, name):
    config = synthetic(tmp_path)
    folder = dataset.prepare(config, "train").folder
    path = folder / name
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ValueError, match=f"{folder} is damaged .*remove it and type the same"):
        dataset.prepare(config, "train")


def test_a_damaged_record_says_what_to_remove(tmp_path):
    source = dataset.prepare(synthetic(tmp_path), "train")
    (path,) = source.folder.rglob("*array_record-*")
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 64] = bytes(64)
    path.write_bytes(bytes(content))
    again = dataset.prepare(synthetic(tmp_path), "train")
    with pytest.raises(ValueError, match=f"{source.folder} is damaged .*remove it"):
        list(again)


def test_an_unknown_skeleton_is_not_taken_for_damage(tmp_path):
    dataset.prepare(synthetic(tmp_path), "train")
    with pytest.raises(ValueError, match="^data.skeleton is 'X'"):
        dataset.prepare(synthetic(tmp_path, skeleton="X"), "train")


def test_parts_are_left_out_of_training_and_are_all_there_is(tmp_path):
    settings = synthetic(tmp_path, synthetic_train=7)
    everybody = dataset.prepare(settings, "train")
    numbers = []
    for part in range(3):
        folded = replace(settings, folds=3, left_out=part)
        rest, kept = dataset.prepare(folded, "train"), dataset.left_out(folded)
        of_rest = [photograph.image_id for photograph in rest]
        of_kept = [photograph.image_id for photograph in kept]
        assert of_kept == [entry.image_id for entry in kept.annotations()]
        assert sorted(of_rest + of_kept) == [photograph.image_id for photograph in everybody]
        assert len(rest) == len(of_rest) and len(kept) in (2, 3)
        assert rest.fingerprint not in (everybody.fingerprint, kept.fingerprint)
        assert len(rest.person_index) + len(kept.person_index) == len(everybody.person_index)
        again = rest.with_joints(MPII16)
        assert [photograph.image_id for photograph in again] == of_rest
        numbers += of_kept
        assert len(dataset.prepare(folded, "validation")) == settings.synthetic_validation
    assert len(set(numbers)) == 7


def test_rows_of_rows_are_rows_of_the_whole(tmp_path):
    everybody = dataset.prepare(synthetic(tmp_path, synthetic_train=7), "train")
    some = everybody.take(np.array([5, 1, 3])).take(np.array([2, 0]))
    assert [entry.image_id for entry in some] == [everybody[3].image_id, everybody[5].image_id]


@pytest.mark.parametrize("folds, left_out", [(2, 2), (8, 0)])
def test_parts_that_there_are_not(tmp_path, folds, left_out):
    settings = synthetic(tmp_path, synthetic_train=7, folds=folds, left_out=left_out)
    with pytest.raises(ValueError, match=f"data.folds is {folds}.*1 to 7 parts"):
        dataset.prepare(settings, "train")
