"""Oracles of the multi-person scores: plain Python loops, with nothing of rmpe_jax in them.

Sections are those of the notes on how each metric is computed: 1 is COCO (pycocotools), 5 is MPII
(evaluateAP.m, assignGTmulti.m, getRPC.m, VOCap.m of the official toolkit).

Persons of MPII: {"joints": 14 of (x, y) or None, "head_size": 0.6 * diagonal of the head's box};
poses found: {"joints": 14 of (x, y), "scores": 14 numbers}.
Persons of COCO: {"joints": k of (x, y) or None, "area": number, "bbox": (x, y, width, height),
"iscrowd": optional}; poses found: {"joints": k of (x, y), "score": number}.
"""

import math

JOINTS = 14
RADIUS = 0.5  # of the head size; a joint at exactly this distance is found
LARGEST_COUNT = 20  # poses of one photograph that COCO looks at
EPSILON = math.ulp(1.0)  # np.spacing(1)


def repeated(items_per_image, weights):
    """Each item (a photograph, a group) as often as its weight says, copies side by side."""
    out = []
    for item, weight in zip(items_per_image, weights, strict=True):
        for _ in range(weight):
            out.append(item)
    return out


def mpii_map(groups):
    """Section 5: (AP of each joint, None where no person has it labelled; mean of the others)."""
    labels = [[] for _ in range(JOINTS)]  # (score, is it found) by group, then prediction
    needed = [0] * JOINTS
    for group in groups:
        truth, found = group["truth"], group["found"]
        for person in truth:
            for joint in range(JOINTS):
                needed[joint] += person["joints"][joint] is not None
        person_of = mpii_assignment(truth, found)
        for number, pose in enumerate(found):
            assigned = person_of[number] is not None
            for joint in range(JOINTS):
                hit = assigned and joint_matches(truth[person_of[number]], pose, joint)
                labels[joint].append((pose["scores"][joint], hit))
    precisions = [voc_ap(labels[joint], needed[joint]) for joint in range(JOINTS)]
    valid = [precision for precision in precisions if precision is not None]
    return precisions, (sum(valid) / len(valid) if valid else None)


def mpii_assignment(truth, found):
    """Section 5: the number of the person that has taken each pose, None where nobody has."""
    # Every pose keeps only its best person: the first of equals.
    favourite = []
    for pose in found:
        best, best_pck = None, 0.0
        for number, person in enumerate(truth):
            if pck(person, pose) > best_pck:
                best, best_pck = number, pck(person, pose)
        favourite.append(best)
    # Every person takes the best of the poses that kept it: the first of equals.
    person_of = [None] * len(found)
    for number, person in enumerate(truth):
        best, best_pck = None, 0.0
        for candidate, pose in enumerate(found):
            if favourite[candidate] == number and pck(person, pose) > best_pck:
                best, best_pck = candidate, pck(person, pose)
        if best is not None:
            person_of[best] = number
    return person_of


def pck(person, pose):
    """Section 5: found joints of a person per labelled joint; 0 where none is labelled."""
    labelled = sum(joint is not None for joint in person["joints"])
    matches = sum(joint_matches(person, pose, joint) for joint in range(JOINTS))
    return matches / labelled if labelled else 0.0


def joint_matches(person, pose, joint):
    """Section 5: is this joint within half a head size; an unlabelled one is never."""
    if person["joints"][joint] is None:
        return False
    (x, y), (pose_x, pose_y) = person["joints"][joint], pose["joints"][joint]
    return math.hypot(pose_x - x, pose_y - y) / person["head_size"] <= RADIUS


def voc_ap(labels, needed):
    """Section 5: area under the envelope at all points of (score, found); None if none needed."""
    if not needed:
        return None
    points, true = [], 0  # (recall, precision) after each detection
    for rank, (_, hit) in enumerate(by_falling_score(labels), start=1):
        true += hit
        points.append((true / needed, true / rank))
    area, last_recall = 0.0, 0.0
    for number, (recall, _) in enumerate(points):
        envelope = max(precision for _, precision in points[number:])
        area += (recall - last_recall) * envelope
        last_recall = recall
    return area


