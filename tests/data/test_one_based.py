import json

import numpy as np

from rmpe_jax.data import coco
from rmpe_jax.data.one_based import LEAST_JOINTS, looks_one_based
from tests.evaluation import cases


def people(lowest, count):
    """Return annotations of `count` labelled joints, the first at `lowest`."""
    (entry,) = cases.photographs(np.random.default_rng(0), 1, most=1)[:1]
    joints = np.full((count // 17 + 1, 17, 3), 50.0)
    joints[..., 2] = 2
    joints[0, 0, 0] = lowest
    return [entry._replace(persons=entry.persons._replace(joints_px=joints))]


def test_many_joints_of_which_none_is_in_the_first_column_or_row():
    assert looks_one_based(people(1.0, LEAST_JOINTS))
    assert not looks_one_based(people(0.9, LEAST_JOINTS))
    assert not looks_one_based(people(1.0, LEAST_JOINTS - 34))


def test_joints_that_are_not_labelled_show_nothing():
    (entry,) = people(50.0, LEAST_JOINTS)
    entry.persons.joints_px[1, 1] = 0
    assert looks_one_based([entry])


def test_coco_counts_from_zero_and_mpii_from_one(data_root):
    path = data_root / "coco_pose/annotations/person_keypoints_val_original_coords.json"
    assert not looks_one_based(coco.index(path))
    rows = []
    for image in json.loads((data_root / "mpii_small/mpii_small.json").read_text())["images"]:
        scale = image["orig_width"] / image["width"]
        for person in image["persons"]:
            labelled = np.array(person["joints_labelled"], bool)
            places = np.array([joint or (0, 0) for joint in person["joints"]], np.float64)
            rows.append(np.column_stack([np.rint(places * scale), 2 * labelled]))
    entry = cases.photographs(np.random.default_rng(0), 1, most=1)[0]
    mpii = entry._replace(persons=entry.persons._replace(joints_px=np.array(rows)))
    assert looks_one_based([mpii])
