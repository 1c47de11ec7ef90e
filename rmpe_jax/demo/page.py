"""The page of `rmpe demo`: a picture above, poses and gradients below. Gradio draws it.

It listens on loopback unless told otherwise, asks the network for nothing and tells nobody.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import gradio
from gradio import themes

from rmpe_jax import detection, shipped
from rmpe_jax.data.images import ImageError
from rmpe_jax.demo import bench, gradients_tab, people, poses_tab
from rmpe_jax.demo.people import Given
from rmpe_jax.demo.wiring import Refresh, Value
from rmpe_jax.detection import Detect
from rmpe_jax.frames import MAX_PIXELS
from rmpe_jax.inspection.branches import Parallel
from rmpe_jax.inspection.parallel_of import parallel_of
from rmpe_jax.inspection.report import asset
from rmpe_jax.inspection.stand_in import with_identity
from rmpe_jax.models.rmpe import RMPE
from rmpe_jax.predict import PoseModel, load
from rmpe_jax.training.parallel import of_module

LEAST = 0.1  # score of a proposal; the page leaves more of them out
MAX_BYTES = 20_000_000  # of an uploaded picture
VISITORS = 20  # whose pictures are kept in memory
HOUR, OFTEN = 3600, 300  # seconds that a picture is kept, and between looks for old ones
ABOUT = (
    "# Poses and gradients\nDrop a picture, or have people drawn. Pictures stay on the machine "
    "that serves this page, for about an hour."
)
WITHOUT = (
    "This network has no spatial transformer: one that always says the identity was put before "
    "it. At the identity all points lie on centres of pixels, where the loss has a kink: the first "
    "step may go up."
)
ITSELF = "No parallel network was given: the network itself, frozen, judges the straight image."


class Networks(NamedTuple):
    """What the page works with; `inspected` has a transformer, if only the identity.

    `notes` say in words what was put in the place of what is lacking.
    """

    model: PoseModel
    inspected: PoseModel
    parallel: Parallel
    detect: Detect
    notes: tuple[str, ...]
    max_pixels: int = MAX_PIXELS


def networks(
    checkpoint: Path | None, *, parallel: Path | None = None, boxes: str = detection.SHIPPED
) -> Networks:
    """Return the networks of a run (None: of the package), and who finds people in pictures.

    `boxes` is what `detection.chosen` takes. Where the run's parallel network is not found, or it
    had none, the network itself is.
    """
    model = load(checkpoint)
    detect = detection.chosen(boxes, threshold=LEAST)
    notes = []
    inspected = model
    if not isinstance(model.module, RMPE):
        inspected = with_identity(model)
        notes.append(WITHOUT)
    judge, _ = parallel_of(model, checkpoint or shipped.POSE, parallel)
    if judge is None:
        judge = of_module(model.module, model.config.train), model.variables
        notes.append(ITSELF)
    return Networks(model, inspected, judge, detect, tuple(notes))


def warm(given: Networks) -> None:
    """Compile what the page will call, so that its first visitor need not wait for it."""
    drawing = people.of_drawing(given.model, 0)
    poses = people.kept(people.proposed(drawing, 0.0), given.model.nms)
    row = int(people.rows(poses)[0])
    on = bench.bench(given.inspected, given.parallel, drawing, poses, row)
    bench.shown(on, on.scene.start)


def page(given: Networks) -> gradio.Blocks:
    """Return the page, not served yet."""
    with gradio.Blocks(
        analytics_enabled=False, title="rmpe demo", delete_cache=(OFTEN, HOUR)
    ) as blocks:
        gradio.Markdown(ABOUT)
        with gradio.Row(equal_height=True):
            dropped = gradio.File(
                label="A picture (JPEG, PNG, WebP, BMP or TIFF)",
                file_types=["image"],
                type="filepath",
                height=150,
                elem_id="dropped",
            )
            with gradio.Column():
                number = gradio.Number(0, label="Drawing", precision=0, minimum=0, visible="hidden")
                another = gradio.Button("Draw people", elem_id="draw")
                said = gradio.Markdown(elem_id="said")
        picture = gradio.State()
        with gradio.Tab("Poses"):
            poses, kept = poses_tab.tab(given.model, picture)
        with gradio.Tab("Gradients") as own:
            person = gradients_tab.tab(
                given.inspected, given.parallel, given.notes, picture, kept, own
            )
        reads = Refresh(_reader(given), [dropped], [picture, said]).on(dropped.upload)
        draws = Refresh(_drawer(given), [number], [picture, said, number])
        for event in (reads, draws.on(another.click), draws.on(blocks.load)):
            person.on(poses.on(event.success).success)
    return blocks


def serve(blocks: gradio.Blocks, *, host: str, port: int | None, wait: bool = True) -> Any:
    """Serve the page; returns Gradio's (app, local address, None) once it is up.

    `wait`: only when it is stopped. Port None: the first that is free from 7860.
    """
    return blocks.launch(
        server_name=host,
        server_port=port,
        share=False,
        quiet=True,
        show_error=True,
        prevent_thread_lock=not wait,
        max_file_size=MAX_BYTES,
        state_session_capacity=VISITORS,
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        enable_monitoring=False,
        # Named fonts of the system: others would be asked for from the network.
        theme=themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"]),
        head=f"<style>{_style()}</style>",
    )


def _reader(given: Networks) -> Callable[[str], tuple[Given, str]]:
    """Return the function from an uploaded file to its people."""

    def read(path: str) -> tuple[Given, str]:
        try:
            found = people.of_file(
                given.model, given.detect, Path(path), max_pixels=given.max_pixels
            )
        except ImageError as error:
            # Where it lies on this machine is nothing to the one who looks at the page.
            raise gradio.Error(str(error).replace(path, Path(path).name)) from error
        return found, _words(found)

    return read


def _drawer(given: Networks) -> Callable[[Value], tuple[Given, str, int]]:
    """Return the function from the number of a drawing to its people, and the next number."""

    def draw(number: Value) -> tuple[Given, str, int]:
        found = people.of_drawing(given.model, int(number))
        return found, _words(found), int(number) + 1

    return draw


def _words(given: Given) -> str:
    height, width, _ = given.image.shape
    count = int(given.poses.valid.sum())
    if not count:
        return f"{given.name}, {width} x {height}: nobody is found on it."
    return f"{given.name}, {width} x {height}: {count} proposal{'s' if count > 1 else ''}."


def _style() -> str:
    """Return the marks of the report, inside of our own elements only."""
    return f"{asset('colours.css')}\n.rmpe {{\n{asset('marks.css')}\n}}\n{_PAGE}"


_PAGE = """
.rmpe { background: var(--card); color: var(--ink); padding: 0.6rem; border-radius: 0.5rem; }
.rmpe img { max-width: 100%; }
.rmpe #demo-theta { white-space: pre; font-family: monospace; }
.rmpe #demo-moved { min-width: 15rem; min-height: 3em; }
.rmpe .five, .rmpe .four { grid-template-columns: repeat(auto-fit, minmax(min(7rem, 45%), 1fr)); }
.rmpe .pair { grid-template-columns: repeat(auto-fit, minmax(min(20rem, 100%), 1fr)); }
"""
