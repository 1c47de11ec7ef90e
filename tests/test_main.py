import json
import subprocess
import sys
import time
from dataclasses import replace

import cv2
import numpy as np
import pytest

from rmpe_jax import __main__ as main
from rmpe_jax.data.dataset import prepare
from rmpe_jax.evaluation import coco, nms_comparison, nms_search
from rmpe_jax.skeletons import COCO17
from tests import small, videos
from tests.data.test_atoms import people
from tests.test_predict import picture


def command(monkeypatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["rmpe", *arguments])
    monkeypatch.setattr(main, "_keep_compiled", lambda: None)
    main.main()


def write_config(folder, **changes) -> str:
    config = replace(small.config(folder), **changes)
    path = folder / "mine.py"
    path.write_text(f"from rmpe_jax.config import *\nconfig = {config!r}\n")
    return str(path)


def test_help_answers_without_importing_jax():
    began = time.perf_counter()
    code = (
        "import sys; sys.argv = ['rmpe', '--help']\n"
        "from rmpe_jax.__main__ import main\n"
        "try: main()\n"
        "except SystemExit as stop: assert not stop.code\n"
        "assert 'jax' not in sys.modules and 'cv2' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for word in (
        "prepare",
        "train",
        "eval",
        "score",
        "detect",
        "predict",
        "fit-pgpg",
        "fit-nms",
        "inspect",
        "doctor",
    ):
        assert word in done.stdout
    assert time.perf_counter() - began < 10  # hangs are caught; the speed itself is benchmarked


def test_train_eval_and_predict_one_after_the_other(monkeypatch, tmp_path, capsys):
    path = write_config(tmp_path)
    command(monkeypatch, "train", path, "--train.steps", "2", "--train.batch-size", "2")
    run = str(tmp_path / "run")
    assert json.loads((tmp_path / "run" / "config.json").read_text())["train"]["batch_size"] == 2
    command(monkeypatch, "eval", run, "--flip", "off", "--decode", "argmax")
    result = json.loads((tmp_path / "run" / "eval" / "result.json").read_text())
    assert (result["flip"], result["decode"], result["step"]) == (False, "argmax", 2)
    photo = tmp_path / "photo.png"
    cv2.imwrite(str(photo), picture())
    out = str(tmp_path / "out")
    command(monkeypatch, "predict", str(photo), "--checkpoint", run, "--out", out)
    assert (tmp_path / "out" / "photo_poses.png").exists()
    predict_as_alphapose(monkeypatch, tmp_path, run, capsys)
    capsys.readouterr()
    command(monkeypatch, "doctor")
    assert "devices:" in capsys.readouterr().out


def predict_as_alphapose(monkeypatch, tmp_path, run: str, capsys) -> None:
    """Its flags, by its names, on a folder, a list, a file and a video at once."""
    out, folder = tmp_path / "results", tmp_path / "folder"
    folder.mkdir()
    for name in ("a", "b"):
        cv2.imwrite(str(folder / f"{name}.png"), picture())
    (tmp_path / "list.txt").write_text("photo.png\nfolder/a.png\n")
    film = videos.write(tmp_path / "clip.mp4", videos.drawn(3, 120, 160))
    row = {"category_id": 1, "bbox": [10, 10, 60, 100], "score": 0.5}
    rows = [row | {"image_id": name} for name in ("photo.png", "b.png", 1)]
    (tmp_path / "boxes.json").write_text(json.dumps(rows))
    given = {
        "image": tmp_path / "folder/b.png",
        "indir": folder,
        "list": tmp_path / "list.txt",
        "video": film,
        "detfile": tmp_path / "boxes.json",
        "outdir": out,
        "format": "cmu",
        "checkpoint": run,
    }
    arguments = [text for name, value in given.items() for text in (f"--{name}", str(value))]
    command(monkeypatch, "predict", *arguments, "--save_img", "--save_video")
    names = [record["image_id"] for record in json.loads((out / "poses.json").read_text())]
    numbers = [len(record["bodies"]) for record in json.loads((out / "poses.json").read_text())]
    assert [name.rpartition("/")[2] for name in names] == [
        *("b.png", "a.png", "b.png#2", "photo.png", "a.png#2"),
        *(f"clip_{number:06d}" for number in range(3)),
    ]
    assert numbers == [1, 0, 1, 1, 0, 0, 1, 0]
    assert (out / "clip_poses.mp4").exists() and (out / "clip_000002_poses.png").exists()
    assert "4 poses in 8 frames, 0 skipped" in " ".join(capsys.readouterr().out.split())


