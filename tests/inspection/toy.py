"""A network with a transformer small enough to be looked into in a test, and a person for it."""

from dataclasses import replace
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from rmpe_jax.config import Config, ModelConfig, STNConfig, TrainConfig
from rmpe_jax.inspection.example import of_batch
from rmpe_jax.inspection.subject import Subject
from rmpe_jax.models.localization import SmallLocalization
from rmpe_jax.models.rmpe import RMPE
from rmpe_jax.models.variables import initialise
from rmpe_jax.predict import PoseModel
from rmpe_jax.records import Batch
from rmpe_jax.skeletons import COCO17
from rmpe_jax.training.parallel import ParallelSPPE

SIDE = 32
MODEL = ModelConfig(input_height=SIDE, input_width=SIDE, stn=STNConfig("affine", "small"))
CONFIG = Config(model=MODEL, train=TrainConfig(batch_size=1, parallel_weight=0.7))
# No point that it gives lies near a pixel centre.
THETA = np.array([[0.83, 0.06, 0.071], [-0.04, 0.91, -0.053]])


class TwoStacks(nn.Module):
    """A pose network of three convolutions and two stacks."""

    joints: int = 17

    @nn.compact
    def __call__(self, x, *, train):
        x = nn.Conv(4, (5, 5), strides=(4, 4))(x - 0.5)
        x = jnp.tanh(nn.BatchNorm(use_running_average=not train)(x))
        stacks = [nn.Conv(self.joints, (3, 3))(x) for _ in range(2)]
        return jnp.stack(stacks)


@cache
def model() -> PoseModel:
    """A network that finds THETA, more or less, and another one in another crop."""
    module = RMPE(TwoStacks(), SmallLocalization("affine"), "affine", False)
    variables = initialise(jax.random.key(0), module, MODEL)
    dense = variables["params"]["localization"]["theta"]["dense"]
    dense["bias"] = jnp.asarray(THETA, jnp.float32).reshape(6)
    dense["kernel"] = 0.05 * jax.random.normal(jax.random.key(1), dense["kernel"].shape)
    return PoseModel(variables, module, CONFIG, COCO17, {})


@cache
def parallel():
    """A frozen network with weights of its own, as `load_parallel` gives one."""
    alone = TwoStacks()
    variables = initialise(jax.random.key(5), alone, MODEL)
    return ParallelSPPE(partial(alone.apply, train=False), "squared", 2.0), variables


def plain() -> PoseModel:
    """A network without a transformer."""
    config = replace(CONFIG, model=replace(MODEL, stn=STNConfig("none")))
    variables = {kind: tree["sppe"] for kind, tree in model().variables.items()}
    return PoseModel(variables, TwoStacks(), config, COCO17, {})


def saying(theta) -> PoseModel:
    """The network, but with this theta for every crop."""
    params = dict(model().variables["params"])
    dense = {"kernel": jnp.zeros_like(dense_of(params)["kernel"]), "bias": jnp.ravel(theta)}
    params["localization"] = {**params["localization"], "theta": {"dense": dense}}
    return replace(model(), variables={**model().variables, "params": params})


def dense_of(params):
    """The layer that theta comes from."""
    return params["localization"]["theta"]["dense"]


def subject() -> Subject:
    """Two people in boxes on a photograph; the second is looked at, with joints of its own."""
    rng = np.random.default_rng(3)
    image = rng.integers(0, 256, (12, 20, 3), dtype=np.uint8).repeat(8, axis=0).repeat(8, axis=1)
    boxes_px = np.array([[2.0, 4, 40, 60], [50, 10, 130, 90]])
    joints = np.column_stack([rng.uniform(60, 120, 17), rng.uniform(20, 85, 17), np.full(17, 2)])
    annotated = np.array([56.0, 14, 126, 94])
    return Subject("people.png", image, boxes_px, 2, joints, annotated, "joints of a test")


def batch(seed: int = 0) -> Batch:
    """A training batch of one person."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (1, SIDE // 4, SIDE // 4, 3), dtype=np.uint8)
    weight = np.ones((1, 17), np.float32)
    weight[0, 3] = 0
    return Batch(
        crop=coarse.repeat(4, axis=1).repeat(4, axis=2),
        joints_crop=rng.uniform(-0.7, 0.7, (1, 17, 2)).astype(np.float32),
        weight=weight,
        theta_crop=np.eye(2, 3, dtype=np.float32)[None],
        theta_star=np.array([[[0.9, 0, 0.1], [0, 0.9, -0.15]]], np.float32),
        image_id=np.array([1]),
        person_id=np.array([2]),
    )


def person(seed: int = 0):
    return of_batch(batch(seed), 0)


def unlabelled():
    return person()._replace(weight=jnp.zeros(17))
