"""Poses of drawn people: a kinematic chain in three dimensions, seen from some side.

Lengths are shares of a standing person's height. Camera frame: x to the right of the picture,
y down, z towards the viewer, the pelvis at 0. Body frame: x to the person's left, y up, z
forward. Pairs are (left, right); angles are radians.
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

# Human proportions after Drillis and Contini (1966), but a larger head:
# faces tell left from right.
SPINE, NECK, SKULL = 0.30, 0.045, 0.085
SHOULDER_HALF, HIP_HALF = 0.115, 0.07
UPPER_ARM, FOREARM, HAND = 0.165, 0.15, 0.035
THIGH, SHIN, FOOT = 0.24, 0.23, 0.085
HEAD_SIZE = (0.066, 0.088, 0.078)  # half axes: sideways, up, forward
FACE = {  # directions in the head frame, in half axes; ears stick out of the skull
    "nose": (0.0, -0.12, 1.0),
    "left_eye": (0.40, 0.18, 0.90),
    "right_eye": (-0.40, 0.18, 0.90),
    "left_ear": (1.0, 0.0, -0.05),
    "right_ear": (-1.0, 0.0, -0.05),
}
SIDES = ("left", "right")
DEGREE = np.pi / 180

ACTIVITIES = {  # ranges in degrees; what one leaves out is as in standing
    "standing": {
        "lean": (-4, 8),
        "hip_flexion": (-6, 8),
        "hip_abduction": (0, 12),
        "knee": (0, 10),
        "shoulder_flexion": (-15, 25),
        "shoulder_abduction": (4, 28),
        "elbow": (0, 75),
        "elbow_twist": (-60, 60),
    },
    "walking": {"elbow": (10, 80)},
    "sitting": {
        "lean": (-12, 18),
        "hip_flexion": (78, 98),
        "hip_abduction": (2, 22),
        "knee": (65, 105),
        "shoulder_flexion": (0, 55),
        "elbow": (20, 100),
    },
    "arms up": {
        "shoulder_flexion": (-20, 20),
        "shoulder_abduction": (85, 170),
        "elbow": (0, 95),
    },
    "crouching": {
        "lean": (10, 40),
        "hip_flexion": (60, 105),
        "hip_abduction": (5, 30),
        "knee": (80, 125),
        "shoulder_flexion": (10, 90),
    },
    "free": {
        "lean": (-12, 30),
        "hip_flexion": (-25, 85),
        "hip_abduction": (0, 42),
        "knee": (0, 100),
        "shoulder_flexion": (-30, 150),
        "shoulder_abduction": (0, 120),
        "elbow": (0, 125),
        "elbow_twist": (-90, 90),
    },
}
ACTIVITY_SHARES = (0.26, 0.22, 0.14, 0.16, 0.06, 0.16)
VIEWS = {  # yaw in degrees: middle and spread
    "front": (0, 35),
    "back": (180, 35),
    "left": (-90, 25),
    "right": (90, 25),
    "any": (0, 180),
}
VIEW_SHARES = (0.4, 0.2, 0.12, 0.12, 0.16)
LYING_SHARE = 0.05
TRUNK = ((-8, -40, -18, -4, -7), (8, 40, 18, 16, 7))
"""Degrees, lowest and highest: tilt, head yaw, head pitch, camera pitch, roll."""


class Pose(NamedTuple):
    """Joint angles. Flexion lifts a limb forwards, abduction sideways away from the body."""

    lean: float
    tilt: float
    hip_flexion: Float[np.ndarray, "2"]
    hip_abduction: Float[np.ndarray, "2"]
    knee: Float[np.ndarray, "2"]
    shoulder_flexion: Float[np.ndarray, "2"]
    shoulder_abduction: Float[np.ndarray, "2"]
    elbow: Float[np.ndarray, "2"]
    elbow_twist: Float[np.ndarray, "2"]
    head_yaw: float
    head_pitch: float
    yaw: float
    """0 faces the viewer, pi shows the back, pi / 2 faces the right of the picture."""
    pitch: float
    roll: float
    """Turn in the picture; a lying person has about pi / 2."""


class Figure(NamedTuple):
    """Points of one person in the camera frame, and the head's axes as columns."""

    points: dict[str, Float[np.ndarray, "3"]]
    head: Float[np.ndarray, "3 3"]