def test_predict_says_what_cannot_be(monkeypatch, tmp_path, capsys):
    given = ("predict", "--checkpoint", "run")
    (tmp_path / "notes.txt").touch()
    said = stopped(monkeypatch, capsys, *given, "--indir", str(tmp_path))
    assert "no pictures, the folder holds 1 files (.txt)" in said
    said = stopped(monkeypatch, capsys, *given, "--video", str(tmp_path / "notes.txt"))
    assert "0 bytes that are no video" in said
    said = stopped(monkeypatch, capsys, *given, "--webcam", "77")
    assert "--webcam 77: no camera" in said
    said = stopped(monkeypatch, capsys, *given, "--format", "xml")
    assert "openpose" in said
    said = stopped(monkeypatch, capsys, *given, "a.png", "--save-img", "--no-pictures")
    assert "contradict" in said
    assert "no images were given; type rmpe predict PHOTO" in stopped(monkeypatch, capsys, *given)
    said = stopped(monkeypatch, capsys, *given, "--webcam", "0", "--distributed")
    assert "a camera is none: leave one out" in said
    said = stopped(monkeypatch, capsys, *given, "a.png", "--process", "0")
    assert "want --distributed as well" in said


def test_an_interrupt_ends_with_130(monkeypatch, capsys):
    def interrupted(self):
        raise KeyboardInterrupt

    monkeypatch.setattr(main.Doctor, "run", interrupted)
    with pytest.raises(SystemExit) as stop:
        command(monkeypatch, "doctor")
    assert stop.value.code == 130


def stopped(monkeypatch, capsys, *arguments: str) -> str:
    with pytest.raises(SystemExit) as stop:
        command(monkeypatch, *arguments)
    assert stop.value.code
    said = capsys.readouterr()
    words = f"{stop.value.code} {said.out} {said.err}".replace("│", " ")
    return " ".join(words.split())


def test_a_misspelt_setting_is_refused_with_what_was_meant(monkeypatch, tmp_path, capsys):
    path = write_config(tmp_path)
    said = stopped(monkeypatch, capsys, "train", path, "--model.stack", "2")
    assert "--model.stacks" in said


def test_a_value_that_is_not_allowed_is_refused_with_what_is(monkeypatch, tmp_path, capsys):
    path = write_config(tmp_path)
    said = stopped(monkeypatch, capsys, "train", path, "--model.family", "hourglas")
    assert "hourglass" in said and "fastpose" in said


def test_a_missing_config_is_one_line(monkeypatch, capsys):
    said = stopped(monkeypatch, capsys, "train", "configs/nine.py")
    assert said.startswith("rmpe: no configuration file 'configs/nine.py'")
    assert "Traceback" not in said


def test_missing_data_says_what_to_type(monkeypatch, tmp_path, capsys):
    path = write_config(tmp_path)
    said = stopped(
        monkeypatch, capsys, "train", path, "--data.source", "coco", "--data.root", "/no/where"
    )
    assert "/no/where" in said and "--data.root DIR" in said


def test_a_folder_without_a_checkpoint_says_what_to_give(monkeypatch, tmp_path, capsys):
    said = stopped(monkeypatch, capsys, "eval", str(tmp_path))
    assert "holds no checkpoint; give the work directory of a run" in said


def test_proposals_are_fitted_and_used_in_training(monkeypatch, tmp_path, capsys):
    np.savez(tmp_path / "poses.npz", keypoints=people(0, 60)[1])
    out = tmp_path / "fitted.json"
    poses = ("--poses", str(tmp_path / "poses.npz"))
    command(monkeypatch, "fit-pgpg", *poses, "--atoms", "3", "--out", str(out))
    said = capsys.readouterr().out
    assert "3 atoms from 60 of 60 poses" in said
    assert f"--augment.proposals pgpg --augment.pgpg {out}" in said
    use = ("--augment.proposals", "pgpg", "--augment.pgpg", str(out))
    path = write_config(tmp_path)
    command(monkeypatch, "train", path, *use, "--train.steps", "1", "--train.batch-size", "2")
    kept = json.loads((tmp_path / "run" / "config.json").read_text())["augment"]
    assert (kept["proposals"], kept["pgpg"]) == ("pgpg", str(out))


