import pytest

from rmpe_jax import skeletons, whole_body
from rmpe_jax.skeletons import COCO17, CROWDPOSE14, LSP14, MPII16, POSETRACK15, POSETRACK17

EVERY = {
    value.name: value
    for module in (skeletons, whole_body)
    for value in vars(module).values()
    if isinstance(value, skeletons.Skeleton)
}
every_skeleton = pytest.mark.parametrize("skeleton", EVERY.values(), ids=EVERY.keys())


def test_there_are_nine_and_each_is_called_as_its_constant():
    named = {
        name: value
        for module in (skeletons, whole_body)
        for name, value in vars(module).items()
        if isinstance(value, skeletons.Skeleton)
    }
    assert len(EVERY) == 9 and named == EVERY
    assert all(name.endswith(str(len(value.joints))) for name, value in EVERY.items())


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
        # COCO-WholeBody measured the two sides of face and feet apart: no law there.
        if skeleton is not whole_body.WHOLEBODY133:
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


def brute_force(source, target):
    one = {"head_top": "head", "upper_neck": "neck", "head_bottom": "neck", "pelvis": "hip"}
    names = [one.get(name, name) for name in source.joints]
    wanted = [one.get(name, name) for name in target.joints]
    return tuple(names.index(name) if name in names else -1 for name in wanted)


@every_skeleton
def test_joints_of_another_set_are_found_by_their_place(skeleton):
    for other in EVERY.values():
        assert skeletons.mapping(skeleton, other) == brute_force(skeleton, other)
    assert skeletons.mapping(skeleton, skeleton) == tuple(range(len(skeleton.joints)))


def test_every_joint_of_crowdpose_and_lsp_is_in_mpii():
    assert skeletons.mapping(MPII16, CROWDPOSE14) == (
        13,
        12,
        14,
        11,
        15,
        10,
        3,
        2,
        4,
        1,
        5,
        0,
        9,
        8,
    )
    assert skeletons.mapping(MPII16, LSP14) == (0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 14, 15, 8, 9)
    assert skeletons.mapping(COCO17, POSETRACK17)[:4] == (0, -1, -1, 3)
    assert skeletons.mapping(POSETRACK17, POSETRACK15)[12:] == (1, 0, 2)
    assert skeletons.mapping(whole_body.HALPE136, MPII16)[6:10] == (19, -1, 18, 17)


@every_skeleton
def test_no_two_joints_of_a_set_are_synonyms(skeleton):
    places = [skeletons.SYNONYMS.get(name, name) for name in skeleton.joints]
    assert len(set(places)) == len(places)
    assert not set(skeletons.SYNONYMS) & set(skeletons.SYNONYMS.values())


@every_skeleton
def test_the_constants_pass_their_own_check(skeleton):
    assert skeletons.check(skeleton, "here") is skeleton


SMALL = skeletons.Skeleton("SMALL", ("nose", "left_eye", "right_eye"), ((1, 2),), (), (1, 1, 1), ())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"joints": ()}, "file: no joints came"),
        ({"joints": ("nose", "nose", "eye")}, "file: 2 joints are called 'nose'; names must diff"),
        ({"flip_pairs": ((1, 3),)}, r"flip pair \(1, 3\) came; two different indices 0 to 2"),
        ({"flip_pairs": ((2, -1),)}, r"flip pair \(2, -1\) came; two diff"),
        ({"flip_pairs": ((1, 1),)}, r"flip pair \(1, 1\) came; two diff"),
        ({"flip_pairs": ((1, 2), (2, 0))}, r"right_eye is in the flip pairs \(1, 2\) and \(2, 0\)"),
        ({"flip_pairs": ()}, "in a mirror left_eye becomes left_eye; it must become right_eye"),
        ({"flip_pairs": ((0, 1),)}, "in a mirror left_eye becomes nose; it must become right_eye"),
        ({"limbs": ((0, 1), (0, 3))}, r"limb \(0, 3\) came; two different indices 0 to 2"),
        ({"limbs": ((1, 1),)}, r"limb \(1, 1\) came"),
        ({"sigmas": (1, 1)}, "2 sigmas came for 3 joints"),
        ({"sigmas": (1, 0, 1)}, "sigma of left_eye is 0; a share"),
        ({"sigmas": (1, 1, float("nan"))}, "sigma of right_eye is nan; a share"),
        ({"upper_body": (0, 3)}, "upper_body has 3; different indices 0 to 2"),
        ({"upper_body": (0, 0)}, "upper_body has 0; different"),
    ],
)
def test_an_unsound_skeleton_is_refused_by_its_entry(change, message):
    with pytest.raises(ValueError, match=message):
        skeletons.check(SMALL._replace(**change), "file")


def test_a_side_without_its_counterpart_may_stay_alone():
    lonely = SMALL._replace(joints=("nose", "left_eye", "brow"), flip_pairs=())
    assert skeletons.check(lonely, "file") is lonely


def test_two_names_of_one_place_in_one_set_stay_apart():
    """A set may have both: its own joints come back as they are."""
    both = ("head", "head_top", "neck", "upper_neck", "hip", "pelvis")
    own = skeletons.Skeleton("own", both, (), (), (0.1,) * 6, ())
    assert skeletons.mapping(own, own) == tuple(range(6))
    to_mpii = skeletons.mapping(own, MPII16)
    places = {MPII16.joints[row]: both[at] for row, at in enumerate(to_mpii) if at >= 0}
    assert places == {"head_top": "head_top", "upper_neck": "upper_neck", "pelvis": "pelvis"}
    back = skeletons.mapping(MPII16, own)
    assert [at >= 0 for at in back] == [False, True, False, True, False, True]
