"""RMPE's symmetric transformer about any pose network: crops to heat-maps of the crop.

    crop --theta--> straight --network--> heatmaps_straight --gamma--> heatmaps_crop

theta (straight point -> crop point) pulls a well-centred image out of the crop; gamma, its inverse
in closed form, pulls the heat-maps back (Fang et al., RMPE, ICCV 2017, section 3.1). On points the
way back is theta itself. Images are [B H W 3] in [0, 1], heat-maps [stacks B h w K]; one theta
serves both sizes, because points are in [-1, 1].

Everything is a pure function of (crops, theta) and of the network, which may be any function from
images to heat-maps. `RMPE` is the Flax module that finds theta as well.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from flax import linen as nn
from jaxtyping import Array, Float

from rmpe_jax.geometry import affine, sampler
from rmpe_jax.models.localization import Form, PoseLocalization

Images = Float[Array, "b height width 3"]
Heatmaps = Float[Array, "stacks b h w k"]
PoseNetwork = Callable[[Images], Heatmaps]

# What logits are taken for where a crop reaches outside of the straight image, in nats below all
# of it together: less than half a percent of a joint's probability lies outside of 64x48 maps.
LOG_OUTSIDE = -14.0


class Taps(NamedTuple):
    """All that passes through the transformer, for whoever wants to look.

    `heatmaps_crop` are logits if the network gives logits.
    """

    theta: Float[Array, "b 2 3"]
    gamma: Float[Array, "b 2 3"]
    straight: Float[Array, "b height width 3"]
    heatmaps_straight: Float[Array, "stacks b h w k"]
    heatmaps_crop: Float[Array, "stacks b h w k"]


def symmetric(
    crops: Images,
    theta: Float[Array, "b 2 3"],
    network: PoseNetwork,
    *,
    logits: bool = False,
    axis_aligned: bool = False,
) -> Taps:
    """Return what the STN, the network and the SDTN make of the crops.

    `logits`: the network is trained by cross entropy and gives logits of a joint's place.
    `axis_aligned`: theta neither turns nor shears, by construction; this is faster.
    """
    straight = straighten(crops, theta, axis_aligned=axis_aligned)
    heatmaps = network(straight)
    gamma = jax.vmap(affine.gamma)(theta)
    back = pull_back(heatmaps, gamma, logits=logits, axis_aligned=axis_aligned)
    return Taps(theta, gamma, straight, heatmaps, back)


def straighten(
    crops: Images, theta: Float[Array, "b 2 3"], *, axis_aligned: bool = False
) -> Images:
    """Return the crops as theta shows them, in their own size (RMPE, eq. 1)."""
    _, height, width, _ = crops.shape
    return jax.vmap(
        lambda crop, theta: sampler.pull(crop, theta, height, width, axis_aligned=axis_aligned)
    )(crops, theta)


def pull_back(
    heatmaps: Heatmaps,
    gamma: Float[Array, "b 2 3"],
    *,
    logits: bool = False,
    axis_aligned: bool = False,
) -> Heatmaps:
    """Return straight heat-maps as the crop sees them (RMPE, eq. 2): one gamma for all stacks.

    Outside of the straight image heat-maps are 0. Logits are pulled as logarithms of
    probabilities, which are LOG_OUTSIDE there.
    """
    _, _, height, width, _ = heatmaps.shape

    def pull(maps: Float[Array, "h w sk"], gamma: Float[Array, "2 3"]) -> Float[Array, "h w sk"]:
        return sampler.pull(maps, gamma, height, width, axis_aligned=axis_aligned)

    return read_back(heatmaps, lambda maps: jax.vmap(pull)(maps, gamma), logits=logits)


def read_back(
    heatmaps: Heatmaps,
    read: Callable[[Float[Array, "b h w sk"]], Float[Array, "b h w sk"]],
    *,
    logits: bool,
) -> Heatmaps:
    """Return straight heat-maps as `read`, a sampler that is 0 outside, sees them: `pull_back`."""
    stacks, batch, height, width, joints = heatmaps.shape
    outside = 0.0
    if logits:
        heatmaps = heatmaps - jax.nn.logsumexp(heatmaps, axis=(2, 3), keepdims=True)
        outside = LOG_OUTSIDE
    # All stacks at once, as channels: the same four corners serve them all.
    maps = heatmaps.transpose(1, 2, 3, 0, 4).reshape(batch, height, width, stacks * joints)
    back = read(maps - outside) + outside
    return back.reshape(batch, height, width, stacks, joints).transpose(3, 0, 1, 2, 4)


class RMPE(nn.Module):
    """A pose network between STN and SDTN, with the network that finds theta.

    `sppe` and `localization` are Flax modules; their variables lie under these names.
    """

    sppe: nn.Module
    localization: nn.Module
    form: Form
    logits: bool
    judge: nn.Module | None = None
    """A parallel SPPE that is not frozen: an ablation. Its variables lie here, to be learned."""

    def __call__(self, crops: Images, *, train: bool) -> Heatmaps:
        """Return heat-maps of the crop, as every network of this project does."""
        if self.judge is not None and self.is_initializing():
            self.judge(crops, train=False)
        return self.taps(crops, train=train).heatmaps_crop

    def taps(
        self, crops: Images, shift: Float[Array, "b 2 3"] | affine.Scalar = 0.0, *, train: bool
    ) -> Taps:
        """Return heat-maps and all that they came from; `shift` is added to theta."""
        return symmetric(
            crops,
            self.theta(crops, train=train) + shift,
            lambda straight: self.heatmaps(straight, train=train),
            logits=self.logits,
            axis_aligned=self.axis_aligned,
        )

    def theta(self, crops: Images, *, train: bool) -> Float[Array, "b 2 3"]:
        """Return where the localisation network sees the people."""
        if isinstance(self.localization, PoseLocalization):
            return self.localization(self._first_look(crops), train=train)
        return self.localization(crops, train=train)

    def heatmaps(self, straight: Images, *, train: bool) -> Heatmaps:
        """Return heat-maps of straight images, in their own frame."""
        return self.sppe(straight, train=train)

    def _first_look(self, crops: Images) -> Heatmaps:
        """Return what the pose network sees in the crops; it learns nothing from this look."""
        if self.is_initializing():
            return self.heatmaps(crops, train=False)
        network = self.sppe.clone(parent=None)
        seen: Any = network.apply(jax.lax.stop_gradient(self.sppe.variables), crops, train=False)
        return seen

    @property
    def axis_aligned(self) -> bool:
        """Whether theta neither turns nor shears, by construction."""
        return self.form == "scale_shift"
