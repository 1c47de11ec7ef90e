import math
import random

import numpy as np
import pytest

from tests.references_multi_person import (
    interpolated_ap,
    mpii_assignment,
    mpii_map,
    oks,
    oks_ap,
    oks_match,
    repeated,
    voc_ap,
)

# MPII: a person stands on a line, joint j at (10 j, 0); the head size 2 makes the radius 1 pixel.
LINE = [(10.0 * joint, 0.0) for joint in range(14)]


def moved(offsets):
    """LINE with some joints moved downwards: {joint: pixels}."""
    return [(x, offsets.get(joint, 0.0)) for joint, (x, _) in enumerate(LINE)]


def only(*joints):
    """LINE with these joints labelled."""
    return [point if joint in joints else None for joint, point in enumerate(LINE)]


def person(joints=LINE):
    return {"joints": joints, "head_size": 2.0}


def pose(score, joints=LINE):
    return {"joints": joints, "scores": [score] * 14}


def group(truth, found):
    return {"truth": truth, "found": found}


# Joint 0 of the first group is missed by its pose; the second group is found.
MISSED = group([person()], [pose(0.9, moved({0: 5}))])
FOUND = group([person()], [pose(0.5)])


def test_a_joint_at_exactly_half_a_head_is_found():
    precisions, mean = mpii_map([group([person()], [pose(0.5, moved({0: 1.0, 1: 1.001}))])])
    assert precisions == [1, 0] + [1] * 12
    assert mean == pytest.approx(13 / 14)


def test_joints_are_ordered_by_their_own_scores_over_all_groups():
    # Joint 0: false at 0.9, then true at 0.5, 2 needed: recall 1/2 at precision 1/2.
    assert mpii_map([FOUND, MISSED])[0] == [0.25] + [1] * 13
    # With that joint alone at 0.4 it is true, false: recall 1/2 at precision 1.
    shy = pose(0.9, moved({0: 5}))
    shy["scores"][0] = 0.4
    assert mpii_map([FOUND, group([person()], [shy])])[0] == [0.5] + [1] * 13


def test_equal_joint_scores_stay_in_the_order_of_groups():
    missed = group([person()], [pose(0.5, moved({0: 5}))])
    assert mpii_map([missed, FOUND])[0][0] == 0.25  # false, true
    assert mpii_map([FOUND, missed])[0][0] == 0.5  # true, false


def test_a_person_takes_its_best_pose_whatever_the_scores_and_the_other_is_false():
    worse, better = pose(0.9, moved({13: 5})), pose(0.5)
    assert mpii_assignment([person()], [worse, better]) == [None, 0]
    # Every joint: false at 0.9, true at 0.5, 1 needed: recall 1 at precision 1/2.
    assert mpii_map([group([person()], [worse, better])]) == ([0.5] * 14, 0.5)


def test_of_equal_poses_a_person_takes_the_first():
    assert mpii_assignment([person()], [pose(0.5), pose(0.9)]) == [0, None]
    assert mpii_map([group([person()], [pose(0.5), pose(0.9)])])[1] == 0.5  # false, true


def test_a_pose_keeps_only_its_best_person():
    # Both poses lie on the first person; 13 joints also lie on the second, which gets nothing.
    truth = [person(), person(moved({13: 5}))]
    assert mpii_assignment(truth, [pose(0.9), pose(0.5)]) == [0, None]
    # Every joint: true, false, 2 needed: recall 1/2 at precision 1.
    assert mpii_map([group(truth, [pose(0.9), pose(0.5)])]) == ([0.5] * 14, 0.5)


def test_of_equal_persons_a_pose_keeps_the_first_and_what_is_unlabelled_there_is_false():
    # PCK is 1/1 for both persons. Joint 0 is true; joint 1 is not labelled in the first person.
    precisions, mean = mpii_map([group([person(only(0)), person(only(1))], [pose(0.5)])])
    assert precisions == [1, 0] + [None] * 12
    assert mean == 0.5


def test_pck_is_per_labelled_joint():
    # 1 of 1 is more than 13 of 14.
    truth = [person(moved({13: 5})), person(only(0))]
    assert mpii_assignment(truth, [pose(0.5)]) == [1]


