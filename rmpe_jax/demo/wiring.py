"""How parts of the page call each other: functions with the components they read and write."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from gradio.components import Component

Value = float | int  # of a slider: JSON knows no difference

ONE_AT_A_TIME = "networks"  # a group of events; two at once would only be slower


class Refresh(NamedTuple):
    """A function and its components."""

    function: Callable[..., Any]
    inputs: Sequence[Component]
    outputs: Sequence[Component]

    def on(self, listen: Callable[..., Any], **settings: Any) -> Any:
        """Call it on an event (`button.click`) or after another one (`event.success`)."""
        return listen(
            self.function,
            list(self.inputs),
            list(self.outputs),
            concurrency_id=ONE_AT_A_TIME,
            **settings,
        )


# Of a slider that moves on while its last place is still computed, the newest place counts, and
# nothing may cover the pictures meanwhile.
LIVE = {"trigger_mode": "always_last", "show_progress": "hidden"}
