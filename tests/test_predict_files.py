import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import pytest

from rmpe_jax import drawing, frames, window
from rmpe_jax.data import poses_files
from rmpe_jax.pose_nms import RMPE_MPII
from rmpe_jax.predict import PoseModel
from rmpe_jax.predict_files import Settings, predict_files
from rmpe_jax.records import Detections
from rmpe_jax.shares import Share
from rmpe_jax.sources import inputs, named, opened
from tests import videos
from tests.test_predict import model, picture  # noqa: F401  (the fixture)


def write(path, image) -> str:
    path.parent.mkdir(exist_ok=True)
    assert cv2.imwrite(str(path), image)
    return str(path)


def records(folder, name: str = "poses.json") -> list[dict]:
    return json.loads((folder / name).read_text())


def test_writes_coco_results_and_a_picture_an_image(model: PoseModel, tmp_path):  # noqa: F811
    first = write(tmp_path / "a.png", picture())
    second = write(tmp_path / "b.jpg", picture(seed=1))
    written = predict_files(model, named([first, second]), "10,10,70,110", tmp_path / "out")
    names = ["a_poses.png", "b_poses.png", "poses.json", "frames.json"]
    assert [path.name for path in written] == names
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(names)
    assert [record["image_id"] for record in records(tmp_path / "out")] == ["a.png", "b.jpg"]
    assert all(0 <= record["score"] <= 1 for record in records(tmp_path / "out"))
    drawn = cv2.imread(str(written[0]))
    assert drawn.shape == (120, 160, 3)
    assert not np.array_equal(drawn, cv2.imread(first))


def test_without_boxes_the_whole_image_is_one_person(model, tmp_path):  # noqa: F811
    path = write(tmp_path / "a.png", picture())
    predict_files(model, named([path]), None, tmp_path)
    (record,) = records(tmp_path)
    assert record["bbox"] == [0, 0, 160, 120]


@pytest.mark.parametrize("key", ["000000000007.png", 7])
def test_a_file_of_detections_is_found_by_name_or_number(model, tmp_path, key):  # noqa: F811
    path = write(tmp_path / "000000000007.png", picture())
    empty = write(tmp_path / "000000000008.png", picture())
    rows = [
        {"image_id": key, "category_id": 1, "bbox": [10, 10, 60, 100], "score": 0.5},
        {"image_id": key, "category_id": 1, "bbox": [60, 20, 90, 80], "score": 0.25},
    ]
    (tmp_path / "boxes.json").write_text(json.dumps(rows))
    predict_files(model, named([path, empty]), str(tmp_path / "boxes.json"), tmp_path / "out")
    assert [record["box_score"] for record in records(tmp_path / "out")] == [0.5, 0.25]
    told = records(tmp_path / "out", "frames.json")
    assert [(frame["poses"], frame["problem"]) for frame in told] == [(2, None), (0, None)]
    assert (tmp_path / "out/000000000008_poses.png").exists()  # nobody on it is a result too


def boxes_file(tmp_path, name: str, scores: list[float]) -> str:
    box = {"image_id": name, "category_id": 1, "bbox": [10, 10, 60, 100]}
    (tmp_path / "boxes.json").write_text(json.dumps([box | {"score": s} for s in scores]))
    return str(tmp_path / "boxes.json")


def test_pose_nms_leaves_one_pose_of_two_boxes_of_one_person(model, tmp_path):  # noqa: F811
    path = write(tmp_path / "a.png", picture())
    boxes = boxes_file(tmp_path, "a.png", [0.5, 0.25])
    predict_files(model, named([path]), boxes, tmp_path, Settings(nms="rmpe_mpii"))
    (record,) = records(tmp_path)
    assert record["box_score"] == 0.5


def test_of_a_crowd_the_best_are_kept_and_it_is_said(model, tmp_path, capsys):  # noqa: F811
    path = write(tmp_path / "a.png", picture())
    boxes = boxes_file(tmp_path, "a.png", [0.125, 0.75, 0.5, 0.25])
    predict_files(model, named([path]), boxes, tmp_path, Settings(most=2))
    assert [record["box_score"] for record in records(tmp_path)] == [0.75, 0.5]
    assert "2 people of a.png" in " ".join(capsys.readouterr().out.split())
    assert records(tmp_path, "frames.json")[0]["left_out"] == 2


