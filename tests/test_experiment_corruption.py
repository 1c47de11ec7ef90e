"""A few cases of experiments/corruption.py, which has them all."""

from pathlib import Path

import pytest

from experiments import corruption
from rmpe_jax.training.loop import train
from tests import small

# On a busy machine a read that Orbax began beside the failed one may end after our patience.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """Those of a run, and what is read of each before any damage."""
    config = small.config(tmp_path_factory.mktemp("corruption"))
    train(config)
    folder = Path(config.workdir) / "checkpoints"
    return folder, corruption.undamaged(folder)


@pytest.mark.parametrize(
    ("kind", "what", "ends"),
    [
        ("values of the state", "one bit at 50%", ("fell back", "harmless")),
        ("values of the model", "cut to nothing", ("harmless", "fell back")),
        ("meta", "another position in the data", ("fell back", "fell back")),
        ("mark of completion", "removed", ("harmless", "harmless")),
    ],
)
def test_damage_is_said_and_the_earlier_checkpoint_taken(checkpoints, kind, what, ends):
    (case,) = (case for case in corruption.CASES if (case.kind, case.what) == (kind, what))
    result = corruption.outcome(case, *checkpoints)
    assert (result["ends"]["state"], result["ends"]["model"]) == ends
    for way, end in result["ends"].items():
        assert ("4 is damaged" in result["said"][way]) == (end == "fell back")
    assert corruption.passed(result)


def test_a_wrong_value_does_not_pass(checkpoints):
    """The experiment itself: with checksums that are always right, flipped bits are silent."""
    folder, saved = checkpoints
    cases = [case for case in corruption.CASES if case.kind == "values of the state"][1:4]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("rmpe_jax.checkpoint._same", lambda *arguments: True)
        results = [corruption.outcome(case, folder, saved) for case in cases]
    silent = [result["ends"]["state"] == "SILENT" for result in results]
    assert any(silent)
    assert [corruption.passed(result) for result in results] == [not each for each in silent]
