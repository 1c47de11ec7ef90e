import struct

import cv2
import numpy as np
import pytest

from rmpe_jax import frames
from rmpe_jax.data import image_headers, images
from tests import videos


def png(path, height=20, width=30, level=90):
    path.parent.mkdir(exist_ok=True)
    assert cv2.imwrite(str(path), np.full((height, width, 3), level, np.uint8))
    return path


def test_files_become_frames_in_order_and_bad_ones_say_why(tmp_path):
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "notes.txt").write_text("no picture")
    given = [png(tmp_path / "b.png"), *(tmp_path / n for n in ("empty.jpg", "notes.txt", "no.jpg"))]
    given.append(png(tmp_path / "a.png", 8, 9))
    found = list(frames.of_files(given))
    assert [frame.number for frame in found] == list(range(5))
    assert [frame.name for frame in found] == [path.name for path in given]
    assert [frame.image is None for frame in found] == [False, True, True, True, False]
    problems = [frame.problem or "" for frame in found]
    assert problems[0] == problems[4] == ""
    assert "0 bytes" in problems[1] and "no such file" in problems[3]
    assert "suffix '.txt'" in problems[2] and ".jpg" in problems[2] and ".mp4" in problems[2]
    assert found[4].image is not None and found[4].image.shape == (8, 9, 3)


def test_only_the_picture_at_hand_is_read(tmp_path):
    paths = [png(tmp_path / "a.png"), png(tmp_path / "b.png")]
    found = frames.of_files(paths)
    next(found)
    paths[1].unlink()
    assert "no such file" in (next(found).problem or "")


def test_files_of_the_same_name_are_named_by_their_paths(tmp_path):
    paths = [png(tmp_path / "x" / "a.png"), png(tmp_path / "y" / "a.png"), png(tmp_path / "b.png")]
    names = frames.unique_names([*paths, paths[0]])
    assert names[:3] == [paths[0].as_posix(), paths[1].as_posix(), "b.png"]
    assert len(set(names)) == 4


def test_distinct_names_never_meet():
    assert frames.distinct(["a", "b"], "{}_{}") == ["a", "b"]
    names = frames.distinct(["a", "a_2", "a", "a", "a_2"], "{}_{}")
    assert len(set(names)) == 5 and names[:2] == ["a", "a_2"]


def test_a_photograph_is_turned_upright(tmp_path, data_root):
    paths = sorted((data_root / "demo").glob("*.jpg"))
    for frame, path in zip(frames.of_files(paths), paths, strict=True):
        np.testing.assert_array_equal(frame.image, images.read(path))


def test_a_picture_of_too_many_pixels_is_refused_with_the_flag_that_lets_it_in(tmp_path):
    path = png(tmp_path / "a.png", 20, 30)
    for suffix in (".jpg", ".bmp"):
        cv2.imwrite(str(tmp_path / f"a{suffix}"), np.zeros((20, 30, 3), np.uint8))
        with pytest.raises(images.ImageError, match="30 x 20 .* --max-pixels 600"):
            frames.read(tmp_path / f"a{suffix}", max_pixels=599)
    assert frames.read(path, max_pixels=600).shape == (20, 30, 3)


def test_a_huge_picture_is_refused_before_it_is_decoded(tmp_path):
    path = tmp_path / "huge.png"
    head = image_headers.PNG_HEAD + struct.pack(">II", 30_000, 30_000)
    path.write_bytes(head + b"\x08\x02\0\0\0" + images.PNG_END)
    (frame,) = frames.of_files([path])
    assert "30000 x 30000" in (frame.problem or "") and "--max-pixels 900000000" in frame.problem


def test_a_picture_without_pixels_is_a_problem(tmp_path):
    path = tmp_path / "nothing.png"
    path.write_bytes(image_headers.PNG_HEAD + bytes(8) + b"\x08\x02\0\0\0" + images.PNG_END)
    (frame,) = frames.of_files([path])
    assert frame.image is None and "nothing.png" in (frame.problem or "")


