"""The page in a real browser that can reach nothing but the page."""

import json
import socket
import urllib.request

import cv2
import jax.numpy as jnp
import numpy as np
import pytest

from rmpe_jax.demo import page as demo
from rmpe_jax.geometry import affine
from rmpe_jax.inspection.placement import Placement, theta_of
from rmpe_jax.models.rmpe import RMPE
from tests.browser import opened, screenshot
from tests.demo import toys
from tests.inspection import toy

PHONE = {"viewport": {"width": 390, "height": 800}, "is_mobile": True, "has_touch": True}
SIZE = (toy.SIDE, toy.SIDE)
CLOSED = "Method not implemented."  # Gradio's own warning at the end of every upload

# What Gradio and its libraries are warned of is theirs.
pytestmark = [
    pytest.mark.filterwarnings("default"),
    pytest.mark.filterwarnings("error:::rmpe_jax"),
]


@pytest.fixture(scope="module")
def address():
    networks = toys.networks(max_pixels=300 * 300)
    demo.warm(networks)
    blocks = demo.page(networks)
    _, local, shared = demo.serve(blocks, host="127.0.0.1", port=free_port(), wait=False)
    assert not shared
    yield local
    blocks.close(verbose=False)


@pytest.fixture
def page(chromium, address, tmp_path):
    """The page with its first drawing, which at the end must not have asked for anything else."""
    with opened(chromium, address, (address, "data:", "blob:")) as (page, blocked, errors):
        page.locator("#poses-after").wait_for()
        yield page
        screenshot(page, tmp_path, "page")
        assert blocked == [] and [one for one in errors if one != CLOSED] == []


@pytest.fixture
def gradients(page):
    """The page at its second tab."""
    page.get_by_role("tab", name="Gradients").click()
    page.locator("#demo-theta").wait_for()
    return page


def theta_on(page):
    """The theta that the page shows, when the event before is over."""
    page.wait_for_timeout(100)
    page.wait_for_function("!document.querySelector('.generating, .pending')")
    numbers = page.locator("#demo-theta").inner_text().split()
    return np.array(numbers, float).reshape(2, 3)


def changed(page, place, before):
    """Wait until an element says something else than before; return it."""
    page.wait_for_function(
        "([place, before]) => document.querySelector(place).textContent !== before",
        arg=[place, before],
    )
    return page.locator(place).inner_text()


def test_a_weak_proposal_is_left_out_at_once(page):
    assert page.locator("#count-before").inner_text().startswith("8 poses")
    slider = page.locator("#least input[type=range]")
    slider.focus()
    page.keyboard.press("End")
    said = changed(page, "#count-before", "8 poses, one for each proposal")
    assert said.startswith("0 poses") and page.locator("#count-after").inner_text().startswith("0")
    page.keyboard.press("Home")
    changed(page, "#count-before", said)
    assert page.locator("#poses-after").get_attribute("alt").startswith("synthetic_")


def test_the_sliders_of_pose_nms_act_at_once(page):
    first = page.locator("#count-after").inner_text()
    for name, key in (("sigma1", "Home"), ("eta", "Home")):  # all are like each other
        page.locator(f"#nms-{name} input[type=range]").focus()
        page.keyboard.press(key)
    page.wait_for_function("document.querySelector('#count-after').textContent.startsWith('1 ')")
    page.locator("#nms-eta input[type=range]").focus()
    page.keyboard.press("End")
    page.wait_for_function("!document.querySelector('#count-after').textContent.startsWith('1 ')")
    assert first.endswith("numbered by falling score")


def test_none_leaves_all_poses(page):
    page.locator("#nms-set input").click()
    page.get_by_role("option", name="none").click()
    page.wait_for_function("document.querySelector('#count-after').textContent.startsWith('8 ')")