def test_nobody_takes_a_pose_that_matches_nothing_and_nobody_at_all_is_no_mean():
    far = pose(0.5, [(0.0, 500.0)] * 14)
    assert mpii_assignment([person(), person([None] * 14)], [far]) == [None]
    assert mpii_map([group([person()], [])]) == ([0] * 14, 0)
    assert mpii_map([group([], [pose(0.5)])]) == ([None] * 14, None)
    # A group of nobody adds its poses all the same: false at 0.9, true at 0.5, 1 needed.
    assert mpii_map([FOUND, group([], [pose(0.9)])])[1] == 0.5


def test_voc_area_by_hand():
    # true false false true true, 4 needed: recall 1/4 at 1, 2/4 at 2/4, 3/4 at 3/5. The envelope
    # is 1, 3/5, 3/5: (1 + 3/5 + 3/5) / 4.
    labels = [(0.5, True), (0.9, True), (0.8, False), (0.7, False), (0.6, True)]
    assert voc_ap(labels, 4) == pytest.approx(0.55)


def test_repeated_groups_by_hand():
    assert repeated(["a", "b", "c"], [2, 0, 1]) == ["a", "a", "c"]
    # Joint 0: three false, one true, 4 needed: recall 1/4 at precision 1/4.
    assert mpii_map(repeated([FOUND, MISSED], [1, 3]))[0] == [1 / 16] + [1] * 13
    # Joint 0: false, three true: precision 1/2, 2/3, 3/4 under the envelope 3/4, recall 3/4.
    assert mpii_map(repeated([FOUND, MISSED], [3, 1]))[0][0] == pytest.approx(9 / 16)


def test_interpolated_precision_by_hand():
    # true, ignored, false, true, 4 needed: recall 1/4 at 1, 2/4 at 2/3. 26 recalls 0 .. 0.25 see
    # 1, 25 recalls 0.26 .. 0.5 see 2/3, 50 see nothing.
    detections = [(0.7, 1, 0), (0.9, 1, 0), (0.8, 0, 1), (0.85, 0, 0)]
    assert interpolated_ap(detections, 4) == pytest.approx((26 + 25 * 2 / 3) / 101)
    assert interpolated_ap([], 4) == 0
    assert interpolated_ap(detections, 0) is None


def test_equal_scores_stay_in_their_order():
    assert interpolated_ap([(0.5, 0, 1), (0.5, 1, 0)], 1) == pytest.approx(1 / 2)
    assert interpolated_ap([(0.5, 1, 0), (0.5, 0, 1)], 1) == pytest.approx(1)


def test_the_recalls_are_those_of_linspace():
    assert [step * 0.01 for step in range(101)] == np.linspace(0, 1, 101).tolist()
    # 34 found of 100: 35 recalls 0 .. 0.34 see precision 1. 35 found of 100 are no more, because
    # 35 * 0.01 is 0.35000000000000003.
    assert interpolated_ap([(1.0, 1, 0)] * 34, 100) == pytest.approx(35 / 101)
    assert interpolated_ap([(1.0, 1, 0)] * 35, 100) == pytest.approx(35 / 101)


# COCO: two joints; sigma 0.1 and area 100 make exp(-d^2 / (2 * 0.04 * 100)) = exp(-d^2 / 8).
SIGMAS = [0.1, 0.1]
FAR = (1000.0, 1000.0)


def coco_person(*joints, bbox=(0, 0, 10, 10), area=100.0, crowd=0):
    return {"joints": list(joints), "bbox": bbox, "area": area, "iscrowd": crowd}


def coco_pose(score, *joints):
    return {"joints": list(joints), "score": score}


def test_oks_by_hand():
    there = coco_pose(1.0, (2.0, 0.0), (0.0, 0.0))
    assert oks(coco_person((0, 0), (0, 0)), there, SIGMAS) == pytest.approx(
        (math.exp(-0.5) + 1) / 2
    )
    # Only labelled joints count.
    assert oks(coco_person((0, 0), None), there, SIGMAS) == pytest.approx(math.exp(-0.5))
    # Nothing labelled: the box 10 .. 20 reaches from 0 to 30; 2 pixels beyond, and inside.
    nobody = coco_person(None, None, bbox=(10, 10, 10, 10))
    beside = coco_pose(1.0, (32.0, 15.0), (0.0, 30.0))
    assert oks(nobody, beside, SIGMAS) == pytest.approx((math.exp(-0.5) + 1) / 2)


