"""What drawn people wear: colours, patterns, skin and hair. RGB in [0, 255]."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

SKIN_TONES = ((244, 208, 177), (231, 180, 143), (208, 150, 112), (165, 110, 76), (110, 72, 50))
HAIR_TONES = (
    (25, 20, 18),
    (60, 38, 24),
    (110, 72, 38),
    (196, 158, 92),
    (150, 150, 150),
    (120, 50, 24),
)
PATTERNS = ("plain", "stripes", "lines", "checks")
PATTERN_SHARES = (0.55, 0.2, 0.1, 0.15)


class Cloth(NamedTuple):
    """A colour, a second one, and how they alternate; `period` is a share of body height."""

    colour: Float[np.ndarray, "3"]
    second: Float[np.ndarray, "3"]
    pattern: str
    period: float


class Look(NamedTuple):
    """What a person wears; a bare arm's sleeve is skin."""

    skin: Cloth
    hair: Float[np.ndarray, "3"]
    hairline: float
    shirt: Cloth
    forearm: Cloth
    trousers: Cloth
    shin: Cloth
    shoe: Cloth
    stout: float
    """Limb widths are multiplied by it."""


def draw_look(generator: np.random.Generator) -> Look:
    """Return random clothes, skin and hair."""

    def cloth() -> Cloth:
        pattern = str(generator.choice(PATTERNS, p=PATTERN_SHARES))
        colours = generator.uniform(15, 245, (2, 3))
        return Cloth(colours[0], colours[1], pattern, float(generator.uniform(0.02, 0.05)))

    tone = np.array(SKIN_TONES[generator.integers(len(SKIN_TONES))]) + generator.uniform(-10, 10, 3)
    skin = Cloth(tone, tone, "plain", 1.0)
    shirt, trousers, shoe = cloth(), cloth(), cloth()
    return Look(
        skin=skin,
        hair=np.array(HAIR_TONES[generator.integers(len(HAIR_TONES))], np.float64),
        hairline=float(generator.uniform(0.25, 0.6)),
        shirt=shirt,
        forearm=shirt if generator.random() < 0.4 else skin,
        trousers=trousers,
        shin=trousers if generator.random() < 0.7 else skin,
        shoe=shoe._replace(pattern="plain"),
        stout=float(generator.uniform(0.9, 1.2)),
    )


def woven(
    cloth: Cloth,
    along: Float[np.ndarray, "height width"],
    across: Float[np.ndarray, "height width"],
) -> Float[np.ndarray, "height width 3"]:
    """Return the cloth's colour at distances along and across a limb, in body heights."""
    if cloth.pattern == "plain":
        second = np.zeros(along.shape, bool)
    else:
        bands = {"stripes": along, "lines": across, "checks": along}[cloth.pattern]
        second = np.floor(bands / cloth.period) % 2 == 1
        if cloth.pattern == "checks":
            second ^= np.floor(across / cloth.period) % 2 == 1
    return np.where(second[..., None], cloth.second, cloth.colour).astype(np.float32)
