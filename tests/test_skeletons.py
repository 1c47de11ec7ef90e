import pytest

from rmpe_jax import skeletons

every_skeleton = pytest.mark.parametrize(
    "skeleton",
    [value for value in vars(skeletons).values() if isinstance(value, skeletons.Skeleton)],
    ids=lambda skeleton: skeleton.name,
)


@every_skeleton
def test_the_flip_order_is_an_involution(skeleton):
    order = skeleton.flip_order
    assert sorted(order) == list(range(len(skeleton.joints)))
    assert [order[joint] for joint in order] == list(range(len(order)))


@every_skeleton
def test_left_and_right_swap_names_in_a_mirror(skeleton):
    swapped = {"left": "right", "right": "left"}
    for joint, other in enumerate(skeleton.flip_order):
        side, _, rest = skeleton.joints[joint].partition("_")
        expected = f"{swapped[side]}_{rest}" if side in swapped else skeleton.joints[joint]
        assert skeleton.joints[other] == expected


@every_skeleton
def test_limbs_mirror_onto_limbs(skeleton):
    limbs = {frozenset(limb) for limb in skeleton.limbs}
    assert {frozenset(skeleton.flip_order[j] for j in limb) for limb in limbs} == limbs


@every_skeleton
def test_indices_are_in_range_and_lengths_agree(skeleton):
    joints = range(len(skeleton.joints))
    assert len(set(skeleton.joints)) == len(skeleton.joints) == len(skeleton.sigmas)
    for pair in (*skeleton.flip_pairs, *skeleton.limbs):
        assert len(set(pair)) == 2 and set(pair) <= set(joints)
    assert set(skeleton.upper_body) <= set(joints)
    assert len(set(skeleton.upper_body)) == len(skeleton.upper_body)
    assert all(0 < sigma < 0.2 for sigma in skeleton.sigmas)


@every_skeleton
def test_mirrored_joints_have_one_spread_and_one_half_of_the_body(skeleton):
    for left, right in skeleton.flip_pairs:
        assert skeleton.sigmas[left] == skeleton.sigmas[right]
        assert (left in skeleton.upper_body) == (right in skeleton.upper_body)


@every_skeleton
def test_limbs_connect_every_joint(skeleton):
    reached, grown = {skeleton.limbs[0][0]}, True
    while grown:
        more = {joint for limb in skeleton.limbs if reached & set(limb) for joint in limb}
        reached, grown = reached | more, not more <= reached
    assert reached == set(range(len(skeleton.joints)))


def test_coco_sigmas_are_those_of_the_evaluator():
    cocoeval = pytest.importorskip("pycocotools.cocoeval")
    theirs = cocoeval.Params(iouType="keypoints").kpt_oks_sigmas
    assert skeletons.COCO17.sigmas == pytest.approx(list(theirs))