def test_fitting_proposals_to_nothing_says_what_to_give(monkeypatch, tmp_path, capsys):
    said = stopped(monkeypatch, capsys, "fit-pgpg", "--out", str(tmp_path / "x.json"))
    assert said.startswith("rmpe: no poses came: give COCO keypoint annotations")
    assert "Traceback" not in said


def test_a_file_that_was_not_fitted_says_what_to_type(monkeypatch, tmp_path, capsys):
    (tmp_path / "x.json").write_text("{}")
    use = ("--augment.proposals", "pgpg", "--augment.pgpg", str(tmp_path / "x.json"))
    said = stopped(monkeypatch, capsys, "train", write_config(tmp_path), *use)
    assert "x.json: no schema, skeleton" in said
    assert "fit one with: rmpe fit-pgpg ANNOTATIONS --detections FILE --out FILE" in said


def test_fit_nms_leaves_a_file_that_eval_takes(monkeypatch, tmp_path, capsys):
    path = write_config(tmp_path)
    command(monkeypatch, "train", path, "--train.steps", "1", "--train.batch-size", "2")
    run = tmp_path / "run"
    command(monkeypatch, "eval", str(run), "--split", "train")
    result = json.loads((run / "eval" / "result.json").read_text())
    assert result["images"] == small.config(tmp_path).data.synthetic_train
    people = tmp_path / "people.json"
    source = prepare(small.config(tmp_path).data, "train")
    people.write_text(json.dumps(coco.ground_truth(source.annotations(), COCO17)))
    learned = tmp_path / "nms"
    monkeypatch.setattr(nms_search, "QUICK", nms_search.Thoroughness(3, 3, 0, options=()))
    monkeypatch.setattr(nms_comparison, "PUBLISHED", {})
    poses = str(run / "eval" / "records.json")
    command(monkeypatch, "fit-nms", poses, str(people), "--out", str(learned), "--quick")
    assert "learned: sigma1" in capsys.readouterr().out
    command(monkeypatch, "eval", str(run), "--nms", str(learned / "fit_nms.json"))
    result = json.loads((run / "eval" / "result.json").read_text())
    assert result["nms"] == str(learned / "fit_nms.json")
    said = stopped(monkeypatch, capsys, "fit-nms", poses, str(people), "--start", "none")
    assert "such as at rmpe_mpii" in said
    said = stopped(monkeypatch, capsys, "fit-nms", poses, str(people), "--test-poses", poses)
    assert "belong together" in said
    said = stopped(monkeypatch, capsys, "fit-nms", str(tmp_path / "no.json"), str(people))
    assert "no such file" in said


def test_a_set_is_prepared_and_shown(monkeypatch, tmp_path, capsys, data_root):
    root, out = str(data_root / "mmpose_min/crowdpose"), str(tmp_path / "out")
    files = ("--annotations", "test_crowdpose.json", "--images", ".")
    given = ("prepare", "crowdpose", root, "--split", "validation", *files, "--out", out)
    command(monkeypatch, *given)
    said = capsys.readouterr().out
    assert "people              5 (0 crowds)" in said and "CROWDPOSE14, 14 joints" in said
    (folder,) = (tmp_path / "out").glob("crowdpose-validation-*")
    assert (folder / "contact_sheet.png").exists()
    command(monkeypatch, *given, "--skeleton", "COCO17")
    assert "COCO17, 17 joints" in capsys.readouterr().out
    (records,) = folder.rglob("*array_record-*")
    records.write_bytes(records.read_bytes()[:-1] + b"x")
    assert f"remove {folder} and type the same" in stopped(monkeypatch, capsys, *given)


def test_preparing_says_what_is_missing(monkeypatch, tmp_path, capsys):
    said = stopped(monkeypatch, capsys, "prepare", "lsp", str(tmp_path))
    assert "holds nothing, but there is no" in said and "lsp_dataset.zip" in said
    said = stopped(monkeypatch, capsys, "prepare", "lsp", str(tmp_path), "--images", "x")
    assert "are of one split: type --split as well" in said
    said = stopped(monkeypatch, capsys, "prepare", "coco2017", str(tmp_path))
    assert "coco2014" in said and "crowdpose" in said