def interpolated_ap(detections, needed):
    """Section 1: mean precision of (score, tp, fp) at 101 recalls; None if none needed.

    What is ignored has tp = fp = 0.
    """
    if not needed:
        return None
    points, true, false = [], 0, 0
    for _, tp, fp in by_falling_score(detections):
        true, false = true + tp, false + fp
        points.append((true / needed, true / (false + true + EPSILON)))
    total = 0.0
    for step in range(101):
        # np.linspace(0, 1, 101) multiplies by 0.01: 35 * 0.01 is above 35 / 100.
        reached = [precision for recall, precision in points if recall >= step * 0.01]
        total += max(reached, default=0.0)  # the envelope at the first of these points
    return total / 101


def oks_match(truth, found, sigmas, threshold, area_range=(0, 1e10)):
    """Section 1: 'true', 'false' or 'ignored' for the 20 best poses, in falling-score order."""
    limit = min(threshold, 1 - 1e-10)
    taken = [False] * len(truth)
    out = []
    for pose in coco_considered(found):
        free = []  # (is it real, OKS, number) of the persons this pose may take
        for number, person in enumerate(truth):
            similarity = oks(person, pose, sigmas)
            if similarity >= limit and (not taken[number] or person.get("iscrowd")):
                free.append((not is_ignored(person, area_range), similarity, number))
        if free:
            # Real persons before ignored ones, then the highest OKS, then the last of equals:
            # pycocotools skips a person only if its OKS is lower than the best so far.
            real, _, number = max(free)
            taken[number] = True
            out.append("true" if real else "ignored")
        else:
            out.append("false" if area_range[0] <= pose_area(pose) <= area_range[1] else "ignored")
    return out


def oks_ap(images, sigmas, threshold, area_range=(0, 1e10)):
    """Section 1: `interpolated_ap` of `oks_match` over images {"truth": [...], "found": [...]}."""
    detections, needed = [], 0
    for image in images:
        needed += sum(not is_ignored(person, area_range) for person in image["truth"])
        results = oks_match(image["truth"], image["found"], sigmas, threshold, area_range)
        for pose, result in zip(coco_considered(image["found"]), results, strict=True):
            detections.append((pose["score"], result == "true", result == "false"))
    return interpolated_ap(detections, needed)


def coco_considered(found):
    """Section 1: the poses of one photograph that count, the best score first."""
    return sorted(found, key=lambda pose: -pose["score"])[:LARGEST_COUNT]


def is_ignored(person, area_range=(0, 1e10)):
    """Section 1: crowds, persons without labelled joints, areas outside the range."""
    unlabelled = all(joint is None for joint in person["joints"])
    inside = area_range[0] <= person["area"] <= area_range[1]
    return bool(person.get("iscrowd")) or unlabelled or not inside


def oks(person, pose, sigmas):
    """Section 1: object keypoint similarity of one person and one pose."""
    labelled = [number for number, joint in enumerate(person["joints"]) if joint is not None]
    left, top, width, height = person["bbox"]
    total = 0.0
    for number in labelled or range(len(sigmas)):
        x, y = pose["joints"][number]
        if labelled:
            dx, dy = x - person["joints"][number][0], y - person["joints"][number][1]
        else:  # how far outside the box, which is made three times as large about itself
            dx = max(0, left - width - x) + max(0, x - (left + width * 2))
            dy = max(0, top - height - y) + max(0, y - (top + height * 2))
        variance = (sigmas[number] * 2) ** 2
        total += math.exp(-(dx**2 + dy**2) / variance / (person["area"] + EPSILON) / 2)
    return total / len(labelled or sigmas)


def pose_area(pose):
    """Section 1: the area of the box around all joints of a pose."""
    xs, ys = [x for x, _ in pose["joints"]], [y for _, y in pose["joints"]]
    return (max(xs) - min(xs)) * (max(ys) - min(ys))


def by_falling_score(detections):
    """Detections (score, ...) with the highest score first; equal scores stay in their order."""
    return sorted(detections, key=lambda detection: -detection[0])
