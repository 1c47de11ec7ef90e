from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rmpe_jax.config import AugmentConfig, STNConfig
from rmpe_jax.data.dataset import prepare
from rmpe_jax.evaluation import centring, report, run
from rmpe_jax.evaluation.centring import theta_errors
from rmpe_jax.models.build import build
from rmpe_jax.models.variables import initialise
from rmpe_jax.predict import PoseModel
from rmpe_jax.skeletons import COCO17
from tests import small


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    """An untrained network with a transformer, which says the identity, and three photographs."""
    config = small.config(tmp_path_factory.mktemp("centring"))
    config = replace(
        config,
        model=replace(config.model, stn=STNConfig("affine", "small")),
        augment=AugmentConfig(jitter=1.0),
    )
    module = build(config.model, 17)
    variables = initialise(jax.random.key(0), module, config.model)
    source = prepare(config.data, "validation")
    return PoseModel(variables, module, config, COCO17, {}), source


def test_the_identity_is_as_far_as_it_says(case):
    errors = theta_errors(*case)
    assert errors["theta_error"] == pytest.approx(errors["theta_error_identity"], rel=1e-5)
    # Sides move by 7 to 13 % of the box: theta* is a few percent to a third from the identity.
    assert 0.05 < errors["theta_error"] < 0.6


def test_a_shift_of_theta_is_seen_and_the_result_tells_it(case):
    model, source = case
    variables = jax.tree.map(jnp.copy, model.variables)
    bias = variables["params"]["localization"]["theta"]["dense"]["bias"]
    variables["params"]["localization"]["theta"]["dense"]["bias"] = bias.at[2].add(10.0)
    result, *_ = run.evaluate(replace(model, variables=variables), source)
    assert result["theta_error"] == pytest.approx(10.0, abs=0.5)
    assert "mean |theta - theta*|" in report.table(result)


def test_every_person_counts_once_whatever_the_batch(case, monkeypatch):
    whole = theta_errors(*case)["theta_error_identity"]
    monkeypatch.setattr(centring, "BATCH", 2)
    assert len(case[1].person_index) % 16
    assert theta_errors(*case)["theta_error_identity"] == pytest.approx(whole, rel=1e-6)


def test_more_jitter_is_a_larger_error(case):
    model, source = case
    doubled = replace(model.config, augment=AugmentConfig(jitter=2.0))
    errors = [theta_errors(m, source) for m in (model, replace(model, config=doubled))]
    ratio = errors[1]["theta_error_identity"] / errors[0]["theta_error_identity"]
    assert 1.6 < ratio < 2.6


def test_a_network_without_a_transformer_has_no_theta(case):
    model, source = case
    plain = replace(model.config.model, stn=STNConfig())
    assert theta_errors(replace(model, module=build(plain, 17)), source) == {}
    assert np.isfinite(list(theta_errors(model, source).values())).all()
