import numpy as np
import pytest

from rmpe_jax import frames, video_files
from rmpe_jax.video_files import fitted, video_file
from tests import videos
from tests.test_frames import levels


def test_pictures_become_a_video_of_their_size_and_speed(tmp_path):
    path = tmp_path / "film.mp4"
    with video_file(path, 12.0) as add:
        for picture in videos.drawn(7):
            add(picture)
    assert frames.facts(path) == (7, 12.0, 90, 160)
    assert levels(frames.of_video(path)) == list(range(7))


def test_colours_are_rgb(tmp_path):
    with video_file(tmp_path / "film.mp4", 10.0) as add:
        add(np.full((32, 32, 3), (200, 30, 60), np.uint8))
    (frame,) = frames.of_video(tmp_path / "film.mp4")
    assert frame.image is not None
    np.testing.assert_allclose(frame.image[16, 16], (200, 30, 60), atol=8)


def test_pictures_of_other_sizes_are_fitted_in():
    wide = np.full((10, 40, 3), 200, np.uint8)
    result = fitted(wide, 20, 20)
    assert result.shape == (20, 20, 3)
    assert (result[8:12] == 200).all() and not result[:7].any() and not result[13:].any()
    assert fitted(wide, 10, 40) is wide


def test_a_film_that_is_interrupted_is_valid(tmp_path):
    path = tmp_path / "film.mp4"
    with pytest.raises(KeyboardInterrupt), video_file(path, 25.0) as add:
        add(np.zeros((32, 32, 3), np.uint8))
        raise KeyboardInterrupt
    assert len(list(frames.of_video(path))) == 1


def test_no_picture_makes_no_film(tmp_path):
    with video_file(tmp_path / "film.mp4", 25.0):
        pass
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path):
    with pytest.raises(OSError, match="is the folder writable"):
        with video_file(tmp_path / "absent/film.mp4", 25.0) as add:
            add(np.zeros((32, 32, 3), np.uint8))


def test_a_film_that_cannot_be_read_back_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(video_files, "_frames", lambda path: 0)
    with pytest.raises(OSError, match="0 of 1 frames were written; is the disk full"):
        with video_file(tmp_path / "film.mp4", 25.0) as add:
            add(np.zeros((32, 32, 3), np.uint8))
