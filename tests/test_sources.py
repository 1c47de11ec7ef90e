from pathlib import Path

import numpy as np
import pytest

from rmpe_jax import sources
from rmpe_jax.frames import Frame
from tests import videos
from tests.test_frames import png


def names(source: sources.Source) -> list[str]:
    return [frame.name for frame in source.frames]


def test_a_folder_gives_its_pictures_sorted_and_nothing_else(tmp_path):
    for name in ("b.png", "a.PNG", "c/d.png"):
        png(tmp_path / name)
    (tmp_path / "Thumbs.db").touch()
    (source,) = sources.named([tmp_path])
    assert source.count == 2 and source.name is None
    assert names(source) == ["a.PNG", "b.png"]


@pytest.mark.parametrize(
    ("files", "told"), [([], "no files"), (["a.txt", "b.pdf", "c"], r"3 files \(.pdf, .txt, no su")]
)
def test_a_folder_without_pictures_says_what_it_holds(tmp_path, files, told):
    for name in files:
        (tmp_path / name).touch()
    with pytest.raises(ValueError, match=f"no pictures, the folder holds {told}.*are .jpg"):
        sources.named([tmp_path])


def test_a_folder_that_does_not_exist_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="no such folder"):
        sources.folder(tmp_path / "absent")


def test_a_pattern_gives_what_fits(tmp_path):
    for name in ("a1.png", "a2.png", "b.png"):
        png(tmp_path / "deep" / name)
    (source,) = sources.named([str(tmp_path / "**/a*.png")])
    assert names(source) == ["a1.png", "a2.png"]
    with pytest.raises(ValueError, match="no file fits the pattern"):
        sources.named([str(tmp_path / "*.jpg")])


def test_a_name_with_brackets_is_a_file_where_there_is_one(tmp_path):
    (source,) = sources.named([png(tmp_path / "a[1].png")])
    assert names(source) == ["a[1].png"]


def test_a_list_is_read_from_here_or_beside_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    png(Path("here.png"))
    beside, absolute = png(tmp_path / "lists" / "beside.png"), png(tmp_path / "absolute.png")
    text = f"# pictures\n\n  here.png \nbeside.png\n{absolute}\nabsent.png\n"
    (tmp_path / "lists/all.txt").write_text(text)
    found = sources.listed(Path("lists/all.txt"))
    assert [path.name for path in found] == ["here.png", "beside.png", "absolute.png", "absent.png"]
    assert [path.exists() for path in found] == [True, True, True, False]
    assert found[1].resolve() == beside


def test_a_list_that_is_none_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="--list .*expected a text file"):
        sources.listed(tmp_path / "absent.txt")
    (tmp_path / "empty.txt").write_text("\n# nothing\n")
    with pytest.raises(ValueError, match="no path is on it"):
        sources.listed(tmp_path / "empty.txt")
    (tmp_path / "picture.txt").write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(ValueError, match="one path a line"):
        sources.listed(tmp_path / "picture.txt")


def test_pictures_in_a_row_are_one_source_and_each_video_is_one(tmp_path):
    film = videos.write(tmp_path / "clip.mp4", videos.drawn(3), fps=10.0)
    (tmp_path / "other").mkdir()
    again = videos.write(tmp_path / "other/clip.avi", videos.drawn(2), "MJPG")
    pictures = [png(tmp_path / f"{name}.png") for name in "abc"]
    found = sources.named([*pictures[:2], film, again, pictures[2]])
    assert [source.count for source in found] == [2, 3, 2, 1]
    assert [source.name for source in found] == [None, "clip", "clip_2", None]
    assert found[1].fps == 10.0 and found[0].fps is None
    assert names(found[2]) == ["clip_2_000000", "clip_2_000001"]


def test_files_of_one_name_are_told_apart_also_with_a_video_between(tmp_path):
    film = videos.write(tmp_path / "clip.mp4", videos.drawn(2))
    twins = [png(tmp_path / "x" / "a.png"), png(tmp_path / "y" / "a.png")]
    first, _, second = sources.named([twins[0], film, twins[1]])
    assert names(first) != names(second)


def test_a_program_gives_paths_arrays_or_frames(tmp_path):
    path, picture = png(tmp_path / "a.png"), np.zeros((4, 5, 3), np.uint8)
    videos.write(tmp_path / "clip.mp4", videos.drawn(2))
    assert [frame.name for frame in sources.of(path)] == ["a.png"]
    assert [frame.number for frame in sources.of(str(tmp_path / "*"))] == [0, 1, 2]
    assert [frame.name for frame in sources.of(picture)] == ["000000"]
    assert [frame.number for frame in sources.of(np.stack([picture] * 3))] == [0, 1, 2]
    frame = Frame("mine", 7, picture, None)
    found = list(sources.of(iter([path, picture, frame])))
    assert [frame.name for frame in found] == ["a.png", "000001", "mine"]
    assert [frame.number for frame in found] == [0, 1, 7]
    with pytest.raises(ValueError, match="source is True"):
        list(sources.of(True))
