"""What the page works with, small enough for a test."""

from dataclasses import replace

import numpy as np

from rmpe_jax.demo.page import Networks
from rmpe_jax.pose_nms import RMPE_MPII
from rmpe_jax.records import Detections
from tests.inspection import toy

TWO_BOXES = np.array([[10.0, 10, 60, 110], [70, 20, 120, 115]], np.float32)


def detect(frame):
    """Two people on every picture but a black one."""
    seen = frame.image.any()
    return Detections(TWO_BOXES, np.array([0.9, 0.4], np.float32), np.full(2, seen))


def networks(**changes) -> Networks:
    """An untrained network with a transformer, and a frozen one."""
    model = replace(toy.model(), nms=RMPE_MPII)
    given = Networks(model, model, toy.parallel(), detect, ("A note of a test.",))
    return given._replace(**changes)
