"""OpenCV's pedestrian detector, histograms of oriented gradients: a baseline that needs no file.

Dalal and Triggs, Histograms of Oriented Gradients for Human Detection (CVPR 2005). It knows people
who stand upright and in whole, and finds few of those in everyday photographs.
"""

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from rmpe_jax import suppression
from rmpe_jax.records import Detections

# Its window of 64 x 128 pixels has 16 of margin on all sides of a person (section 6.4 there).
WINDOW = (64, 128)  # width, height
MARGIN = 16
STEP = (8, 8)  # between windows
SCALE = 1.05  # from one size of the picture to the next


def find(image: UInt8[np.ndarray, "height width 3"]) -> Detections:
    """Return the people on an RGB image, by falling score; see `suppression.best`.

    Nobody on one that is smaller than WINDOW. ValueError if this OpenCV has no such detector.
    """
    if not hasattr(cv2, "HOGDescriptor"):
        raise ValueError(
            f"OpenCV {cv2.__version__} has no HOG detector; type pip install "
            '"opencv-python-headless<5"'
        )
    height, width, _ = image.shape
    if width < WINDOW[0] or height < WINDOW[1]:  # OpenCV writes outside of its memory for some
        return suppression.best(np.zeros((0, 4)), np.zeros(0), height, width)
    detector = cv2.HOGDescriptor()
    plane = np.array(cv2.HOGDescriptor.getDefaultPeopleDetector())
    detector.setSVMDetector(plane)
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    # By position, as names differ between versions: from margin 0 on, and without OpenCV's
    # grouping (the last 0), as our suppression keeps more people.
    windows, margin = detector.detectMultiScale(bgr, 0, STEP, (MARGIN, MARGIN), SCALE, 0)
    corner, sides = np.split(np.reshape(windows, (-1, 4)).astype(np.float64), 2, axis=1)
    inset = sides * [MARGIN / WINDOW[0], MARGIN / WINDOW[1]]
    boxes_px = np.concatenate([corner + inset, corner + sides - inset], axis=1)
    return suppression.best(boxes_px, score_of(np.reshape(margin, -1)), height, width)


def score_of(margin: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Return scores in [0, 1): 1 - exp(-margin), rising with the distance from the SVM's plane.

    The distance is not negative. It is no probability: it only puts boxes into their order.
    """
    return -np.expm1(-np.asarray(margin, np.float64))
