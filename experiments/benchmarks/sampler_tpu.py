"""What the sampler moves on a TPU, by the compiler's own accounting; no TPU is needed.

    pip install libtpu && python experiments/benchmarks/sampler_tpu.py

Compiles the sampler ahead of time for four v5e chips, a batch of 32 people a chip, float32, and
reads "bytes accessed" and FLOPs off the compiler: values alone, and values with gradients. Before
is the gather (`sampler_gather`), after is the public `pull`. The compiler counts a loop's body
once; here that is one pass, which is all that a map of scale 1 or less needs. Its estimate of the
time is not defined for some operations, so bytes are what counts. Writes
experiments/results/benchmark_sampler_tpu.json.
"""

import os
from collections.abc import Callable

os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
os.environ["JAX_PLATFORMS"] = "cpu"

import common
import jax
import jax.numpy as jnp
from jax.experimental import topologies
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from rmpe_jax.geometry import affine, sampler, sampler_gather

CHIPS, BATCH = 4, 32
# Height, width, channels; whether the image needs a gradient.
CASES = {
    "stn, gradient to theta": ((256, 192, 3), False),
    "stn, gradient to both": ((256, 192, 3), True),
    "sdtn of one stack, gradient to both": ((64, 48, 16), True),
    "sdtn of eight stacks, gradient to both": ((64, 48, 128), True),
}

Pull = Callable[[jax.Array, jax.Array, int, int], jax.Array]


@jax.custom_vjp
def gathered(image: jax.Array, points: jax.Array) -> jax.Array:
    """Return the image at the points in the form for CPU and GPU."""
    return sampler_gather.read(image, points)


def gathered_backward(inputs: tuple[jax.Array, jax.Array], upstream: jax.Array) -> tuple:
    """Return its gradients."""
    image, points = inputs
    d_image = sampler_gather.gradient_of_image(points, upstream, *image.shape[:2])
    return d_image, sampler_gather.gradient_of_points(image, points, upstream)


gathered.defvjp(lambda *inputs: (gathered(*inputs), inputs), gathered_backward)


def pull_by_gather(image: jax.Array, theta: jax.Array, height: int, width: int) -> jax.Array:
    """Return what `sampler.pull` does, by the gather on any platform."""
    return gathered(image, affine.apply(theta, sampler.pixel_centres(height, width)))


def pull_aligned(image: jax.Array, theta: jax.Array, height: int, width: int) -> jax.Array:
    """Return `sampler.pull` for a theta of scale and translation."""
    return sampler.pull(image, theta, height, width, axis_aligned=True)


def account(pull: Pull, shape: tuple[int, int, int], of_image: bool, mesh: Mesh) -> dict:
    """Return gigabytes and gigaflops a chip of values, and of values with gradients."""
    height, width, _ = shape
    over_chips = NamedSharding(mesh, PartitionSpec("data"))

    def array(*sizes: int) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((CHIPS * BATCH, *sizes), jnp.float32, sharding=over_chips)

    def forward(image: jax.Array, theta: jax.Array) -> jax.Array:
        return jax.vmap(lambda image, theta: pull(image, theta, height, width))(image, theta)

    def both(image: jax.Array, theta: jax.Array, upstream: jax.Array) -> object:
        if of_image:
            out, back = jax.vjp(forward, image, theta)
        else:
            out, back = jax.vjp(lambda theta: forward(image, theta), theta)
        return out, back(upstream)

    inputs = array(*shape), array(2, 3)
    programs = {"forward": (forward, inputs), "forward+backward": (both, (*inputs, array(*shape)))}
    figures = {}
    for name, (program, arguments) in programs.items():
        cost = jax.jit(program).lower(*arguments).compile().cost_analysis()
        figures[name] = {
            "gigabytes": round(cost["bytes accessed"] / 1e9, 3),
            "gigaflops": round(cost["flops"] / 1e9, 2),
        }
    return figures


def main() -> None:
    """Account for all cases and write the result."""
    topology = topologies.get_topology_desc(platform="tpu", topology_name="v5e:2x2")
    mesh = topologies.make_mesh(topology, (CHIPS,), ("data",))
    forms: dict[str, Pull] = {
        "before (gather)": pull_by_gather,
        "after (tiles)": sampler.pull,
        "after (separable, axis-aligned)": pull_aligned,
    }
    cases = {}
    for name, (shape, of_image) in CASES.items():
        cases[name] = {
            "shape": [BATCH, *shape],
            **{form: account(pull, shape, of_image, mesh) for form, pull in forms.items()},
        }
        print(f"{name}: {cases[name]}", flush=True)
    common.write(
        "sampler_tpu",
        {
            "compiled_for": f"TPU v5e, {CHIPS} chips, figures a chip; never run on one",
            "versions": {"jax": jax.__version__},
            "cases": cases,
        },
    )


if __name__ == "__main__":
    main()
