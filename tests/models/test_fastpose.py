from rmpe_jax.models import weights
from rmpe_jax.models.fastpose import FastPose
from tests.models import golden


def test_equals_pytorchs_output_and_takes_every_weight(data_root):
    module = FastPose(17, depth=50, normalise="none")
    left_out = golden.check(
        module,
        weights.alphapose_name,
        data_root,
        "fastpose_r50_17",
        "alphapose_state_dict_keys.txt",
        "FastPose-R50-17",
    )
    assert not left_out


def test_has_alphaposes_number_of_parameters():
    assert golden.parameters(FastPose(17, depth=50), 64, 64) == 40_577_745


def test_shallow_trunks_enter_the_head_with_128_channels():
    variables = golden.zeros(FastPose(17, depth=18), 64, 64)
    assert variables["params"]["duc1"]["conv"]["kernel"].shape == (3, 3, 128, 1024)
