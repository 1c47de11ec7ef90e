import json

import pytest

from rmpe_jax.data import poses_files

# Of three inputs the first two processes have two and one; the second is a video of two frames,
# and on the third nobody is.
PARTS = {
    "poses.00000-of-00002.json": [("a.png", 1), ("a.png", 2)],
    "frames.00000-of-00002.json": [("a.png", 0), ("c.png", 2)],
    "poses.00001-of-00002.json": [("clip_000000", 3), ("clip_000001", 4)],
    "frames.00001-of-00002.json": [("clip_000000", 1), ("clip_000001", 1)],
}


@pytest.fixture
def parts(tmp_path):
    for name, rows in PARTS.items():
        key = "place" if name.startswith("frames") else "score"
        write(tmp_path / name, [{"image_id": image, key: value} for image, value in rows])
    return tmp_path


def write(path, records) -> None:
    path.write_text(json.dumps(records))


def scores(folder) -> list[int]:
    return [record["score"] for record in poses_files.read(folder)]


def test_parts_are_joined_in_the_order_of_the_inputs(parts):
    assert scores(parts) == [1, 2, 3, 4]
    for name, rows in (("poses", [("d.png", 5), ("b.png", 6)]), ("frames", [("d.png", 3)])):
        key = "place" if name == "frames" else "score"
        rows = [*rows, ("b.png", 0.5)] if name == "frames" else rows
        path = parts / f"{name}.00001-of-00002.json"
        more = [{"image_id": image, key: value} for image, value in rows]
        write(path, [*json.loads(path.read_text()), *more])
    assert scores(parts) == [1, 2, 6, 3, 4, 5]


@pytest.mark.parametrize("name", PARTS)
def test_a_missing_part_is_named_with_what_to_do(parts, name):
    (parts / name).unlink()
    told = f"of the parts of 2 processes {name} are missing; copy them here .* or start rmpe pre"
    with pytest.raises(ValueError, match=told):
        poses_files.read(parts)


def test_a_folder_with_the_poses_of_two_runs_says_what_to_remove(parts):
    write(parts / "poses.json", [])
    with pytest.raises(ValueError, match=r"poses\.json and poses\.\*-of-00002\.json; remove all"):
        poses_files.read(parts)
    (parts / "poses.json").rename(parts / "poses.00003-of-00004.json")
    with pytest.raises(ValueError, match=r"\*-of-00002\.json and poses\.\*-of-00004\.json; remove"):
        poses_files.read(parts)


def test_parts_of_different_runs_are_not_joined(parts):
    write(parts / "poses.00001-of-00002.json", [{"image_id": "old.png"}])
    with pytest.raises(ValueError, match="have no 'old.png'; start rmpe predict"):
        poses_files.read(parts)


def test_a_file_or_a_folder_with_one_is_read_as_it_is(tmp_path):
    write(tmp_path / "poses.json", [{"score": 2}, {"score": 1}])
    assert scores(tmp_path) == scores(tmp_path / "poses.json") == [2, 1]


def test_what_is_no_list_of_poses_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="neither poses.json nor parts"):
        poses_files.read(tmp_path)
    with pytest.raises(ValueError, match="absent.json: no such file"):
        poses_files.read(tmp_path / "absent.json")
    write(tmp_path / "poses.json", {})
    with pytest.raises(ValueError, match="COCO results are a list, this is no list"):
        poses_files.read(tmp_path)
