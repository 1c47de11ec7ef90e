import jax
import jax.numpy as jnp
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from rmpe_jax.planning import program

STEPS = 5


def compiled(unroll):
    """A loop over four devices that sums up a matrix of 16 x 8 float32 in every step."""
    mesh = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Auto,))
    cut = PartitionSpec("data")

    def each(x):
        def step(x, _):
            return jnp.sin(x) + jax.lax.psum(jnp.cos(x), "data"), None

        return jax.lax.scan(step, x, length=STEPS, unroll=unroll)[0]

    mapped = jax.shard_map(each, mesh=mesh, in_specs=cut, out_specs=cut)
    x = jax.ShapeDtypeStruct((64, 8), jnp.float32, sharding=NamedSharding(mesh, cut))
    return jax.jit(mapped).lower(x).compile()


@pytest.mark.parametrize("unroll", [1, STEPS])
def test_messages_of_a_loop_count_each_time(unroll):
    made = compiled(unroll)
    (sent,) = program.collectives(program.parse(made.as_text()))
    assert sent == ("all-reduce", STEPS, STEPS * 16 * 8 * 4)


def test_bytes_moved_are_made_up_for_loops():
    looped, unrolled = (compiled(unroll) for unroll in (1, STEPS))
    factors = [program.loop_factor(program.parse(made.as_text())) for made in (looped, unrolled)]
    assert factors[1] == 1
    moved = [
        made.cost_analysis()["bytes accessed"] * factor
        for made, factor in zip((looped, unrolled), factors, strict=True)
    ]
    assert 1.5 < factors[0] <= STEPS
    assert moved[0] == pytest.approx(moved[1], rel=0.5)


TPU = """\
HloModule jit_step

%cond (p.1: (s32[], f32[8])) -> pred[] {
  %p.1 = (s32[]{:T(128)}, f32[8]{0:T(128)}) parameter(0)
  %counter = s32[]{:T(128)} get-tuple-element(%p.1), index=0
  %bound = s32[]{:T(128)} constant(7)
  ROOT %less = pred[]{:T(512)} compare(%counter, %bound), direction=LT
}

%add (a: f32[], b: f32[]) -> f32[] {
  %a = f32[]{:T(128)} parameter(0)
  %b = f32[]{:T(128)} parameter(1)
  ROOT %sum = f32[]{:T(128)} add(%a, %b)
}

%body (p.2: (s32[], f32[8])) -> (s32[], f32[8]) {
  %p.2 = (s32[]{:T(128)}, f32[8]{0:T(128)}) parameter(0)
  %x = f32[8]{0:T(128)} get-tuple-element(%p.2), index=1
  %begun = f32[8]{0:T(128)S(1)} all-reduce-start(%x), channel_id=1, to_apply=%add
  %done = f32[8]{0:T(128)} all-reduce-done(%begun)
  ROOT %next = (s32[]{:T(128)}, f32[8]{0:T(128)}) tuple(%x, %done)
}

ENTRY %main (x.1: f32[8], w: bf16[4,8]) -> f32[8] {
  %x.1 = f32[8]{0:T(128)} parameter(0)
  %w = bf16[4,8]{1,0:T(8,128)(2,1)} parameter(1)
  %gathered = (bf16[4,8]{1,0}, bf16[16,8]{1,0:T(8,128)S(1)}) all-gather-start(%w)
  %both = (f32[3]{0:T(128)}, /*index=1*/bf16[5]{0}) all-reduce(%x.1, %w), to_apply=%add
  %loop = (s32[]{:T(128)}, f32[8]{0:T(128)}) while(%both), condition=%cond, body=%body
  ROOT %result = f32[8]{0:T(128)} get-tuple-element(%loop), index=1
}
"""


def test_reads_the_text_of_a_tpus_program():
    read = program.parse(TPU)
    assert program.collectives(read) == [
        ("all-reduce", 1 + 7, 3 * 4 + 5 * 2 + 7 * 8 * 4),
        ("all-gather", 1, 16 * 8 * 2),
    ]
    assert read.runs["body"] == 7


def test_text_without_a_program_is_refused():
    with pytest.raises(ValueError, match="ENTRY"):
        program.parse("nothing\n")
