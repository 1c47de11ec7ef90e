import cv2
import pytest

from rmpe_jax.config import DataConfig
from rmpe_jax.data import dataset, summary
from rmpe_jax.whole_body import WHOLEBODY133


@pytest.fixture
def source(tmp_path):
    return dataset.prepare(DataConfig(prepared=str(tmp_path), synthetic_train=3), "train")


def test_the_table_counts_what_is_there(source):
    rows = dict(line.split("  ", 1) for line in summary.table(source).splitlines() if "  " in line)
    rows = {name.strip(): value.strip() for name, value in rows.items()}
    entries = source.annotations()
    people = sum(len(entry.persons.area) for entry in entries)
    labelled = sum(int((entry.persons.joints_px[..., 2] > 0).sum()) for entry in entries)
    hidden = sum(int((entry.persons.joints_px[..., 2] == 1).sum()) for entry in entries)
    assert rows["set"] == "synthetic train" and rows["photographs"] == "3"
    assert rows["people"] == f"{people} (0 crowds)"
    assert rows["labelled joints"] == f"{labelled} ({hidden} hidden)"
    assert rows["people to train on"] == str(len(source.person_index))
    assert "nose " in summary.table(source)


def test_joints_outside_their_photograph_are_counted(source):
    entry = source.annotations()[0]
    entry.persons.joints_px[:] = [5.0, 5.0, 2]
    entry.persons.joints_px[0, :3] = [[-1, 5, 2], [5, -9, 0], [5, -1, 1]]
    assert summary._outside([entry]) == 2


def test_of_many_joints_the_table_names_three(source):
    wide = source.with_joints(WHOLEBODY133)
    told = summary.table(wide)
    assert "the least often, the median and the most" in told and len(told.splitlines()) < 20


def test_the_contact_sheet_shows_as_many_people_as_fit(source, monkeypatch):
    def size():
        summary.write_contact_sheet(source)
        return cv2.imread(str(source.folder / dataset.CONTACT_SHEET)).shape

    monkeypatch.setattr(summary, "TILES", 1)
    one = size()
    monkeypatch.setattr(summary, "TILES", 7)
    seven = size()
    assert seven[0] > 1.5 * one[0] or len(source.person_index) < 7
    assert seven[1] > one[1]


def test_a_set_without_anyone_has_no_contact_sheet(source):
    (source.folder / dataset.CONTACT_SHEET).unlink(missing_ok=True)
    source.person_index = source.person_index[:0]
    summary.write_contact_sheet(source)
    assert not (source.folder / dataset.CONTACT_SHEET).exists()


def test_notes_of_the_reader_are_told(source):
    source.summary["notes"] = ["sigmas are guessed"]
    assert "note: sigmas are guessed" in summary.table(source)