def levels(found) -> list[int]:
    """Return the numbers that grey pictures have (see videos.drawn); -1 for a problem."""
    return [-1 if f.image is None else round(float(f.image.mean()) / 16) for f in found]


@pytest.mark.parametrize(
    ("suffix", "codec"), [(".mp4", "mp4v"), (".avi", "MJPG"), (".mkv", "mp4v")]
)
def test_a_video_gives_all_its_frames_in_order(tmp_path, suffix, codec):
    path = videos.write(tmp_path / f"clip{suffix}", videos.drawn(12), codec, 12.5)
    assert frames.facts(path) == (12, 12.5, 90, 160)
    found = list(frames.of_video(path))
    assert levels(found) == list(range(12))
    assert found[3].name == "clip_000003" and found[3].number == 3
    assert all(frame.problem is None for frame in found)


def test_a_video_of_real_frames_has_their_colours(tmp_path, data_root):
    pictures = videos.pictures(data_root / "bonn_video/images")
    path = videos.write(tmp_path / "clip.mp4", pictures)
    found = list(frames.of_video(path))
    assert len(found) == 41
    for frame, picture in zip(found, pictures, strict=True):
        assert np.abs(frame.image.astype(int) - picture[:, :, ::-1]).mean() < 6


def test_a_damaged_frame_in_the_middle_says_so_and_the_video_goes_on(tmp_path):
    path = videos.write(tmp_path / "clip.avi", videos.drawn(12), "MJPG")
    found = list(frames.of_video(videos.damage(path, 4)))
    assert levels(found) == [0, 1, 2, 3, -1, *range(5, 12)]
    assert "frame 4 is damaged" in (found[4].problem or "")
    assert [frame.number for frame in found] == list(range(12))


def test_a_video_that_ends_early_says_so_at_its_end(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (12, 90, 160, 3), dtype=np.uint8)
    path = videos.write(tmp_path / "clip.avi", list(noise), "MJPG")
    *found, last = frames.of_video(videos.cut(path, 0.6))
    assert all(frame.problem is None for frame in found) and 4 < len(found) < 12
    assert f"ends after {len(found)} of 12 frames" in (last.problem or "")


def test_what_is_no_video_is_an_error(tmp_path):
    path = tmp_path / "clip.mp4"
    for content in (b"", b"no video at all"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=rf"{len(content)} bytes that are no video"):
            frames.facts(path)
    with pytest.raises(ValueError, match="no such file"):
        list(frames.of_video(tmp_path / "absent.mp4"))
    videos.cut(videos.write(path, videos.drawn(12)), 0.6)
    with pytest.raises(ValueError, match="cut off has lost its index"):
        frames.facts(path)


def test_a_video_of_too_many_pixels_is_refused(tmp_path):
    path = videos.write(tmp_path / "clip.mp4", videos.drawn(2))
    with pytest.raises(ValueError, match="160 x 90 .* --max-pixels 14400"):
        list(frames.of_video(path, max_pixels=14_399))


class Camera:
    """A camera that fails twice, then for ever."""

    def __init__(self):
        self.reads = iter([True, False, False, True])
        self.released = False

    def isOpened(self):  # noqa: N802  (cv2's name)
        return True

    def read(self):
        seen = next(self.reads, False)
        return seen, np.full((4, 6, 3), (1, 2, 3), np.uint8) if seen else None

    def release(self):
        self.released = True


def test_a_camera_gives_rgb_frames_until_it_says_nothing(monkeypatch):
    camera = Camera()
    monkeypatch.setattr(cv2, "VideoCapture", lambda number: camera)
    found = list(frames.of_camera(3))
    assert [frame.image is None for frame in found] == [False, True, True, False]
    assert found[0].name == "webcam3_000000"
    assert found[0].image is not None and found[0].image[0, 0].tolist() == [3, 2, 1]
    assert camera.released


def test_no_camera_is_an_error():
    with pytest.raises(ValueError, match="--webcam 77: no camera"):
        frames.of_camera(77)