def test_an_unreadable_file_is_reported_and_skipped(model, tmp_path, capsys):  # noqa: F811
    good = write(tmp_path / "a.png", picture())
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"")
    written = predict_files(model, named([str(bad), good]), None, tmp_path / "out")
    assert len(written) == 3
    said = " ".join(capsys.readouterr().out.split())
    assert "skipped" in said and "bad.jpg" in said and "1 poses in 2 frames, 1 skipped" in said
    first, second = records(tmp_path / "out", "frames.json")
    assert (first["poses"], second["poses"], second["problem"]) == (0, 1, None)
    assert "0 bytes" in first["problem"]


def test_a_box_that_cannot_be_used_costs_its_image_only(model, tmp_path, capsys):  # noqa: F811
    first = write(tmp_path / "000000000007.png", picture())
    second = write(tmp_path / "000000000008.png", picture())
    rows = [
        {"image_id": 7, "category_id": 1, "bbox": [900, 10, 60, 100], "score": 0.5},
        {"image_id": 8, "category_id": 1, "bbox": [10, 10, 60, 100], "score": 0.5},
    ]
    (tmp_path / "boxes.json").write_text(json.dumps(rows))
    boxes = str(tmp_path / "boxes.json")
    predict_files(model, named([first, second]), boxes, tmp_path / "out")
    assert [r["image_id"] for r in records(tmp_path / "out")] == ["000000000008.png"]
    assert "skipped" in capsys.readouterr().out


def test_files_of_the_same_name_get_pictures_and_records_of_their_own(model, tmp_path):  # noqa: F811
    (tmp_path / "b").mkdir()
    paths = [write(tmp_path / "a.png", picture()), write(tmp_path / "b" / "a.png", picture())]
    written = predict_files(model, named(paths), None, tmp_path / "out")
    assert [path.name for path in written[:2]] == ["a_poses.png", "a_2_poses.png"]
    assert [record["image_id"] for record in records(tmp_path / "out")] == paths


def test_only_unreadable_files_are_an_error_and_the_reasons_are_kept(model, tmp_path):  # noqa: F811
    with pytest.raises(ValueError, match="none of the 1 files could be used"):
        predict_files(model, named([str(tmp_path / "absent.jpg")]), None, tmp_path / "out")
    (frame,) = records(tmp_path / "out", "frames.json")
    assert "no such file" in frame["problem"] and records(tmp_path / "out") == []


def test_shares_are_together_what_one_process_writes(model, tmp_path):  # noqa: F811
    twins = [write(tmp_path / name / "a.png", picture(seed=seed)) for seed, name in enumerate("xy")]
    film = str(videos.write(tmp_path / "clip.mp4", videos.drawn(3, 120, 160)))
    last = write(tmp_path / "b.png", picture(seed=2))
    given = [twins[0], str(tmp_path / "absent.png"), film, last, twins[1], last]

    def wrote(name: str, processes: int) -> Path:
        for process in range(processes):
            share = Share(process, processes)
            found = opened(share.of(inputs(given)))
            predict_files(model, found, "10,10,70,110", tmp_path / name, share=share)
        return tmp_path / name

    whole, parts = wrote("whole", 1), wrote("parts", 4)
    assert poses_files.read(parts) == records(whole)
    frames_of_parts = [
        frame
        for process in range(4)
        for frame in records(parts, f"frames.0000{process}-of-00004.json")
    ]
    due = sorted(records(whole, "frames.json"), key=lambda frame: frame["place"] % 4)
    assert frames_of_parts == due
    assert [frame["place"] for frame in records(whole, "frames.json")] == [0, 1, 2, 2, 2, 3, 4, 5]
    pictures = [path for path in sorted(whole.iterdir()) if path.suffix == ".png"]
    assert [path.name for path in pictures] == [
        f"{stem}_poses.png" for stem in ("a_2", "a", "b_2", "b")
    ]
    for path in pictures:
        assert path.read_bytes() == (parts / path.name).read_bytes()