def test_another_drawing(page):
    before = page.locator("#said p").inner_text()
    page.locator("#draw").click()
    after = changed(page, "#said p", before)
    assert before.startswith("synthetic_7_000000.jpg")
    assert after.startswith("synthetic_7_000001.jpg")


def test_a_picture_is_dropped(page, tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (120, 130, 3), dtype=np.uint8)
    path = tmp_path / "two people.png"
    cv2.imwrite(str(path), image)
    page.locator("#dropped input[type=file]").set_input_files(str(path))
    page.wait_for_function("document.querySelector('#count-before').textContent.startsWith('2 ')")
    assert "130 x 120: 2 proposals" in page.locator("#said p").inner_text()


def test_a_picture_without_people_is_no_error(page, tmp_path):
    path = tmp_path / "black.png"
    cv2.imwrite(str(path), np.zeros((100, 100, 3), np.uint8))
    page.locator("#dropped input[type=file]").set_input_files(str(path))
    page.wait_for_function("document.querySelector('#count-before').textContent.startsWith('0 ')")
    assert "nobody is found" in page.locator("#said p").inner_text()
    page.get_by_role("tab", name="Gradients").click()
    page.get_by_text("Nobody is left to look at.").wait_for()
    page.locator("#gradient-step").click()  # nobody is there, and nothing breaks
    page.wait_for_timeout(300)


@pytest.mark.parametrize("kind", ["too many pixels", "no picture"])
def test_what_is_no_picture_for_us_is_refused(chromium, address, tmp_path, kind):
    path = tmp_path / "secret" / "bad.png"
    path.parent.mkdir()
    if kind == "no picture":
        path.write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    else:
        cv2.imwrite(str(path), np.zeros((400, 400, 3), np.uint8))
    with opened(chromium, address, (address, "data:", "blob:")) as (page, blocked, errors):
        page.locator("#poses-after").wait_for()
        page.locator("#dropped input[type=file]").set_input_files(str(path))
        toast = page.locator(".toast-body")
        toast.wait_for()
        said = toast.inner_text()
        assert "bad.png" in said and "/" not in said.split("bad.png")[0]
        if kind == "too many pixels":
            assert "400 x 400" in said
        assert page.locator("#said p").inner_text().startswith("synthetic_")
        assert blocked == []


def test_a_file_that_is_too_large_is_not_taken(address):
    """By the server, whatever a page may think of it."""
    edge = "----edge"
    body = b"".join(
        [
            f"--{edge}\r\n".encode(),
            b'Content-Disposition: form-data; name="files"; filename="a.png"\r\n',
            b"Content-Type: image/png\r\n\r\n",
            bytes(demo.MAX_BYTES + 1),
            f"\r\n--{edge}--\r\n".encode(),
        ]
    )
    heads = {"Content-Type": f"multipart/form-data; boundary={edge}"}
    request = urllib.request.Request(f"{address}gradio_api/upload", body, heads)
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=30)
    assert caught.value.code == 413


def test_it_listens_on_loopback_alone_and_tells_nobody(address):
    with urllib.request.urlopen(f"{address}config", timeout=30) as answer:
        settings = json.load(answer)
    assert settings["analytics_enabled"] is False
    port = int(address.rsplit(":", 1)[1].strip("/"))
    others = {entry[4][0] for entry in socket.getaddrinfo(socket.gethostname(), None)}
    for host in others - {"127.0.0.1", "::1"}:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as other:
            other.settimeout(2)
            assert other.connect_ex((host, port)) != 0


def test_a_slider_moves_theta_and_leaves_the_rest(gradients):
    before = theta_on(gradients)
    text = gradients.locator("#demo-theta").inner_text()
    field = gradients.locator("#theta-shift_x input[type=number]")
    old = float(field.input_value())
    field.fill(str(old + 4))
    changed(gradients, "#demo-theta", text)
    after = theta_on(gradients)
    # 4 of 32 pixels are 0.25 of [-1, 1]; the sliders show tenths of a pixel.
    assert after[0, 2] - before[0, 2] == pytest.approx(0.25, abs=0.05 * 2 / toy.SIDE + 2e-3)
    kept = np.delete(after - before, 2)
    np.testing.assert_allclose(kept, 0, atol=1.1e-3)


