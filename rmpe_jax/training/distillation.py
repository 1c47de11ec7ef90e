"""Learning from a teacher: a pose network that has seen more people than there are here.

Its heat-maps say where a joint may be, also where it is hidden or nobody has labelled it, and how
sure that is (Hinton et al., Distilling the Knowledge in a Neural Network, 2015).
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rmpe_jax.data.teacher_maps import TeacherBatch
from rmpe_jax.geometry import sampler
from rmpe_jax.losses import cross_entropy_loss

SURE = 0.2  # peak below which the teacher says nothing of a joint
SHARPEN = 2.0  # power of its maps: narrows its Gaussians, and takes away what lies far from them


def teacher_loss(
    logits: Float[Array, "stacks b h w k"],
    teacher: TeacherBatch,
    taught: Float[Array, ""] | None = None,
) -> Float[Array, ""]:
    """Return how far the student's maps are from the teacher's, cross entropy in nats.

    `taught` is the sum of weights of the whole batch (None: this is the whole batch).
    """
    return cross_entropy_loss(logits, *targets(teacher, *logits.shape[2:4]), taught)


def targets(
    teacher: TeacherBatch, height: int, width: int
) -> tuple[Float[Array, "b {height} {width} k"], Float[Array, "b k"]]:
    """Return what the student should see, and each joint's weight.

    The teacher's maps are pulled into the student's crop; a joint counts as much as the peak that
    is left there.
    """
    seen = jnp.asarray(teacher.maps, jnp.float32) / 255
    pulled = jax.vmap(lambda maps, theta: sampler.pull(maps, theta, height=height, width=width))(
        seen, teacher.theta
    )
    peak = jnp.max(pulled, axis=(1, 2))
    return pulled**SHARPEN, jnp.where(peak > SURE, peak, 0.0)