def test_poses_of_any_program_are_scored_and_compared(monkeypatch, tmp_path, capsys, data_root):
    small_set = data_root / "mmpose_min/ochuman"
    document = json.loads((small_set / "test_ochuman.json").read_text())
    poses = [
        {
            "image_id": person["image_id"],
            "category_id": 1,
            "keypoints": person["keypoints"],
            "score": 0.9,
        }
        for person in document["annotations"]
    ]
    path = tmp_path / "poses.json"
    files = ("--annotations", "test_ochuman.json", "--images", ".")
    given = ("score", str(path), "ochuman", str(small_set), *files)
    monkeypatch.setenv("HOME", str(tmp_path))  # where records are written
    for name, kept in (("all", poses), ("some", poses[:3])):
        path.write_text(json.dumps(kept))
        command(monkeypatch, *given, "--out", str(tmp_path / name))
    result = json.loads((tmp_path / "all/result.json").read_text())
    assert result["AP"] == pytest.approx(1.0) and result["data_set"] == "ochuman"
    capsys.readouterr()
    command(monkeypatch, "eval", "--compare", str(tmp_path / "all"), str(tmp_path / "some"))
    said = capsys.readouterr().out
    assert "| COCO | AP | 1.000 | " in said
    path.write_text(json.dumps([*poses, poses[0] | {"image_id": 99}]))
    assert "image_id 99 is none of the 3" in stopped(monkeypatch, capsys, *given)
    command(monkeypatch, *given, "--unknown", "skip", "--out", str(tmp_path / "skip"))
    assert "skipped: pose 5: image_id 99" in capsys.readouterr().out
    path.write_text("{}")
    assert "COCO results are a list, this is no list" in stopped(monkeypatch, capsys, *given)
    names = {image["id"]: image["file_name"] for image in document["images"]}
    named = [pose | {"image_id": names[pose["image_id"]]} for pose in poses]
    folder_of_predict(monkeypatch, tmp_path, named, given)


def folder_of_predict(monkeypatch, tmp_path, poses: list[dict], given: tuple[str, ...]) -> None:
    """Poses in two parts, of images told by name, are scored as in one file."""
    folder = tmp_path / "parts"
    folder.mkdir()
    for process in range(2):
        part = poses[process::2]
        frames = [{"image_id": pose["image_id"], "place": process} for pose in part]
        (folder / f"poses.0000{process}-of-00002.json").write_text(json.dumps(part))
        (folder / f"frames.0000{process}-of-00002.json").write_text(json.dumps(frames))
    name, _, *rest = given
    command(monkeypatch, name, str(folder), *rest, "--out", str(tmp_path / "joined"))
    result = json.loads((tmp_path / "joined/result.json").read_text())
    assert result["AP"] == pytest.approx(1.0)


def test_a_network_is_evaluated_on_another_set(monkeypatch, tmp_path, capsys, data_root):
    path = write_config(tmp_path)
    command(monkeypatch, "train", path, "--train.steps", "1", "--train.batch-size", "2")
    run = str(tmp_path / "run")
    files = ("--annotations", "test_crowdpose.json", "--images", ".")
    root = str(data_root / "mmpose_min/crowdpose")
    command(monkeypatch, "eval", run, "--set", "crowdpose", "--data.root", root, *files)
    result = json.loads((tmp_path / "run/eval/result.json").read_text())
    assert (result["data_set"], result["skeleton"], result["images"]) == ("crowdpose", "COCO17", 2)
    assert "APhard" in result["CrowdPose"] and "CrowdPose" in capsys.readouterr().out
    said = stopped(monkeypatch, capsys, "eval", run, *files)
    assert "type --set NAME as well" in said
    said = stopped(monkeypatch, capsys, "eval", run, "--set", "lsp")
    assert "no folder was given" in said and "--data.root DIR" in said


def test_eval_without_a_run_says_what_to_give(monkeypatch, capsys):
    assert "give the work directory of a run, or --compare" in stopped(monkeypatch, capsys, "eval")