def test_identity_and_theta_star_are_a_press_away(gradients):
    text = gradients.locator("#demo-theta").inner_text()
    gradients.get_by_role("button", name="identity").click()
    text = changed(gradients, "#demo-theta", text)
    np.testing.assert_allclose(theta_on(gradients), affine.identity(), atol=1e-3)
    assert float(gradients.locator("#theta-zoom input[type=number]").input_value()) == 0
    gradients.get_by_role("button", name="theta*").click()
    text = changed(gradients, "#demo-theta", text)
    assert float(gradients.locator("#demo-error").inner_text()) == 0
    shown = Placement(
        *(
            float(gradients.locator(f"#theta-{name} input[type=number]").input_value())
            for name in Placement._fields
        )
    )
    np.testing.assert_allclose(theta_of(shown, *SIZE), theta_on(gradients), atol=6e-3)
    gradients.get_by_role("button", name="as found").click()
    changed(gradients, "#demo-theta", text)
    assert gradients.locator("#demo-moved").inner_text() == "stays where it is"


def test_a_gradient_step_goes_down_the_loss(gradients):
    length = gradients.get_by_label("number input for length of a step, pixels")
    length.fill("0.1")
    losses = [float(gradients.locator("#demo-loss-total").inner_text())]
    for _ in range(3):
        text = gradients.locator("#demo-theta").inner_text()
        gradients.locator("#gradient-step").click()
        changed(gradients, "#demo-theta", text)
        losses.append(float(gradients.locator("#demo-loss-total").inner_text()))
    assert losses == sorted(losses, reverse=True) and losses[-1] < losses[0]
    windows = gradients.locator("#bench-pulls svg.windows").all()
    assert len(windows) == 4  # three branches and their sum


def test_the_gradient_is_checked_on_demand(gradients):
    gradients.locator("#check").click()
    tables = gradients.locator("#bench-checked table")
    tables.nth(1).wait_for()
    assert "shift x, per px" in tables.nth(0).inner_text()
    assert "all agree" in tables.nth(1).inner_text()
    text = gradients.locator("#demo-theta").inner_text()
    gradients.get_by_role("button", name="identity").click()
    changed(gradients, "#demo-theta", text)
    assert tables.count() == 0  # it was of another theta


def test_the_other_person_is_looked_at(gradients):
    text = gradients.locator("#demo-theta").inner_text()
    gradients.locator("#person input").click()
    gradients.get_by_role("option", name="2", exact=True).click()
    changed(gradients, "#demo-theta", text)
    assert "the joints of the drawn person" in gradients.locator("#bench-about").inner_text()
    assert "A note of a test." in gradients.locator("#bench-about").inner_text()


def test_on_a_phone_nothing_is_wider_than_the_screen(chromium, address, tmp_path):
    with opened(chromium, address, (address, "data:", "blob:"), **PHONE) as (page, _, errors):
        page.locator("#poses-after").wait_for()
        page.get_by_role("tab", name="Gradients").click()
        page.locator("#demo-theta").wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        screenshot(page, tmp_path, "phone")
        assert errors == []


def test_a_network_without_a_transformer_gets_one_and_says_so(monkeypatch):
    monkeypatch.setattr(demo, "load", lambda path: toy.plain())
    networks = demo.networks(None, boxes="whole")
    assert isinstance(networks.inspected.module, RMPE)
    assert networks.notes == (demo.WITHOUT, demo.ITSELF)
    judge, variables = networks.parallel
    images = jnp.zeros((1, *SIZE, 3))
    own = toy.plain().module.apply(variables, images, train=False)
    np.testing.assert_array_equal(judge.network(variables, images), own)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