def test_a_process_without_a_file_writes_empty_parts_in_place_of_old_ones(model, tmp_path):  # noqa: F811
    share = Share(1, 2)
    for name in ("poses", "frames"):
        (tmp_path / f"{name}.00001-of-00002.json").write_text("[3]")
    predict_files(model, [], None, tmp_path, share=share)
    assert records(tmp_path, "poses.00001-of-00002.json") == []
    assert records(tmp_path, "frames.00001-of-00002.json") == []


def test_an_earlier_part_does_not_outlive_a_run_that_fails(model, tmp_path, monkeypatch):  # noqa: F811
    part = tmp_path / "poses.00000-of-00002.json"
    part.write_text("[3]")
    (tmp_path / "a_poses.png").mkdir()
    given = named([write(tmp_path / "a.png", picture())])
    with pytest.raises(OSError, match="a_poses.png"):
        predict_files(model, given, None, tmp_path, share=Share(0, 2))
    assert not part.exists()


def test_the_video_of_the_pictures_of_a_share_has_a_name_of_its_own(model, tmp_path):  # noqa: F811
    given = named([write(tmp_path / "a.png", picture())])
    settings = Settings(save_video=True, pictures="none")
    film, *_ = predict_files(model, given, None, tmp_path, settings, share=Share(1, 2))
    assert film.name == "pictures_poses.00001-of-00002.mp4"


def test_boxes_that_are_neither_file_nor_box_are_refused(model, tmp_path):  # noqa: F811
    with pytest.raises(ValueError, match=r"allowed are a \.json file .* or one box"):
        predict_files(model, named(["a.png"]), "10,10,70", tmp_path)


def test_openposes_layout_has_a_record_an_image(model, tmp_path):  # noqa: F811
    paths = [write(tmp_path / "a.png", picture()), str(tmp_path / "absent.png")]
    predict_files(model, named(paths), None, tmp_path / "out", Settings(layout="openpose"))
    first, second = records(tmp_path / "out")
    assert len(first["people"][0]["pose_keypoints_2d"]) == 54
    assert second["people"] == [] and "no such file" in second["problem"]


def test_a_video_becomes_a_video_of_its_size_and_speed(model, tmp_path, data_root):  # noqa: F811
    pictures = videos.pictures(data_root / "bonn_video/images", 120, 160)
    path = videos.write(tmp_path / "bonn.mp4", pictures, fps=12.0)
    settings = Settings(save_video=True)
    written = predict_files(model, named([path]), "40,20,90,110", tmp_path / "out", settings)
    assert [file.name for file in written] == ["bonn_poses.mp4", "poses.json", "frames.json"]
    assert frames.facts(written[0]) == (41, 12.0, 120, 160)
    assert [frame["number"] for frame in records(tmp_path / "out", "frames.json")] == list(
        range(41)
    )
    assert records(tmp_path / "out")[40]["image_id"] == "bonn_000040"


def test_a_broken_frame_keeps_its_place(model, tmp_path):  # noqa: F811
    path = videos.write(tmp_path / "clip.avi", videos.drawn(8, 120, 160), "MJPG")
    videos.damage(path, 3)
    settings = Settings(save_video=True, pictures="all")
    written = predict_files(model, named([path]), None, tmp_path / "out", settings)
    told = records(tmp_path / "out", "frames.json")
    assert [frame["problem"] is None for frame in told] == [True] * 3 + [False] + [True] * 4
    assert len([file for file in written if file.suffix == ".png"]) == 7
    assert frames.facts(tmp_path / "out/clip_poses.mp4").count == 8


def test_pictures_become_a_video_too(model, tmp_path):  # noqa: F811
    paths = [write(tmp_path / f"{name}.png", picture(60 + 10 * name)) for name in range(3)]
    settings = Settings(save_video=True, pictures="none")
    written = predict_files(model, named(paths), None, tmp_path / "out", settings)
    assert [path.name for path in written] == ["pictures_poses.mp4", "poses.json", "frames.json"]
    assert frames.facts(written[0]) == (3, 10.0, 60, 160)