def test_thresholds():
    truth, found = [coco_person((0, 0), None)], [coco_pose(1.0, (2.0, 0.0), FAR)]  # OKS 0.6065
    assert oks_match(truth, found, SIGMAS, 0.6) == ["true"]
    assert oks_match(truth, found, SIGMAS, 0.65) == ["false"]
    # A threshold of 1 is one of 1 - 1e-10: here OKS is about 1 - 1e-12.
    assert oks_match(truth, [coco_pose(1.0, (2.8e-6, 0.0), FAR)], SIGMAS, 1.0) == ["true"]


def test_the_better_score_chooses_first_and_a_real_person_is_taken_once():
    truth = [coco_person((0, 0), None)]
    exact, near = coco_pose(0.5, (0.0, 0.0), FAR), coco_pose(0.9, (1.0, 0.0), FAR)
    assert oks_match(truth, [exact, near], SIGMAS, 0.5) == ["true", "false"]
    # exact has OKS 1, near exp(-1/8) = 0.88: at 0.9 the first in order is the false one.
    assert oks_match(truth, [exact, near], SIGMAS, 0.9) == ["false", "true"]


def test_of_equal_persons_a_pose_takes_the_last():
    # OKS of the first pose is 1 with both; the second pose lies on the first person alone.
    truth = [coco_person((0, 0), None), coco_person(None, (0, 0))]
    both = coco_pose(0.9, (0.0, 0.0), (0.0, 0.0))
    assert oks_match(truth, [both, coco_pose(0.5, (0.0, 0.0), FAR)], SIGMAS, 0.5) == ["true"] * 2
    assert oks_match(truth, [both, coco_pose(0.5, FAR, (0.0, 0.0))], SIGMAS, 0.5) == [
        "true",
        "false",
    ]


@pytest.mark.parametrize("order", [1, -1])
def test_a_real_person_goes_before_a_better_crowd_wherever_it_stands(order):
    truth = [coco_person((2, 0), None, crowd=1), coco_person((0, 0), None)][::order]
    found = [coco_pose(0.9, (2.0, 0.0), FAR)]  # OKS 1 with the crowd, 0.6065 with the person
    assert oks_match(truth, found, SIGMAS, 0.5) == ["true"]
    assert oks_match(truth, found, SIGMAS, 0.65) == ["ignored"]


def test_a_crowd_is_taken_again_and_a_person_without_labels_once():
    found = [coco_pose(0.9, (0.0, 0.0), (0.0, 0.0)), coco_pose(0.8, (0.0, 0.0), (0.0, 0.0))]
    assert oks_match([coco_person(None, None, crowd=1)], found, SIGMAS, 0.5) == ["ignored"] * 2
    assert oks_match([coco_person(None, None)], found, SIGMAS, 0.5) == ["ignored", "false"]


def test_areas_outside_the_range_are_ignored():
    medium = (32**2, 96**2)
    small, large = (
        coco_pose(0.9, (0.0, 0.0), (10.0, 10.0)),
        coco_pose(0.8, (0.0, 0.0), (40.0, 40.0)),
    )
    # Nobody is there: areas 100 and 1600.
    assert oks_match([], [small, large], SIGMAS, 0.5, medium) == ["ignored", "false"]
    # A person of area 100 is ignored with its match; one of 1024 is inside, and so is its match.
    assert oks_match([coco_person((0, 0), None)], [large], SIGMAS, 0.5, medium) == ["ignored"]
    within = coco_person((0, 0), None, area=1024.0)
    assert oks_match([within], [small], SIGMAS, 0.5, medium) == ["true"]


def test_twenty_poses_count():
    found = [coco_pose(score, (0.0, 0.0), FAR) for score in range(21)]
    found[0]["joints"] = [(0.0, 0.0), (0.0, 0.0)]  # the only good one, the lowest score
    truth = [coco_person((0, 0), (0, 0))]
    assert oks_match(truth, found, SIGMAS, 0.9) == ["false"] * 20
    assert oks_match(truth, found[:20], SIGMAS, 0.9)[-1] == "true"