def test_a_detectors_boxes_go_into_every_other_command(monkeypatch, tmp_path, capsys):
    model = replace(
        small.config(tmp_path).model, family="detector", depth=10, head_width=16, trunk_stages=3
    )
    path = write_config(tmp_path, model=model, workdir=str(tmp_path / "detector"))
    command(monkeypatch, "train", path, "--train.steps", "2", "--train.batch-size", "2")
    assert "| AP | AP50 | AP75 | APs |" in capsys.readouterr().out
    out = str(tmp_path / "boxes.json")
    command(monkeypatch, "detect", str(tmp_path / "detector"), "--split", "train", "--out", out)
    assert "synthetic train: 8 images, people's boxes" in capsys.readouterr().out
    photo = tmp_path / "photo.png"
    cv2.imwrite(str(photo), picture())
    alone = str(tmp_path / "alone.json")
    command(monkeypatch, "detect", str(tmp_path / "detector"), str(photo), "--out", alone)
    assert {row["image_id"] for row in json.loads((tmp_path / "alone.json").read_text())} <= {
        "photo.png"
    }
    said = stopped(
        monkeypatch, capsys, "predict", str(photo), "--checkpoint", str(tmp_path / "detector")
    )
    assert "is 'detector', which finds boxes and no joints" in said


def test_detectors_of_others_box_files_and_a_set(monkeypatch, tmp_path, capsys, data_root):
    pytest.importorskip("onnxruntime")
    network = str(data_root / "weights/fastestdet_352.onnx")
    photo = data_root / "coco_pose/images/val/000000252219.jpg"
    boxes = tmp_path / "boxes.json"
    out = ("--out", str(boxes))
    command(monkeypatch, "detect", "hog", str(photo), *out)
    assert {row["image_id"] for row in json.loads(boxes.read_text())} == {photo.name}
    assert "boxes in" in capsys.readouterr().out
    given = ("--set", "crowdpose", "--data.root", str(data_root / "mmpose_min/crowdpose"))
    files = ("--annotations", "test_crowdpose.json", "--images", ".")
    prepared = ("--prepared", str(tmp_path / "prepared"))
    command(monkeypatch, "detect", network, *given, *files, *prepared, *out)
    assert "crowdpose validation: 2 images, people's boxes" in capsys.readouterr().out
    assert all(isinstance(row["image_id"], int) for row in json.loads(boxes.read_text()))
    said = stopped(monkeypatch, capsys, "detect", network, "--data.root", "x")
    assert "give image files, or a data set: --set NAME --data.root DIR" in said
    said = stopped(monkeypatch, capsys, "detect", network, str(photo), "--onnx-layout", "yolox")
    assert "not those of --onnx-layout yolox" in said and "output 758: tensor(float)" in said
    said = stopped(monkeypatch, capsys, "detect", "no/where", str(photo))
    assert "'no/where' is no detector" in said


def test_predict_takes_the_layout_of_an_onnx_file(monkeypatch, tmp_path, capsys, data_root):
    pytest.importorskip("onnxruntime")
    path = write_config(tmp_path)
    command(monkeypatch, "train", path, "--train.steps", "1", "--train.batch-size", "2")
    network = str(data_root / "weights/fastestdet_352.onnx")
    given = (
        "predict",
        str(data_root / "demo/alphapose_1.jpg"),
        "--checkpoint",
        str(tmp_path / "run"),
    )
    given += ("--boxes", network, "--no-pictures", "--out", str(tmp_path / "out"))
    command(monkeypatch, *given, "--box-threshold", "0.4")
    poses = json.loads((tmp_path / "out/poses.json").read_text())
    assert poses and all(0.4 <= pose["box_score"] <= 1 for pose in poses)
    said = stopped(monkeypatch, capsys, *given, "--onnx-layout", "rtmdet")
    assert "not those of --onnx-layout rtmdet" in said


def test_the_demo_without_gradio_says_what_to_install(monkeypatch, capsys):
    monkeypatch.delitem(sys.modules, "rmpe_jax.demo.page", raising=False)
    monkeypatch.delattr("rmpe_jax.demo.page", raising=False)  # where an earlier test left it
    monkeypatch.setitem(sys.modules, "gradio", None)
    assert "pip install 'rmpe_jax[demo]'" in stopped(monkeypatch, capsys, "demo")
