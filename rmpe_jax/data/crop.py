"""Pull crops out of photographs on the host, exactly as the device's sampler does, and fast.

A crop is one theta_crop (crop point -> image point, in [-1, 1]) read by bilinear interpolation,
black outside. OpenCV's own warps round positions to 1/32 pixel, which is up to 6 grey levels off:
here OpenCV only gathers whole pixels, and NumPy interpolates in float32.
"""

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from rmpe_jax.geometry import affine

# Positions are 16-bit for OpenCV. Anything outside the image is black, so they may be cut here.
FARTHEST = 2.0**15 - 2
# Columns and rows from the pixel up left of a point to those that it lies between: left ones
# (upper, lower), then right ones.
CORNERS = ((0, 0), (0, 1), (1, 0), (1, 1))


class Cropper:
    """Cuts crops of one shape; one thread at a time, because it works in memory of its own.

    Arrays of this size would otherwise come fresh from the operating system for each crop, and
    two threads would wait for each other there: they make three times as many crops this way.
    """

    def __init__(self, height: int, width: int) -> None:
        """Reserve memory for crops of that shape."""
        self._across = np.arange(width, dtype=np.float32)
        self._down = np.arange(height, dtype=np.float32)[:, None]
        self._share = np.empty((2, height, width), np.float32)
        self._first = np.empty((2, height, width), np.float32)
        self._pixel = np.empty((4, height, width, 2), np.int16)
        self._corner = np.empty_like(self._pixel)
        self._corner[:] = np.array(CORNERS)[:, None, None]
        self._gathered = np.empty((4 * height, width, 3), np.uint8)
        self._level = np.empty((2, 2, height, width, 3), np.float32)
        self._shares = np.empty((height, width, 3), np.float32)

    def __call__(
        self,
        image: UInt8[np.ndarray, "image_height image_width 3"],
        theta_crop: Float[np.ndarray, "2 3"],
    ) -> UInt8[np.ndarray, "height width 3"]:
        """Return the image pulled by theta_crop, rounded, as `sampler.pull` does on the device."""
        self._place(_between_pixels(theta_crop, image.shape[:2], self._share.shape[1:]))
        self._gather(image)
        left, right = self._level
        top, bottom = self._move(left, right, self._share[0])
        level = self._move(top, bottom, self._share[1])
        level += 0.5  # the cast cuts off
        return level.astype(np.uint8)

    def _place(self, theta_px: Float[np.ndarray, "2 3"]) -> None:
        """Find the pixel up left of each of the crop's, and its share of the way to the next."""
        for theta, share, first in zip(
            theta_px.astype(np.float32), self._share, self._first, strict=True
        ):
            np.add(theta[0] * self._across, theta[1] * self._down + theta[2], out=share)
            np.floor(share, out=first)
            share -= first
        np.minimum(np.maximum(self._first, -FARTHEST, out=self._first), FARTHEST, out=self._first)

    def _gather(self, image: UInt8[np.ndarray, "image_height image_width 3"]) -> None:
        """Fetch the four pixels about each of the crop's; black outside."""
        np.add(cv2.merge(tuple(self._first)).astype(np.int16), self._corner, out=self._pixel)
        cv2.remap(
            image,
            self._pixel.reshape(-1, *self._pixel.shape[2:]),
            np.empty(0),  # the map is whole numbers: there are no shares to interpolate by
            cv2.INTER_NEAREST,
            dst=self._gathered,
            borderMode=cv2.BORDER_CONSTANT,
        )
        self._level[:] = self._gathered.reshape(self._level.shape)

    def _move(
        self,
        start: Float[np.ndarray, "*n height width 3"],
        end: Float[np.ndarray, "*n height width 3"],
        share: Float[np.ndarray, "height width"],
    ) -> Float[np.ndarray, "*n height width 3"]:
        """Return start + share * (end - start), in the memory of `end`."""
        cv2.merge((share, share, share), dst=self._shares)
        end -= start
        end *= self._shares
        end += start
        return end


def _between_pixels(
    theta: Float[np.ndarray, "2 3"], input_shape: tuple[int, ...], output_shape: tuple[int, ...]
) -> Float[np.ndarray, "2 3"]:
    """Return a map of points as one of OpenCV's pixels, which it counts from the first's centre."""
    (input_height, input_width), (height, width) = input_shape, output_shape
    half_height, half_width = input_height / 2, input_width / 2
    to_input = np.array([[half_width, 0, half_width - 0.5], [0, half_height, half_height - 0.5]])
    from_output = np.array([[2 / width, 0, 1 / width - 1], [0, 2 / height, 1 / height - 1]])
    return affine.compose(to_input, affine.compose(theta, from_output))
