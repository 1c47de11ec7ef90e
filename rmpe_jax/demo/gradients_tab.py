"""The tab of gradients: theta by hand, and what the losses say about it."""

from typing import Any, get_args

import gradio
import numpy as np

from rmpe_jax.demo import bench, people
from rmpe_jax.demo.bench import Bench, Theta
from rmpe_jax.demo.people import Given
from rmpe_jax.demo.wiring import LIVE, Refresh, Value
from rmpe_jax.geometry import affine
from rmpe_jax.inspection.branches import BranchGradients, Parallel
from rmpe_jax.inspection.landscape import Loss
from rmpe_jax.inspection.placement import Placement, placement_of, theta_of
from rmpe_jax.markup import Markup, tag
from rmpe_jax.models.rmpe import RMPE
from rmpe_jax.predict import PoseModel
from rmpe_jax.records import Poses

# Least and most of each slider, beside the whole crop: shares of its longer side, percent, degrees.
SHIFT = 0.5
RANGES = {"zoom": (-90, 100), "turn": (-180, 180), "shear": (-60, 60), "stretch": (-60, 60)}
LABELS = {
    "shift_x": "shift right, pixels",
    "shift_y": "shift down, pixels",
    "zoom": "zoom out, %",
    "turn": "turn clockwise, degrees",
    "shear": "shear, %",
    "stretch": "stretch wider, %",
}
TURNED = ("turn", "shear")  # not for a transformer that only shifts and scales


def tab(
    model: PoseModel,
    parallel: Parallel | None,
    notes: tuple[str, ...],
    given: gradio.State,
    kept: gradio.State,
    own_tab: gradio.Tab,
) -> Refresh:
    """Lay the tab out; return what fills it after a new picture. `model` has a transformer."""
    assert isinstance(model.module, RMPE)
    size = model.config.model.input_height, model.config.model.input_width
    upright = model.module.axis_aligned
    on, theta, found = gradio.State(), gradio.State(), gradio.State()
    with gradio.Row():
        with gradio.Column(scale=1, min_width=260):
            person = gradio.Dropdown(["1"], value="1", label="Person", elem_id="person")
            with gradio.Row():
                places = {
                    name: gradio.Button(name, size="sm", min_width=60)
                    for name in ("as found", "identity", "theta*")
                }
            step = gradio.Button("One gradient step", variant="primary", elem_id="gradient-step")
            length = gradio.Slider(0.1, 10, 0.5, step=0.1, label="length of a step, pixels")
            loss = gradio.Radio(list(get_args(Loss)), value="total", label="down which loss")
            sliders = {
                name: _slider(name, size, interactive=not (upright and name in TURNED))
                for name in Placement._fields
            }
        with gradio.Column(scale=3):
            about = gradio.HTML(elem_id="bench-about")
            shown = gradio.HTML(elem_id="bench-pictures")
            pulls = gradio.HTML(elem_id="bench-pulls")
            check = gradio.Button("Check the gradient by finite differences", elem_id="check")
            checked = gradio.HTML(elem_id="bench-checked")
    views = [theta, found, shown, pulls, checked]

    def show(on: Bench, theta: Theta) -> list[Any]:
        """Return the views of a theta; an earlier check is not one of it."""
        seen = bench.shown(on, theta)
        return [theta, seen.found, _framed(seen.pictures), _framed(seen.pulls), ""]

    def at(on: Bench, theta: Theta) -> list[Any]:
        """Return the views, and the sliders that belong to them."""
        return [*show(on, theta), *_positions(theta, size)]

    def take(given: Given | None, kept: Poses | None, number: str) -> list[Any]:
        if given is None or kept is None:
            return [gradio.skip()] * (3 + len(views) + len(sliders))
        rows = people.rows(kept)
        if not len(rows):
            nobody = _framed(tag("p", "Nobody is left to look at.", class_="notes"))
            rest = [None, None, "", "", "", *[gradio.skip()] * len(sliders)]
            return [None, gradio.update(choices=[], value=None), nobody, *rest]
        chosen = int(number) if number and int(number) <= len(rows) else 1
        numbers = [str(one) for one in range(1, len(rows) + 1)]
        taken = bench.bench(model, parallel, given, kept, int(rows[chosen - 1]))
        told = tag("ul", *(tag("li", note) for note in (f"Target: {taken.target}.", *notes)))
        return [
            taken,
            gradio.update(choices=numbers, value=str(chosen)),
            _framed(told),
            *at(taken, taken.scene.start),
        ]

    def moved(name: str) -> Any:
        """Return the function of one slider: what the others stand for stays as it is."""

        def to(on: Bench | None, theta: Theta, value: Value) -> list[Any]:
            if on is None:
                return [gradio.skip()] * len(views)
            placed = placement_of(theta, *size)._replace(**{name: float(value)})
            return show(on, theta_of(placed, *size))

        return to

    def put(name: str) -> Any:
        def to(on: Bench | None) -> list[Any]:
            if on is None:
                return [gradio.skip()] * (len(views) + len(sliders))
            star = np.asarray(on.scene.person.theta_star, np.float64)
            places = {"as found": on.scene.start, "identity": affine.identity(), "theta*": star}
            return at(on, places[name])

        return to

    def down(
        on: Bench | None, found: BranchGradients | None, loss: Loss, length: Value
    ) -> list[Any]:
        if on is None or found is None:
            return [gradio.skip()] * (len(views) + len(sliders))
        return at(on, bench.stepped(on, found, loss, float(length)))

    def examine(on: Bench | None, theta: Theta) -> Any:
        return gradio.skip() if on is None else _framed(bench.checked(on, theta))

    def take_again(
        given: Given | None, kept: Poses | None, number: str, on: Bench | None
    ) -> list[Any]:
        """Return what `take` does, where another pose NMS has left others since."""
        if on is not None and on.poses is kept:
            return [gradio.skip()] * (3 + len(views) + len(sliders))
        return take(given, kept, number)

    everything = [*views, *sliders.values()]
    refresh = Refresh(take, [given, kept, person], [on, person, about, *everything])
    refresh.on(person.input)
    Refresh(take_again, [*refresh.inputs, on], refresh.outputs).on(own_tab.select)
    for name, slider in sliders.items():
        Refresh(moved(name), [on, theta, slider], views).on(slider.input, **LIVE)
    for name, button in places.items():
        Refresh(put(name), [on], everything).on(button.click, show_progress="hidden")
    Refresh(down, [on, found, loss, length], everything).on(step.click, show_progress="hidden")
    Refresh(examine, [on, theta], [checked]).on(check.click)
    return refresh


def _slider(name: str, size: tuple[int, int], *, interactive: bool) -> gradio.Slider:
    low, high = _range(name, size)
    return gradio.Slider(
        low,
        high,
        0,
        step=0.1,
        label=LABELS[name],
        interactive=interactive,
        elem_id=f"theta-{name}",
    )


def _positions(theta: Theta, size: tuple[int, int]) -> list[float]:
    """Return where the sliders stand; a theta beyond them leaves them at their ends."""
    return [
        round(float(np.clip(np.nan_to_num(value), *_range(name, size))), 1)
        for name, value in placement_of(theta, *size)._asdict().items()
    ]


def _range(name: str, size: tuple[int, int]) -> tuple[float | int, float | int]:
    """Return the least and the most of a slider."""
    most = SHIFT * max(size)
    return (-most, most) if name.startswith("shift") else RANGES[name]


def _framed(content: Markup) -> Markup:
    return tag("div", content, class_="rmpe")
