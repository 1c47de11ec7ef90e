"""A window that shows pictures while they are made, where there is a screen."""

import os
import sys

import cv2
import numpy as np

TITLE = "rmpe predict (q: stop)"
STOP = (ord("q"), 27)  # 27: Esc
GUI = ("GTK", "QT", "COCOA", "WIN32UI")  # names in OpenCV's build information


def check() -> None:
    """Raise ValueError saying what is missing if no window can open here."""
    lines = cv2.getBuildInformation().upper().splitlines()
    if not any("GUI:" in line and any(name in line for name in GUI) for line in lines) and not any(
        f"{name}:" in line and "YES" in line for line in lines for name in GUI
    ):
        raise ValueError(
            "--vis: this OpenCV has no windows (opencv-python-headless); take --save-img or "
            "--save-video, or: pip uninstall opencv-python-headless && pip install opencv-python"
        )
    screens = ("DISPLAY", "WAYLAND_DISPLAY")
    if sys.platform.startswith("linux") and not any(os.environ.get(name) for name in screens):
        raise ValueError("--vis: there is no screen (DISPLAY is not set); take --save-video")


def show(picture: np.ndarray) -> bool:
    """Show an RGB picture; False if somebody pressed q or Esc. Call it from the main thread."""
    cv2.imshow(TITLE, picture[:, :, ::-1])
    return cv2.waitKey(1) & 0xFF not in STOP
