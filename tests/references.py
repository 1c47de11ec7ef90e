"""Oracles: the same mathematics in plain NumPy loops, with nothing of rmpe_jax in them."""

import math

import numpy as np


def bilinear(image, x_px, y_px):
    """Read [h w c] at continuous pixels (centres at j + 0.5) by loops; zero outside."""
    height, width, channels = image.shape
    out = np.zeros((*x_px.shape, channels))
    for at in np.ndindex(*x_px.shape):
        x, y = x_px[at] - 0.5, y_px[at] - 0.5
        for row in range(height):
            for column in range(width):
                weight = max(0.0, 1 - abs(x - column)) * max(0.0, 1 - abs(y - row))
                out[at] += weight * image[row, column]
    return out


def bilinear_gradients(image, x_px, y_px, upstream):
    """Gradients of `bilinear` by loops: image, x_px, y_px; the right-hand one at pixel centres."""
    height, width, _ = image.shape
    d_image, d_x, d_y = np.zeros_like(image), np.zeros_like(x_px), np.zeros_like(y_px)
    for at in np.ndindex(*x_px.shape):
        x, y = x_px[at] - 0.5, y_px[at] - 0.5
        for row in range(height):
            for column in range(width):
                weight_x, weight_y = max(0.0, 1 - abs(x - column)), max(0.0, 1 - abs(y - row))
                slope_x = {math.floor(x): -1, math.floor(x) + 1: 1}.get(column, 0)
                slope_y = {math.floor(y): -1, math.floor(y) + 1: 1}.get(row, 0)
                d_image[row, column] += weight_x * weight_y * upstream[at]
                value = (image[row, column] * upstream[at]).sum()
                d_x[at] += slope_x * weight_y * value
                d_y[at] += weight_x * slope_y * value
    return d_image, d_x, d_y


def pixel_points(height, width):
    """The points in [-1, 1] of all pixel centres, by loops."""
    points = np.zeros((height, width, 2))
    for row in range(height):
        for column in range(width):
            points[row, column] = (2 * column + 1) / width - 1, (2 * row + 1) / height - 1
    return points


def affine(theta, points):
    """Map points by the homogeneous 3x3 matrix."""
    ones = np.ones((*points.shape[:-1], 1))
    matrix = np.vstack([theta, [0, 0, 1]])
    return (np.concatenate([points, ones], axis=-1) @ matrix.T)[..., :2]


def gamma(theta, determinant=None):
    """RMPE eq. 3 and 4: [g1 g2] = [t1 t2]^-1 by cofactors, g3 = -[g1 g2] t3."""
    (a, b, _), (c, d, _) = theta
    determinant = a * d - b * c if determinant is None else determinant
    left = np.array([[d, -b], [-c, a]]) / determinant
    return np.concatenate([left, -left @ theta[:, 2:]], axis=1)


def gradient_of_gamma(theta, upstream):
    """RMPE eq. 5 and 6 written out, by row-major vec: the gradient of theta from that of gamma."""
    (a, b, _), (c, d, _) = theta
    left = gamma(theta)[:, :2]
    matrix = (
        np.array(
            [
                [-d * d, c * d, b * d, -b * c],
                [b * d, -a * d, -b * b, a * b],
                [c * d, -c * c, -a * d, a * c],
                [-b * c, a * c, a * b, -a * a],
            ]
        )
        / (a * d - b * c) ** 2
    )
    total = upstream[:, :2] - upstream[:, 2:] @ theta[:, 2:].T
    d_left = (matrix.T @ total.reshape(4)).reshape(2, 2)
    return np.concatenate([d_left, -left.T @ upstream[:, 2:]], axis=1)


def gaussian_maps(joints, height, width, sigma):
    """Gaussians with peak 1 at joints in [-1, 1], by loops."""
    maps = np.zeros((height, width, len(joints)))
    for number, (x, y) in enumerate(joints):
        x_px, y_px = (x + 1) / 2 * width, (y + 1) / 2 * height
        for row in range(height):
            for column in range(width):
                distance2 = (column + 0.5 - x_px) ** 2 + (row + 0.5 - y_px) ** 2
                maps[row, column, number] = math.exp(-distance2 / (2 * sigma**2))
    return maps


def iou(a, b):
    """Intersection over union of each with each, by loops; 0 where a union is empty."""
    out = np.zeros((len(a), len(b)))
    for i, first in enumerate(a):
        for j, second in enumerate(b):
            width = max(0.0, min(first[2], second[2]) - max(first[0], second[0]))
            height = max(0.0, min(first[3], second[3]) - max(first[1], second[1]))
            sides = [max(0.0, box[k + 2] - box[k]) for box in (first, second) for k in (0, 1)]
            union = sides[0] * sides[1] + sides[2] * sides[3] - width * height
            out[i, j] = width * height / union if union > 0 else 0.0
    return out


def finite_differences(function, array, step=1e-6):
    """The gradient of a scalar function by central differences, one element at a time."""
    array = np.asarray(array, dtype=np.float64)
    gradient = np.zeros_like(array)
    for at in np.ndindex(*array.shape):
        ahead, behind = array.copy(), array.copy()
        ahead[at] += step
        behind[at] -= step
        gradient[at] = (float(function(ahead)) - float(function(behind))) / (2 * step)
    return gradient