def random_images(seed, count=16):
    """Photographs with crowds, unlabelled persons, equal scores and OKS, more than 20 poses."""
    draw = random.Random(seed)

    def point():
        return draw.uniform(0, 200), draw.uniform(0, 200)

    images = []
    for number in range(count):
        truth, complete = [], []
        for _ in range(draw.choice([0, 1, 2, 4])):
            x, y = point()
            side = draw.uniform(20, 120)
            joints = [(x + side * draw.random(), y + side * draw.random()) for _ in range(17)]
            area = side**2 * draw.uniform(0.3, 1)
            # Two persons in one place, each with labels of its own: an exact pose has OKS 1 twice.
            for _ in range(draw.choice([1, 1, 2])):
                share = draw.choice([0.0, 0.5, 0.8, 1.0])
                labelled = [joint if draw.random() < share else None for joint in joints]
                crowd = int(draw.random() < 0.2)
                box = (x, y, side, side)
                truth.append(coco_person(*labelled, bbox=box, area=area, crowd=crowd))
                complete.append(joints)
        found = []
        for _ in range(25 if number == 0 else draw.choice([2, 6, 10])):
            joints = draw.choice([*complete, [point() for _ in range(17)]])
            shift = draw.choice([0, 1, 2, 3, 4, 6, 12])
            joints = [tuple(value + draw.gauss(0, shift) for value in joint) for joint in joints]
            score = draw.choice([0.3, 0.5, 0.7, draw.random(), draw.random() / (1 + shift)])
            found.append(coco_pose(score, *joints))
        images.append({"truth": truth, "found": found})
    return images


def flat(joints):
    """(x, y, v) of every joint, one after the other."""
    return [value for joint in joints for value in ((*joint, 2) if joint else (0, 0, 0))]


def pycocotools_precisions(images, sigmas):
    """Precisions [threshold, area range] of pycocotools, -1 where nothing is needed."""
    coco = pytest.importorskip("pycocotools.coco")
    cocoeval = pytest.importorskip("pycocotools.cocoeval")
    annotations, results = [], []
    for image_id, image in enumerate(images, start=1):
        for truth in image["truth"]:
            labelled = sum(joint is not None for joint in truth["joints"])
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": 1,
                    "keypoints": flat(truth["joints"]),
                    "num_keypoints": labelled,
                    "bbox": list(truth["bbox"]),
                    "area": truth["area"],
                    "iscrowd": truth["iscrowd"],
                }
            )
        for found in image["found"]:
            one = {"keypoints": flat(found["joints"]), "score": found["score"]}
            results.append({"image_id": image_id, "category_id": 1, **one})
    truth = coco.COCO()
    truth.dataset = {
        "info": {},
        "images": [{"id": number} for number in range(1, len(images) + 1)],
        "categories": [{"id": 1}],
        "annotations": annotations,
    }
    truth.createIndex()
    evaluation = cocoeval.COCOeval(truth, truth.loadRes(results), "keypoints")
    evaluation.params.kpt_oks_sigmas = np.asarray(sigmas)
    evaluation.evaluate()
    evaluation.accumulate()
    return evaluation.params, evaluation.eval["precision"][:, :, 0, :, 0].mean(axis=1)


@pytest.mark.parametrize("seed", range(5))
def test_precision_is_that_of_pycocotools(seed):
    sigmas = [0.03 + 0.005 * joint for joint in range(17)]
    images = repeated(random_images(seed), [1, 2, 1, 0, 3, 1, 1, 1] * 2)
    params, expected = pycocotools_precisions(images, sigmas)
    assert 0 < expected[:, 0].min() < expected[:, 0].max() < 1
    for row, threshold in zip(expected, params.iouThrs, strict=True):
        for theirs, area_range in zip(row, params.areaRng, strict=True):
            ours = oks_ap(images, sigmas, float(threshold), area_range)
            assert (-1 if ours is None else ours) == pytest.approx(theirs, abs=1e-12)
