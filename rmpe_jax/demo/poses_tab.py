"""The tab of poses: before and after pose NMS, whose parameters are sliders."""

from dataclasses import replace
from typing import Any

import gradio

from rmpe_jax import nms_sets
from rmpe_jax.demo import people
from rmpe_jax.demo.people import Given
from rmpe_jax.demo.wiring import LIVE, Refresh, Value
from rmpe_jax.markup import Markup, figure, joined, picture, tag
from rmpe_jax.pose_nms import NmsParameters, NmsSet
from rmpe_jax.predict import PoseModel
from rmpe_jax.records import Poses

LEARNED, NONE = "learned for this network", "none"
# Least, most and step of each parameter's slider, and what it does (RMPE, eq. 8-10).
RANGES = {
    "sigma1": (0.001, 2.0, 0.001, "softens confidences: the lower, the sooner a joint counts"),
    "sigma2": (0.01, 10.0, 0.01, "softens distances, in radii of a joint's region"),
    "lambda_": (0.01, 10.0, 0.01, "weight of the distances"),
    "eta": (0.5, 100.0, 0.01, "similarity that eliminates: the lower, the fewer poses are left"),
    "fraction": (0.01, 0.5, 0.01, "of the box: radius of a joint's region"),
}
SURE = 0.3  # least score of a proposal at first, as `rmpe predict` has it


def tab(model: PoseModel, given: gradio.State) -> tuple[Refresh, gradio.State]:
    """Lay the tab out; return what fills it after a new picture, and the poses that are left."""
    sets = _sets(model)
    first = next(iter(sets))
    kept = gradio.State()
    with gradio.Row():
        with gradio.Column(scale=1, min_width=260):
            chosen = gradio.Dropdown(
                [*sets, NONE], value=first, label="Pose NMS", elem_id="nms-set", interactive=True
            )
            least = gradio.Slider(
                0.1, 1.0, SURE, step=0.01, label="Least score of a proposal", elem_id="least"
            )
            sliders = [
                gradio.Slider(
                    low,
                    high,
                    _rounded(sets[first].parameters, name),
                    step=step,
                    label=name.removesuffix("_"),
                    info=info,
                    elem_id=f"nms-{name}",
                )
                for name, (low, high, step, info) in RANGES.items()
            ]
            merge = gradio.Checkbox(
                sets[first].options.merge, label="merge the eliminated into the kept"
            )
        with gradio.Column(scale=3):
            shown = gradio.HTML(elem_id="poses-shown")

    def show(given: Given | None, name: str, least: Value, merge: bool, *values: Value) -> Any:
        if given is None:
            return gradio.skip(), gradio.skip()
        nms = None if name == NONE else _set(sets[name], merge, values)
        before = people.proposed(given, float(least))
        after = people.kept(before, nms)
        return _pictures(model, given, before, after), after

    def choose(name: str) -> Any:
        if name == NONE:
            return [gradio.skip()] * (len(sliders) + 1)
        parameters, options = sets[name]
        return [options.merge, *(_rounded(parameters, field) for field in RANGES)]

    refresh = Refresh(show, [given, chosen, least, merge, *sliders], [shown, kept])
    for slider in (least, *sliders, merge):
        refresh.on(slider.input, **LIVE)
    refresh.on(Refresh(choose, [chosen], [merge, *sliders]).on(chosen.input).success)
    return refresh, kept


def _sets(model: PoseModel) -> dict[str, NmsSet]:
    """Return the sets of parameters to choose from, the network's own first."""
    own = {LEARNED: model.nms} if model.nms is not None else {}
    return own | nms_sets.NAMED


def _rounded(parameters: NmsParameters, name: str) -> float:
    return round(float(getattr(parameters, name)), 3)


def _set(chosen: NmsSet, merge: bool, values: tuple[Value, ...]) -> NmsSet:
    return NmsSet(NmsParameters(*map(float, values)), replace(chosen.options, merge=merge))


def _pictures(model: PoseModel, given: Given, before: Poses, after: Poses) -> Markup:
    """Return the picture with the poses before and after."""
    counts = int(before.valid.sum()), int(after.valid.sum())
    sides = (
        ("before", before, f"{counts[0]} poses, one for each proposal"),
        ("after", after, f"{counts[1]} people, numbered by falling score"),
    )
    drawn = [
        figure(
            picture(
                people.picture(given, poses, model.skeleton, numbered=name == "after"),
                f"{given.name} with {words}",
                id=f"poses-{name}",
            ),
            joined(tag("b", f"{name.capitalize()} NMS: "), tag("span", words, id=f"count-{name}")),
        )
        for name, poses, words in sides
    ]
    return tag("div", tag("div", *drawn, class_="figures pair"), class_="rmpe")
