"""Oracles of pose NMS: the sequential algorithms in plain NumPy loops, without rmpe_jax.

After the pseudo code of batch_nms.py: pick the most confident pose, delete what is similar to it,
repeat on the rest. One photograph, poses without padding.
"""

import math

import numpy as np


def radii(box, fraction, region):
    """Half width and half height of the region of one box."""
    width, height = box[2] - box[0], box[3] - box[1]
    if region == "circle":
        return [max(fraction * max(width, height), 1e-6)] * 2
    return [max(fraction / 2 * width, 1e-6), max(fraction / 2 * height, 1e-6)]


def apart(joints, reference, size, region):
    """(distance in radii, inside) of joints [k 2] from those of the reference."""
    offset = (joints - reference) / np.asarray(size, joints.dtype)
    distance = np.sqrt((offset**2).sum(axis=1))
    return distance, (distance if region == "circle" else np.abs(offset).max(axis=1)) <= 1


def similarity(joints, confidence, size, reference, other, parameters, h_form, region):
    """Eq. 10 of one pose under one reference."""
    distance, inside = apart(joints[other], joints[reference], size, region)
    soft = np.tanh(confidence[reference] / parameters["sigma1"]) * np.tanh(
        confidence[other] / parameters["sigma1"]
    )
    power = distance**2 if h_form == "paper" else distance
    return soft[inside].sum() + parameters["lambda_"] * np.exp(-power / parameters["sigma2"]).sum()


def matched(joints, size, reference, other, radius_px, region):
    """Number of joints within the region, at most `radius_px` wide."""
    size = [min(side, radius_px) for side in size]
    return apart(joints[other], joints[reference], size, region)[1].sum()


def groups(rank, eliminates):
    """[(kept, members)] by picking the highest rank, the first of equals, again and again."""
    rest = list(range(len(rank)))
    found = []
    while rest:
        pick = max(rest, key=lambda row: (rank[row], -row))
        members = [row for row in rest if row == pick or eliminates(pick, row)]
        found.append((pick, members))
        rest = [row for row in rest if row not in members]
    return found


def carried(values, own, how):
    """What a kept pose carries of the values of its group."""
    if how == "own":
        return own
    if how == "max":
        return max(values)
    total = sum(values)
    return sum(value * value for value in values) / total if total > 0 else own


def pose_nms(joints, confidence, boxes, score, parameters, options):
    """(kept rows in the order they were picked, joints, confidence, score) of one photograph.

    `options` is a dict of h_form, region, merge, merge_radius_px, carried, support, rank,
    matched_joints and matched_radius_px.
    """
    region, h_form = options["region"], options["h_form"]
    sizes = [radii(box, parameters["fraction"], region) for box in boxes]

    def eliminates(reference, other):
        value = similarity(
            joints, confidence, sizes[reference], reference, other, parameters, h_form, region
        )
        if value >= parameters["eta"]:
            return True
        count = options["matched_joints"]
        radius_px = options["matched_radius_px"]
        return count > 0 and (
            matched(joints, sizes[reference], reference, other, radius_px, region) >= count
        )

    rank = score if options["rank"] == "score" else [row.mean() for row in confidence]
    new_joints, new_confidence = joints.copy(), confidence.copy()
    new_score = np.array(score, copy=True)
    kept = []
    for pick, members in groups(rank, eliminates):
        kept.append(pick)
        new_score[pick] = carried([score[row] for row in members], score[pick], options["carried"])
        new_score[pick] += options["support"] * sum(score[row] for row in members if row != pick)
        for k in range(joints.shape[1] if options["merge"] else 0):
            near = [
                row
                for row in members
                if apart(joints[row], joints[pick], sizes[pick], region)[1][k]
                and _near(joints[row, k], joints[pick, k], options["merge_radius_px"])
            ]
            weights = [confidence[row, k] for row in near]
            if sum(weights) == 0:
                weights = [1.0] * len(near)
            new_joints[pick, k] = sum(
                weight * joints[row, k] for weight, row in zip(weights, near, strict=True)
            ) / sum(weights)
            new_confidence[pick, k] = carried(
                [confidence[row, k] for row in near], confidence[pick, k], options["carried"]
            )
    return kept, new_joints, new_confidence, new_score


def _near(joint, reference, radius_px):
    return radius_px is None or math.dist(joint, reference) <= radius_px


def matched_joint_nms(joints, confidence, boxes, count, fraction):
    """Kept rows of greedy elimination by the number of matched joints."""
    sizes = [radii(box, fraction, "circle") for box in boxes]

    def eliminates(reference, other):
        return matched(joints, sizes[reference], reference, other, math.inf, "circle") >= count

    return [pick for pick, _ in groups([row.mean() for row in confidence], eliminates)]


def oks(one, other, area_one, area_other, sigmas):
    """Object Keypoint Similarity of two poses, area the mean of theirs."""
    area = (area_one + area_other) / 2
    values = [
        math.exp(-(math.dist(a, b) ** 2) / (2 * area * (2 * sigma) ** 2))
        for a, b, sigma in zip(one, other, sigmas, strict=True)
    ]
    return sum(values) / len(values)


def oks_nms(joints, boxes, score, threshold, sigmas):
    """Kept rows of greedy elimination above an OKS, by score."""
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])

    def eliminates(reference, other):
        value = oks(joints[reference], joints[other], area[reference], area[other], sigmas)
        return value > threshold

    return [pick for pick, _ in groups(score, eliminates)]


def truncated_mean_nms(joints, confidence, boxes, score, norm, least, fraction):
    """{kept row: (joints, confidence)} after Burgos-Artizzu et al., started from every pose."""
    weight = np.array(score, float)
    found = {}
    while (weight > 0).sum() >= max(least, 1):
        trials = []
        for start in np.flatnonzero(weight > 0):
            limit = (norm * radii(boxes[start], fraction, "circle")[0]) ** 2
            centre = joints[start]
            for _ in range(10):
                near = [i for i in range(len(joints)) if np.mean((joints[i] - centre) ** 2) < limit]
                total = sum(weight[i] for i in near)
                if total > 0:
                    centre = sum(weight[i] * joints[i] for i in near) / total
            distance = [np.mean((pose - centre) ** 2) for pose in joints]
            loss = sum(min(d / limit, 1) * w for d, w in zip(distance, weight, strict=True))
            trials.append((loss, start, centre, [d < limit for d in distance]))
        _, start, centre, near = min(trials, key=lambda trial: trial[:2])
        members = [i for i in np.flatnonzero(weight > 0) if near[i] or i == start]
        row = max(members, key=lambda i: (weight[i], -i))
        total = sum(weight[i] for i in members)
        found[int(row)] = (centre, sum(weight[i] * confidence[i] for i in members) / total)
        weight[members] = 0
    return found
