import json

import cv2
import numpy as np
import pytest

from rmpe_jax import config as configs
from rmpe_jax.config import DataConfig
from rmpe_jax.data import listing, releases
from tests.evaluation import cases


@pytest.fixture
def entries(tmp_path):
    """Two annotated images, both on disk."""
    made = [
        entry._replace(height=height, width=width)
        for entry, (height, width) in zip(
            cases.photographs(np.random.default_rng(0), 2), [(60, 80), (50, 40)], strict=True
        )
    ]
    for entry in made:
        write(tmp_path, entry)
    return made


def write(folder, entry):
    pixels = np.full((entry.height, entry.width, 3), 90, np.uint8)
    cv2.imwrite(str(folder / entry.file_name), pixels)


def read(entries, folder):
    skipped = []
    found = list(listing.photographs(entries, folder, skipped.append))
    return found, [str(error) for error in skipped]


def test_photographs_carry_the_files_bytes_and_what_is_annotated(tmp_path, entries):
    photographs, skipped = read(entries, tmp_path)
    assert not skipped
    for photograph, entry in zip(photographs, entries, strict=True):
        assert photograph.jpeg == (tmp_path / entry.file_name).read_bytes()
        assert photograph.annotation == entry


def test_a_size_that_is_not_annotated_is_the_pictures(tmp_path, entries):
    (photograph,), _ = read([entries[1]._replace(height=0, width=0)], tmp_path)
    assert (photograph.height, photograph.width) == (50, 40)


def test_unreadable_images_are_reported_and_the_others_kept(tmp_path, entries):
    first, second = (tmp_path / entry.file_name for entry in entries)
    first.unlink()
    photographs, skipped = read(entries, tmp_path)
    assert [photograph.image_id for photograph in photographs] == [2]
    assert len(skipped) == 1 and "1.jpg: no such file" in skipped[0]
    first.write_bytes(second.read_bytes()[:-40])
    assert "1.jpg: the JPEG file is cut off" in read(entries, tmp_path)[1][0]
    write(tmp_path, entries[0])
    narrow = [entries[0]._replace(width=90)]
    assert "the picture is 80 x 60" in read(narrow, tmp_path)[1][0]


def test_every_source_of_a_configuration_is_a_known_release_and_the_other_way_round():
    assert set(configs.Source.__args__) == {"synthetic", *releases.RELEASES}


@pytest.mark.parametrize("name", releases.RELEASES)
def test_a_set_that_is_not_there_says_what_to_download_and_where_to_put_it(name, tmp_path):
    config = DataConfig(source=name, root=str(tmp_path))
    for split, (annotations, images) in releases.RELEASES[name].places.items():
        with pytest.raises(ValueError) as told:
            listing.of_split(config, split)
        message = str(told.value)
        for part in (annotations, images, releases.RELEASES[name].obtain, "--data.root DIR"):
            assert part in message
        assert f"{name} data: {tmp_path} holds nothing, but there is no" in message


def test_a_split_that_was_never_published_says_what_to_do():
    with pytest.raises(ValueError, match="lspet has no validation split .* `data.also`"):
        listing.of_split(DataConfig(source="lspet", root="x"), "validation")


def test_the_splits_that_a_folder_holds(tmp_path):
    config = DataConfig(source="coco", root=str(tmp_path))
    assert listing.published(config) == ["train", "validation"]
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations/person_keypoints_val2017.json").write_text("")
    assert listing.published(config) == ["validation"]
    assert listing.published(DataConfig()) == ["train", "validation"]


def test_the_seeds_of_splits_never_meet():
    seeds = [
        listing.synthetic_description(DataConfig(seed=seed), split)["seed"]
        for seed in range(5)
        for split in ("train", "validation")
    ]
    assert len(set(seeds)) == 10


def test_crowdposes_area_is_that_of_the_box_whatever_the_file_says(tmp_path, data_root):
    path = data_root / "mmpose_min/crowdpose/test_crowdpose.json"
    document = json.loads(path.read_text())
    for person in document["annotations"]:
        person["area"] = 7.0
    (tmp_path / "people.json").write_text(json.dumps(document))
    read = releases.RELEASES["crowdpose"].read(tmp_path / "people.json", "train")
    boxes = {person["id"]: person["bbox"] for person in document["annotations"]}
    for entry in read.annotations:
        for number, area in zip(entry.persons.person_id, entry.persons.area, strict=True):
            _, _, width, height = boxes[int(number)]
            assert area == pytest.approx(0.53 * width * height)


def test_a_file_without_images_and_people_without_area_are_told(tmp_path, data_root):
    path = tmp_path / "people.json"
    document = json.loads((data_root / "mmpose_min/crowdpose/test_crowdpose.json").read_text())
    path.write_text(json.dumps(document))
    (tmp_path / "x").mkdir()
    assert releases.RELEASES["coco"].read(path, "train").notes == [
        "5 people have no area: 0.53 of their box stands in"
    ]
    path.write_text(json.dumps(document | {"images": [], "annotations": []}))
    config = DataConfig(
        source="coco", root=str(tmp_path), train_annotations="people.json", train_images="x"
    )
    with pytest.raises(ValueError, match="people.json: no images for the train split are annotat"):
        listing.of_split(config, "train")
