import cv2
import numpy as np
import pytest

from rmpe_jax import window

BUILT = {
    "none": "  GUI:                           NONE\n    FFMPEG:    YES\n",
    "qt": "  GUI:                           QT5\n    QT:        YES (ver 5.15)\n",
    "gtk": "  GUI:                           GTK3\n    GTK+:      YES (ver 3.24)\n",
}


def test_an_opencv_without_windows_says_what_to_type(monkeypatch):
    monkeypatch.setattr(cv2, "getBuildInformation", lambda: BUILT["none"])
    with pytest.raises(ValueError, match="--vis: this OpenCV has no windows .*--save-video"):
        window.check()


@pytest.mark.parametrize("kind", ["qt", "gtk"])
def test_a_window_needs_a_screen(monkeypatch, kind):
    monkeypatch.setattr(cv2, "getBuildInformation", lambda: BUILT[kind])
    monkeypatch.setattr(window.sys, "platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(ValueError, match="--vis: there is no screen"):
        window.check()
    monkeypatch.setenv("DISPLAY", ":0")
    window.check()


@pytest.mark.parametrize(("key", "goes_on"), [(-1, True), (ord("q"), False), (27, False)])
def test_q_and_escape_stop(monkeypatch, key, goes_on):
    shown = []
    monkeypatch.setattr(cv2, "imshow", lambda title, picture: shown.append(picture))
    monkeypatch.setattr(cv2, "waitKey", lambda wait: key)
    assert window.show(np.full((2, 2, 3), (1, 2, 3), np.uint8)) is goes_on
    assert shown[0][0, 0].tolist() == [3, 2, 1]