def draw_pose(generator: np.random.Generator) -> Pose:
    """Return a random pose: standing, walking, sitting, arms up, crouching or free."""
    activity = str(generator.choice(list(ACTIVITIES), p=ACTIVITY_SHARES))
    ranges = ACTIVITIES["standing"] | ACTIVITIES[activity]
    angle = {name: generator.uniform(low, high, 2) for name, (low, high) in ranges.items()}
    if activity == "walking":  # arms swing against legs; either leg may lead
        order = generator.permutation(2)
        step, swing = generator.uniform((14, 10), (38, 40))
        angle["hip_flexion"] = np.array((step, -0.7 * step))[order]
        angle["knee"] = generator.uniform((0, 10), (20, 55))[order]
        angle["shoulder_flexion"] = np.array((-swing, swing))[order]
    if activity in ("standing", "walking") and generator.random() < 0.3:
        angle["shoulder_abduction"][generator.integers(2)] = generator.uniform(60, 165)
    middle, spread = VIEWS[str(generator.choice(list(VIEWS), p=VIEW_SHARES))]
    angles: dict[str, Any] = {name: DEGREE * values for name, values in angle.items()}
    angles["lean"] = float(angles["lean"][0])
    lying = generator.random() < LYING_SHARE
    tilt, head_yaw, head_pitch, pitch, roll = DEGREE * generator.uniform(*TRUNK)
    return Pose(
        **angles,
        tilt=tilt,
        head_yaw=head_yaw,
        head_pitch=head_pitch,
        yaw=DEGREE * generator.uniform(middle - spread, middle + spread),
        pitch=pitch,
        roll=roll + lying * DEGREE * generator.choice((-90, 90)),
    )


def pose_figure(pose: Pose) -> Figure:
    """Return where the points of the body are, by walking down the chain from the pelvis."""
    torso = _turn("z", pose.tilt) @ _turn("x", pose.lean)
    points = {"pelvis": np.zeros(3), "neck": torso @ (0.0, SPINE, 0.0)}
    head = torso @ _turn("y", pose.head_yaw) @ _turn("x", pose.head_pitch)
    points["skull"] = points["neck"] + torso @ (0.0, NECK, 0.0) + head @ (0.0, SKULL, 0.01)
    for name, direction in FACE.items():
        points[name] = points["skull"] + head @ (np.array(direction) * HEAD_SIZE)
    for side, (name, sign) in enumerate(zip(SIDES, (1, -1), strict=True)):
        points |= _leg(pose, side, name, sign)
        points |= _arm(pose, side, name, sign, torso, points["neck"])
    to_camera = _turn("z", pose.roll) @ _turn("x", pose.pitch) @ _turn("y", pose.yaw)
    camera = np.diag((1.0, -1.0, 1.0)) @ to_camera  # y up becomes y down
    return Figure({name: camera @ point for name, point in points.items()}, camera @ head)


def _leg(pose: Pose, side: int, name: str, sign: int) -> dict[str, np.ndarray]:
    outwards = _turn("z", sign * pose.hip_abduction[side])
    thigh = outwards @ _turn("x", -pose.hip_flexion[side])
    shin = thigh @ _turn("x", pose.knee[side])
    hip = np.array((sign * HIP_HALF, 0.0, 0.0))
    knee = hip + thigh @ (0.0, -THIGH, 0.0)
    ankle = knee + shin @ (0.0, -SHIN, 0.0)
    toe = ankle + shin @ _turn("y", sign * 0.25) @ (0.0, -0.025, FOOT)
    return {f"{name}_hip": hip, f"{name}_knee": knee, f"{name}_ankle": ankle, f"{name}_toe": toe}


def _arm(
    pose: Pose, side: int, name: str, sign: int, torso: np.ndarray, neck: np.ndarray
) -> dict[str, np.ndarray]:
    outwards = torso @ _turn("z", sign * pose.shoulder_abduction[side])
    upper = outwards @ _turn("x", -pose.shoulder_flexion[side])
    twisted = upper @ _turn("y", sign * pose.elbow_twist[side])
    lower = twisted @ _turn("x", -pose.elbow[side])
    shoulder = neck + torso @ (sign * SHOULDER_HALF, -0.035, 0.0)
    elbow = shoulder + upper @ (0.0, -UPPER_ARM, 0.0)
    wrist = elbow + lower @ (0.0, -FOREARM, 0.0)
    hand = wrist + lower @ (0.0, -HAND, 0.0)
    return {
        f"{name}_shoulder": shoulder,
        f"{name}_elbow": elbow,
        f"{name}_wrist": wrist,
        f"{name}_hand": hand,
    }


def _turn(axis: str, angle: float) -> Float[np.ndarray, "3 3"]:
    """Return the right-handed rotation about the x, y or z axis."""
    cosine, sine = np.cos(angle), np.sin(angle)
    if axis == "x":
        return np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]])
    if axis == "y":
        return np.array([[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]])
    return np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
