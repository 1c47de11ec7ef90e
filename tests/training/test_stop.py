import jax.numpy as jnp
import numpy as np
import pytest

from rmpe_jax.training.stop import NonFiniteLossError, check_finite
from tests.training.test_step import a_batch


def test_finite_figures_pass():
    check_finite(1, a_batch(), {"loss": jnp.float32(1.0), "gradient_norm": jnp.float32(0.0)}, {})


@pytest.mark.parametrize("name", ["loss", "gradient_norm", "parameter_norm"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_figure_that_is_no_number_names_step_and_records(name, value):
    figures = {"loss": 1.0, "gradient_norm": 1.0, "parameter_norm": 1.0, name: value}
    figures = {key: jnp.float32(number) for key, number in figures.items()}
    with pytest.raises(NonFiniteLossError, match=rf"step 7 has .*{name} {value}.*person 2 of im"):
        check_finite(7, a_batch(), figures, {})
