import copy
import json
from dataclasses import replace

import numpy as np
import pytest

from rmpe_jax.data import densities, pgpg
from rmpe_jax.data.densities import Mixture
from rmpe_jax.data.pgpg import Density, Pgpg
from rmpe_jax.skeletons import COCO17, MPII16
from tests.data.test_atoms import KINDS, people
from tests.data.test_densities import DETECTOR


def shifted(mean: float, deviation: float = 0.02) -> Density:
    """A density whose two forms tell themselves apart."""
    one = densities.from_deviation(np.full(4, mean), np.full(4, deviation))
    two = Mixture(
        np.array([0.25, 0.75]),
        np.stack([np.full(4, mean + 0.1), np.full(4, mean + 0.2)]),
        np.stack([np.eye(4) * deviation**2] * 2),
    )
    return Density(one, two)


def fitted() -> Pgpg:
    """Three atoms; the second has too few pairs."""
    return Pgpg(
        COCO17,
        KINDS,
        np.array([900, 40, 300, 500]),
        np.array([800, 30, 250, 400]),
        (shifted(0.1), None, Density(densities.gaussian(np.eye(4) * 0.3), DETECTOR), shifted(-0.1)),
        shifted(0.0),
        {"detections": {"file": "boxes.json"}},
    )


def written(tmp_path, **changed) -> dict:
    pgpg.write(replace(fitted(), **changed), tmp_path / "fitted.json")
    return json.loads((tmp_path / "fitted.json").read_text())


def test_what_is_written_is_read(tmp_path):
    written(tmp_path)
    one, other = fitted(), pgpg.read(tmp_path / "fitted.json", COCO17)
    np.testing.assert_allclose(other.atoms, one.atoms, rtol=1e-7)
    np.testing.assert_array_equal(other.poses, one.poses)
    np.testing.assert_array_equal(other.pairs, one.pairs)
    assert other.provenance == one.provenance and other.skeleton == COCO17
    for mine, theirs in zip((*one.own, one.everybody), (*other.own, other.everybody), strict=True):
        assert (mine is None) == (theirs is None)
        if mine is not None and theirs is not None:
            for a, b in zip(
                mine.gaussian + mine.mixture, theirs.gaussian + theirs.mixture, strict=True
            ):
                np.testing.assert_allclose(a, b, rtol=1e-7)


def test_reading_and_writing_again_changes_nothing(tmp_path):
    first = written(tmp_path)
    again = pgpg.read(tmp_path / "fitted.json", COCO17)
    pgpg.write(again, tmp_path / "sub" / "again.json")
    assert json.loads((tmp_path / "sub" / "again.json").read_text()) == first


def test_people_get_the_density_of_their_atom():
    one = fitted()
    kind, poses = people(0, 40)
    np.testing.assert_array_equal(one.assign(poses), kind)
    poses[:, [11, 12], 2] = 0
    assert (one.assign(poses) == 3).all(), "the row of people without a torso"
    assert one.density(0, "mixture") is one.own[0].mixture
    assert one.density(0, "gaussian") is one.own[0].gaussian
    assert one.density(0, "global") is one.everybody.gaussian
    assert one.density(3, "gaussian") is one.own[3].gaussian


def test_an_atom_of_few_pairs_has_the_density_of_everybody():
    one = fitted()
    assert one.density(1, "mixture") is one.everybody.mixture
    assert one.density(1, "gaussian") is one.everybody.gaussian


def change(*path):
    """Return a change of a document: all but the last of `path` lead to the value, the last is it.

    A value of None for the last but one key removes it.
    """

    def changed(document):
        *way, key, value = path
        place = document
        for step in way:
            place = place[step]
        if value is KeyError:
            del place[key]
        else:
            place[key] = value

    return changed


NAN, LIST = float("nan"), [0.5, 0.6]
BROKEN = [
    (change("schema", 2), "schema 2 came, 1 is allowed; fit one with: rmpe fit-pgpg"),
    (change("atoms", KeyError), "no atoms; it has .*everybody"),
    (change("atoms", []), "atoms must be a list with an atom or more"),
    (change("atoms", 0, "joints_torso", KeyError), "atom 0: no joints_torso; it has"),
    (change("atoms", 1, "joints_torso", 3, 0, NAN), "atom 1: joints_torso: a number not finite"),
    (change("atoms", 1, "joints_torso", [[0, 1]]), r"joints_torso: shape \[1, 2\] came; .*\[17, 2"),
    (change("atoms", 1, "joints_torso", "far"), "joints_torso: 'far' are no numbers"),
    (change("atoms", 2, "pairs", -1), "atom 2: pairs is -1; a whole number from 0"),
    (change("atoms", 2, "poses", 1.5), "atom 2: poses is 1.5; a whole number"),
    (change("without_torso", None), "without_torso: no poses; it has NoneType"),
    (change("everybody", None), "everybody is null; a density is expected"),
    (change("everybody", "mixture", KeyError), "everybody: no mixture; it has"),
    (change("everybody", "mixture", "weights", LIST), r"weights are \[0.5, 0.6\]; .* add up to 1"),
    (change("everybody", "mixture", "weights", [-0.5, 1.5]), "mixture: weights are .* from 0 that"),
    (change("everybody", "mixture", "weights", 1), "mixture: weights are 1; a list of numbers"),
    (change("everybody", "mixture", "means", 0, 2, NAN), "mixture: means: a number not finite"),
    (change("everybody", "gaussian", "means", LIST), r"means: shape \[2\] came; .*\[1, 4\]"),
    (
        change("everybody", "gaussian", "covariances", 0, 0, 0, -1e-3),
        "everybody: gaussian: covariances must be symmetric with eigenvalues above 0",
    ),
    (
        change("without_torso", "density", "mixture", "covariances", 0, 0, 1, 1e-4),
        "without_torso: mixture: covariances must be symmetric",
    ),
]


@pytest.mark.parametrize(("changed", "message"), BROKEN)
def test_files_that_cannot_be_used_are_refused(tmp_path, changed, message):
    document = copy.deepcopy(written(tmp_path))
    changed(document)
    path = tmp_path / "broken.json"
    path.write_text(json.dumps(document))
    with pytest.raises(ValueError, match=message) as error:
        pgpg.read(path, COCO17)
    assert str(path) in str(error.value)


def test_a_file_of_another_skeleton_is_refused(tmp_path):
    written(tmp_path)
    with pytest.raises(ValueError, match="for skeleton 'COCO17' with 17 joints, .* MPII16 with 16"):
        pgpg.read(tmp_path / "fitted.json", MPII16)
    for renamed in ({"joints": ("chin", *COCO17.joints[1:])}, {"name": "MINE"}):
        with pytest.raises(ValueError, match="fitted for skeleton 'COCO17'"):
            pgpg.read(tmp_path / "fitted.json", COCO17._replace(**renamed))


@pytest.mark.parametrize(
    ("content", "message"), [("{", "not valid JSON"), ("[]", "no schema, .*; it has list")]
)
def test_other_files_are_refused(tmp_path, content, message):
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(ValueError, match=message):
        pgpg.read(tmp_path / "x.json", COCO17)
    with pytest.raises(ValueError, match="no such file of proposals; fit one with: rmpe fit-pgpg"):
        pgpg.read(tmp_path / "absent.json", COCO17)
