from rmpe_jax.models import weights
from rmpe_jax.models.hourglass import StackedHourglass
from tests.models import golden


def test_equals_pytorchs_output_and_takes_every_used_weight(data_root):
    left_out = golden.check(
        StackedHourglass(16, stacks=2),
        weights.hourglass_name,
        data_root,
        "hourglass_2stack_16",
        "hourglass_state_dict_keys.txt",
        "",
    )
    # The authors' PyTorch version also stores a skip where input and output are alike, unused.
    assert left_out and all(".skip_layer." in key for key in left_out)


def test_has_the_papers_number_of_parameters():
    counts = {stacks: golden.parameters(StackedHourglass(16, stacks), 64, 64) for stacks in (1, 8)}
    assert {stacks: round(count / 1e6, 2) for stacks, count in counts.items()} == {
        1: 3.43,
        8: 25.43,
    }