def test_a_window_that_is_closed_ends_the_run(model, tmp_path, monkeypatch):  # noqa: F811
    shown = []
    monkeypatch.setattr(window, "check", lambda: None)
    monkeypatch.setattr(window, "show", lambda picture: bool(shown.append(picture)))
    paths = [write(tmp_path / f"{name}.png", picture()) for name in range(3)]
    paths.append(str(videos.write(tmp_path / "clip.mp4", videos.drawn(2, 120, 160))))
    settings = Settings(vis=True, pictures="none")
    predict_files(model, named(paths), None, tmp_path / "out", settings)
    assert len(shown) == 1 and len(records(tmp_path / "out")) == 1


def test_a_full_disk_is_an_error_and_earlier_results_are_kept(model, tmp_path, monkeypatch):  # noqa: F811
    def write_picture(path, image):
        if path.name == "2_poses.png":
            raise OSError(f"{path}: no space left")

    monkeypatch.setattr(drawing, "write", write_picture)
    paths = [write(tmp_path / f"{name}.png", picture()) for name in range(5)]
    with pytest.raises(OSError, match="no space left"):
        predict_files(model, named(paths), None, tmp_path / "out")
    assert [record["image_id"] for record in records(tmp_path / "out")] == ["0.png", "1.png"]
    assert len(records(tmp_path / "out", "frames.json")) == 2


def test_the_models_own_detector_and_nms_are_the_default(model, tmp_path):  # noqa: F811
    def detect(frame: frames.Frame) -> Detections:
        return Detections(
            np.tile([[10.0, 10, 70, 110]], (3, 1)), np.array([1, 0.5, 0.2]), np.ones(3, bool)
        )

    write(tmp_path / "a.png", picture())
    own = replace(model, detect=detect, nms=RMPE_MPII)

    def scores(boxes=None, **settings) -> list[float]:
        given = named([str(tmp_path / "a.png")])
        predict_files(own, given, boxes, tmp_path, Settings(pictures="none", **settings))
        return [record["box_score"] for record in records(tmp_path)]

    assert scores() == [1.0]
    assert scores(nms="none") == pytest.approx([1, 0.5, 0.2])
    assert scores(nms="none", box_threshold=0.4) == pytest.approx([1, 0.5])
    assert scores("20,20,60,100") == [1.0]
    assert records(tmp_path)[0]["bbox"] == [20, 20, 40, 80]


def test_pictures_of_every_kind_have_poses(model, tmp_path):  # noqa: F811
    """CMYK, 16 bits, alpha, grey with alpha, one bit, and turned by EXIF: 160 x 120 upright."""
    image, exif = PIL.Image.fromarray(picture()), PIL.Image.Exif()
    exif[0x0112] = 6
    deep = PIL.Image.fromarray(np.full((120, 160), 40000, np.uint16))
    image.convert("CMYK").save(tmp_path / "cmyk.jpg")
    deep.save(tmp_path / "deep.png")
    for mode in ("RGBA", "LA", "L", "P", "1"):
        image.convert(mode).save(tmp_path / f"{mode}.png")
    assert cv2.imwrite(str(tmp_path / "deep_colour.png"), picture().astype(np.uint16) * 257)
    image.transpose(PIL.Image.Transpose.ROTATE_90).save(tmp_path / "turned.jpg", exif=exif)
    predict_files(model, named([tmp_path]), None, tmp_path / "out", Settings(pictures="none"))
    told = records(tmp_path / "out", "frames.json")
    assert len(told) == 9 and len(records(tmp_path / "out")) == 9
    assert {(frame["height"], frame["width"], frame["problem"]) for frame in told} == {
        (120, 160, None)
    }


def test_a_picture_cut_off_and_one_of_too_many_pixels_cost_themselves_only(model, tmp_path):  # noqa: F811
    good, cut = write(tmp_path / "a.png", picture()), tmp_path / "cut.jpg"
    write(cut, picture())
    videos.cut(cut, 0.5)
    large, notes = write(tmp_path / "large.png", picture(200, 300)), tmp_path / "notes.txt"
    notes.write_text("no picture")
    given = named([str(cut), large, str(notes), good], max_pixels=30_000)
    predict_files(model, given, None, tmp_path / "out")
    *problems, last = [frame["problem"] for frame in records(tmp_path / "out", "frames.json")]
    for problem, told in zip(
        problems, ("is cut off after", "--max-pixels 60000", "'.txt'"), strict=True
    ):
        assert told in problem
    assert last is None and len(records(tmp_path / "out")) == 1


