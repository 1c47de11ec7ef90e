import cv2
import numpy as np
import pytest
import scipy.io

from rmpe_jax.data import lsp
from rmpe_jax.skeletons import LSP14


@pytest.fixture(scope="module")
def real(data_root):
    path = data_root / "lsp/joints.mat"
    return lsp.index(path, "train"), lsp.index(path, "test"), scipy.io.loadmat(path)["joints"]


def test_the_real_set_is_two_thousand_people_in_order(real):
    train, test, raw = real
    assert [len(train), len(test)] == [1000, 1000]
    assert [entry.image_id for entry in train + test] == list(range(1, 2001))
    assert [train[0].file_name, test[-1].file_name] == ["im0001.jpg", "im2000.jpg"]
    assert len({int(entry.persons.person_id[0]) for entry in train + test}) == 2000
    joints = np.concatenate([entry.persons.joints_px for entry in train + test])
    # One less than MATLAB's; the third number of the file is 1 for an occluded joint.
    np.testing.assert_array_equal(joints[..., :2], raw[:2].transpose(2, 1, 0) - 1)
    np.testing.assert_array_equal(joints[..., 2] == 1, raw[2].T == 1)
    assert set(np.unique(joints[..., 2])) == {1, 2}


def test_the_first_ankle_of_the_real_set_is_pinned(real):
    ankle = real[0][0].persons.joints_px[0, LSP14.joints.index("right_ankle")]
    np.testing.assert_allclose(ankle, [28.74645941, 142.34544031, 2], atol=1e-7)


def test_joints_lie_in_the_real_pictures(real, data_root):
    for entry in (real[0][0], real[0][11], real[1][500]):
        height, width, _ = cv2.imread(str(data_root / "lsp/images" / entry.file_name)).shape
        points = entry.persons.joints_px[0, :, :2]
        assert (points >= -1).all() and (points <= [width, height]).all()
        box = entry.persons.boxes_px[0]
        assert (box[:2] < points.min(axis=0)).all() and (box[2:] > points.max(axis=0)).all()


def extended(tmp_path):
    """Write three people in the layout of the extended set, joints [14, 3, N], 1 for visible."""
    joints = np.zeros((14, 3, 3))
    joints[:, 0, 0], joints[:, 1, 0], joints[:, 2, 0] = np.arange(14) + 1, 2 * np.arange(14) + 1, 1
    joints[5] = [[-31, 9, 7], [-40, 9, 7], [0, 0, 1]]
    scipy.io.savemat(tmp_path / "joints.mat", {"joints": joints})
    return tmp_path / "joints.mat"


def test_the_extended_set_labels_visible_joints_alone(tmp_path):
    first, last = lsp.index_extended(extended(tmp_path))
    assert [first.file_name, last.file_name] == ["im00001.jpg", "im00003.jpg"]
    assert [first.image_id, last.image_id] == [1, 3]
    joints = first.persons.joints_px[0]
    np.testing.assert_array_equal(joints[4], [4, 8, 2])
    np.testing.assert_array_equal(joints[5], [0, 0, 0])
    assert (joints[:, 2] > 0).sum() == 13
    np.testing.assert_array_equal(last.persons.joints_px[0, 5], [6, 6, 2])


LAYOUTS = r"shape \(.*\(3, 14, 2000\) is Leeds .*\(lsp\), \(14, 3, images\) .*\(lspet\)"


@pytest.mark.parametrize("shape", [(3, 14, 5), (14, 2, 5), (3, 14)])
def test_another_array_is_refused_with_both_layouts(tmp_path, shape):
    scipy.io.savemat(tmp_path / "joints.mat", {"joints": np.zeros(shape)})
    for read in (lambda path: lsp.index(path, "train"), lsp.index_extended):
        with pytest.raises(ValueError, match=LAYOUTS):
            read(tmp_path / "joints.mat")


def test_one_set_is_not_taken_for_the_other(tmp_path, data_root):
    """Their flags mean opposite things."""
    with pytest.raises(ValueError, match=LAYOUTS):
        lsp.index(extended(tmp_path), "train")
    with pytest.raises(ValueError, match=LAYOUTS):
        lsp.index_extended(data_root / "lsp/joints.mat")
