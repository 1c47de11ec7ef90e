import re

import numpy as np
import pytest

from rmpe_jax.inspection import charts
from rmpe_jax.inspection.charts import Series
from rmpe_jax.inspection.landscape import Descent, Landscape

X = np.arange(5.0)


def points(chart):
    """The points of each line of a chart."""
    found = re.findall(r'points="([^"]*)"', chart)
    return [np.array([pair.split(",") for pair in one.split()], float) for one in found]


def test_a_line_goes_from_edge_to_edge_and_up_where_values_rise():
    chart = charts.lines("rising", X, [Series("a", "main", X**2)], "x")
    (line,) = points(chart)
    assert line[0, 0] == charts.LEFT and line[-1, 0] == charts.WIDTH - charts.RIGHT
    heights = charts.HEIGHT - charts.BOTTOM - line[:, 1]
    np.testing.assert_allclose(np.diff(heights) / np.diff(heights)[0], [1, 3, 5, 7], atol=0.05)


def test_gaps_are_left_open_and_single_points_are_dots():
    values = np.array([1.0, 2.0, np.nan, 3.0, np.nan])
    chart = charts.lines("gaps", X, [Series("a", "main", values)], "x")
    assert [len(line) for line in points(chart)] == [2, 1]
    assert chart.count('class="dot main"') == 1


@pytest.mark.parametrize("value", [0.0, 3.0, np.nan, 1e9])
def test_a_constant_or_nothing_at_all_is_drawn(value):
    chart = charts.lines("flat", X[:1], [Series("a", "main", np.full(1, value))], "x")
    assert "nan" not in chart and "inf" not in chart


def test_the_landscape_has_its_lowest_value_brightest_and_where_it_belongs():
    shift, zoom = np.linspace(-10, 10, 5), np.linspace(-40, 40, 3)
    loss = np.ones((3, 5))
    loss[0, 4] = 0.0  # to the right, zoomed in
    colours = charts.colours(loss[::-1]).astype(int).sum(axis=-1)
    assert np.unravel_index(colours.argmax(), colours.shape)[0] > colours.shape[0] / 2
    assert colours[-1, -1] == colours.max() > colours[0, 0]
    path = np.zeros((2, 2, 3))
    steps = Descent(path, np.ones(2), np.array([0.0, 5]), np.array([0.0, -20]), np.ones(2))
    shown = Landscape(path[0], shift, zoom, loss, 0 * loss, np.array([10.0, 40]))
    chart = charts.landscape("loss", shown, steps, marker="here")
    start, end = points(chart)[-1]
    assert end[0] > start[0] and end[1] > start[1], "to the right and, zoomed in, down"
    assert "★" in chart
    away = steps._replace(shift=np.array([0.0, 50]), zoom=np.array([0.0, np.nan]))
    assert len(points(charts.landscape("loss", shown, away, marker="here"))[-1]) == 1
    assert "★" not in charts.landscape(
        "loss", shown._replace(star=np.array([11.0, 0])), steps, marker="here"
    )


def test_bars_hang_below_zero_where_values_are_negative():
    chart = charts.bars("bars", ["a", "b"], [Series("one", "stn", np.array([2.0, -1.0]))])
    tops, heights = (
        [float(value) for value in re.findall(rf'<rect[^>]* {name}="([\d.]+)"', chart)]
        for name in ("y", "height")
    )
    assert heights[0] == pytest.approx(2 * heights[1], abs=0.2)
    assert tops[0] + heights[0] == pytest.approx(tops[1], abs=0.2)