@pytest.mark.parametrize("name", ["poses.json", "frames.json"])
def test_a_folder_in_a_files_place_is_an_error_before_the_work(model, tmp_path, name):  # noqa: F811
    (tmp_path / "out" / name).mkdir(parents=True)
    path = write(tmp_path / "a.png", picture())
    with pytest.raises(OSError, match=f"{name} is a folder where a file is to be written"):
        predict_files(model, named([path]), None, tmp_path / "out")
    assert [found.name for found in (tmp_path / "out").iterdir()] == [name]


def test_a_folder_in_a_pictures_place_is_an_error_and_earlier_results_are_kept(model, tmp_path):  # noqa: F811
    (tmp_path / "out" / "1_poses.png").mkdir(parents=True)
    paths = [write(tmp_path / f"{name}.png", picture()) for name in range(3)]
    with pytest.raises(OSError, match="1_poses.png: the picture could not be written"):
        predict_files(model, named(paths), None, tmp_path / "out")
    assert [record["image_id"] for record in records(tmp_path / "out")] == ["0.png"]


def test_a_file_in_the_folders_place_is_an_error(model, tmp_path):  # noqa: F811
    path = write(tmp_path / "a.png", picture())
    for out in (path, f"{path}/deeper"):
        with pytest.raises(OSError, match="a.png is a file; --out wants a folder"):
            predict_files(model, named([path]), None, Path(out))


def test_a_file_that_is_read_only_is_an_error_before_the_work(model, tmp_path, monkeypatch):  # noqa: F811
    """Who may write everywhere, such as root, meets none: the question is answered for them."""
    path = write(tmp_path / "a.png", picture())
    (tmp_path / "poses.json").write_text("[3]")
    monkeypatch.setattr(os, "access", lambda path, mode: path.name != "poses.json")
    with pytest.raises(OSError, match="poses.json is read-only; make it writable or give another"):
        predict_files(model, named([path]), None, tmp_path)
    assert (tmp_path / "poses.json").read_text() == "[3]"


INTERRUPTED = """
import sys, time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
import numpy as np
from rmpe_jax import __main__ as main
from rmpe_jax.frames import Frame
from rmpe_jax.predict_files import Settings, predict_files
from rmpe_jax.skeletons import COCO17
from rmpe_jax.sources import Source
from tests.test_stream import fake

@dataclass
class Model:
    skeleton: Any = COCO17
    detect: Any = None
    nms: Any = None
    def __call__(self, image, boxes, scores=None):
        time.sleep(0.005)
        return fake(image, boxes, scores)

def frames():
    for number in range(10**9):
        yield Frame(f"{number:06d}", number, np.zeros((48, 64, 3), np.uint8), None)

class Command:
    def run(self):
        source = Source(frames(), None, 25.0, "camera")
        predict_files(Model(), [source], None, Path(sys.argv[1]), Settings(save_video=True))

main._keep_compiled = lambda: None
main.tyro.cli = lambda *given, **named: Command()
main.main()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_finishes_what_is_in_flight_and_leaves_whole_files(tmp_path, number):
    out = tmp_path / "out"
    given = [sys.executable, "-c", INTERRUPTED, str(out)]
    with subprocess.Popen(given, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        part = out / "frames.json.part"
        deadline = time.monotonic() + 60
        while not (part.exists() and part.stat().st_size > 2000):
            assert run.poll() is None and time.monotonic() < deadline, run.communicate()
            time.sleep(0.02)
        os.kill(run.pid, number)
        said, wrong = run.communicate(timeout=60)
    assert run.returncode == 130, wrong
    assert b"Traceback" not in wrong and b"poses in" in said
    poses, told = records(out), records(out, "frames.json")
    assert [frame["number"] for frame in told] == list(range(len(told)))
    assert len(poses) == len(told) > 10
    assert frames.facts(out / "camera_poses.mp4").count == len(told)
    assert not list(out.glob("*.part"))
