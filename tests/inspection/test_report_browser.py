"""The report in a real browser that can reach nothing but the file itself."""

import numpy as np
import pytest

from rmpe_jax.inspection import report
from rmpe_jax.inspection.findings import AROUND, COLUMNS, ROWS, look
from rmpe_jax.inspection.slider import number
from tests.browser import opened, screenshot
from tests.inspection import toy

PHONE = {"viewport": {"width": 360, "height": 780}, "is_mobile": True, "has_touch": True}


@pytest.fixture(scope="module")
def findings():
    return look(toy.model(), toy.subject(), toy.parallel(), steps=4)


@pytest.fixture(scope="module")
def address(findings, tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(report.page(findings), encoding="utf-8")
    return path.as_uri()


def test_it_opens_from_disk_and_asks_for_nothing(chromium, address, tmp_path):
    with opened(chromium, address) as (page, blocked, errors):
        page.wait_for_load_state("networkidle")
        assert page.title().startswith("people.png")
        pictures = page.locator("img").all()
        assert pictures and all(one.evaluate("one => one.naturalWidth") for one in pictures)
        screenshot(page, tmp_path, "desktop")
        assert blocked == [] and errors == []


def test_a_page_that_asks_or_fails_is_noticed(chromium, tmp_path):
    path = tmp_path / "bad.html"
    path.write_text('<img src="https://example.org/x.png"><script>missing()</script>')
    with opened(chromium, path.as_uri()) as (page, blocked, errors):
        page.wait_for_load_state("networkidle")
        assert blocked == ["https://example.org/x.png"]
        assert any("missing is not defined" in error for error in errors)


def test_the_slider_goes_down_the_loss_by_keyboard(chromium, address, findings, tmp_path):
    with opened(chromium, address) as (page, _, errors):
        page.locator("#step").focus()
        for step, place in enumerate(findings.path):
            total = number(place.loss_main + place.loss_parallel)
            assert page.locator("#loss-total").inner_text() == total
            assert page.locator("#error").inner_text() == number(place.error)
            assert page.locator("#step-now").inner_text() == str(step)
            shown = page.locator("#window").evaluate(MATRIX)
            np.testing.assert_allclose(shown, place.theta.T.ravel(), atol=1e-4)
            page.keyboard.press("ArrowRight")
        assert page.locator("#straight").get_attribute("alt") == "Straight image after step 4"
        marker = page.locator("#loss-marker")
        assert float(marker.get_attribute("cx")) > 300
        page.keyboard.press("Home")
        assert page.locator("#place-now").inner_text() == "Shown: theta as found"
        assert float(marker.get_attribute("cx")) < 60
        screenshot(page, tmp_path, "slider")
        assert errors == []


def test_each_step_has_its_own_pictures(chromium, address):
    with opened(chromium, address) as (page, _, errors):
        names = ("straight", "heatmap-straight", "heatmap-crop", "heatmap-parallel")
        first = {name: page.locator(f"#{name}").get_attribute("src") for name in names}
        page.locator("#step").focus()
        page.keyboard.press("End")
        for name in names:
            assert page.locator(f"#{name}").get_attribute("src") != first[name]
        assert errors == []


def test_theta_star_is_a_press_away(chromium, address, findings):
    with opened(chromium, address) as (page, _, errors):
        button = page.get_by_role("button", name="theta*")
        button.focus()
        page.keyboard.press("Enter")
        assert page.locator("#error").inner_text() == number(findings.star.error)
        assert button.get_attribute("aria-pressed") == "true"
        assert page.locator("#loss-marker").get_attribute("visibility") == "hidden"
        page.get_by_role("button", name="identity").click()
        assert button.get_attribute("aria-pressed") == "false"
        assert page.locator("#place-now").inner_text() == "Shown: theta at the identity"
        assert errors == []


def test_a_pixel_is_chosen_by_keyboard_and_on_the_picture(chromium, address, findings, tmp_path):
    with opened(chromium, address) as (page, _, errors):
        page.locator("#pixel-row").focus()
        page.keyboard.press("End")
        page.locator("#pixel-column").focus()
        page.keyboard.press("Home")
        check_pixel(page, findings.pixels[(ROWS - 1) * COLUMNS])
        picker = page.locator("#picker")
        picker.scroll_into_view_if_needed()
        box = picker.bounding_box()
        place = {
            "x": (2 + 0.4) / COLUMNS * box["width"],
            "y": (3 + 0.6) / ROWS * box["height"],
        }
        picker.click(position=place)
        assert page.locator("#pixel-column").input_value() == "2"
        check_pixel(page, findings.pixels[3 * COLUMNS + 2])
        screenshot(page, tmp_path, "pixel")
        assert errors == []


def check_pixel(page, pixel):
    assert page.locator("#pixel-now").inner_text() == f"row {pixel.row}, column {pixel.column}"
    rows = page.locator("#corners tbody tr")
    for corner in range(4):
        cells = rows.nth(corner).locator("td").all_inner_texts()
        assert cells[0] == f"{pixel.read.row[corner]}, {pixel.read.column[corner]}"
        assert float(cells[1]) == pytest.approx(pixel.read.weight[corner], abs=6e-4)
    cells = page.locator("#neighbourhood .cell")
    upper_left = cells.nth((AROUND - 1) * 2 * AROUND + AROUND - 1).get_attribute("fill")
    assert upper_left == "#{:02x}{:02x}{:02x}".format(*pixel.around[AROUND - 1, AROUND - 1])


def test_on_a_phone_nothing_is_wider_than_the_screen(chromium, address, tmp_path):
    with opened(chromium, address, **PHONE) as (page, _, errors):
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        wide = page.evaluate(
            "[...document.querySelectorAll('body *')].filter(one => !one.closest('.scroll, svg') &&"
            " one.getBoundingClientRect().right > 360.5).map(one => one.outerHTML.slice(0, 80))"
        )
        assert wide == []
        smallest = page.evaluate(
            "Math.min(...[...document.querySelectorAll('button, input')]"
            ".map(one => one.getBoundingClientRect().height))"
        )
        assert smallest >= 32, "too low for a finger"
        screenshot(page, tmp_path, "phone")
        assert errors == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_in_light_and_dark(chromium, address, tmp_path, scheme):
    with opened(chromium, address, color_scheme=scheme) as (page, _, errors):
        paper, ink, soft = (
            luminance(page.evaluate(COLOUR, [selector, name]))
            for selector, name in (
                ("section", "backgroundColor"),
                ("section p", "color"),
                ("figcaption", "color"),
            )
        )
        assert (paper < 0.1) == (scheme == "dark")
        for text, least in ((ink, 7), (soft, 4.5)):  # WCAG 2.2, 1.4.6 and 1.4.3
            light, dark = max(text, paper), min(text, paper)
            assert (light + 0.05) / (dark + 0.05) >= least
        screenshot(page, tmp_path, scheme)
        assert errors == []


@pytest.mark.parametrize("theta", [np.zeros((2, 3)), np.full((2, 3), np.nan)])
def test_a_theta_that_cannot_be_inverted_breaks_nothing(chromium, tmp_path, theta):
    found = look(toy.saying(theta.astype(np.float32)), toy.subject(), toy.parallel(), steps=2)
    path = tmp_path / "report.html"
    path.write_text(report.page(found), encoding="utf-8")
    with opened(chromium, path.as_uri()) as (page, blocked, errors):
        page.get_by_role("button", name="theta*").click()
        assert page.locator("#place-now").inner_text() == "Shown: theta at theta*"
        assert blocked == [] and errors == []


MATRIX = (
    "one => { const m = one.transform.baseVal[0].matrix; return [m.a, m.b, m.c, m.d, m.e, m.f] }"
)
COLOUR = "([selector, name]) => getComputedStyle(document.querySelector(selector))[name]"


def luminance(colour):
    """Relative luminance of "rgb(r, g, b)" (WCAG 2.2)."""
    parts = np.array([float(part) for part in colour[4:-1].split(",")]) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])
