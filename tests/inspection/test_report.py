import base64
import hashlib
import html
import json
import re
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser

import cv2
import jax
import numpy as np
import pytest

from rmpe_jax import packed
from rmpe_jax.config import ModelConfig, STNConfig, TrainConfig, to_dict
from rmpe_jax.inspection import landscape, numbers, report
from rmpe_jax.inspection.curves import WRITTEN
from rmpe_jax.inspection.findings import STEPS, look
from rmpe_jax.inspection.parallel_of import parallel_of
from rmpe_jax.models.build import build
from rmpe_jax.models.variables import initialise
from rmpe_jax.skeletons import COCO17
from tests import small
from tests.inspection import toy
from tests.test_main import command, stopped

MEGABYTE = 1e6
SINGULAR = np.zeros((2, 3), np.float32)
NOT_FINITE = np.full((2, 3), np.nan, np.float32)


@cache
def findings():
    return look(toy.model(), toy.subject(), toy.parallel(), steps=4)


@cache
def page():
    return report.page(findings())


class Elements(HTMLParser):
    """The elements of a page with their attributes, and the text of styles and scripts."""

    def __init__(self, text):
        super().__init__()
        self.found, self.texts = [], []
        self._open = None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        self._open = self.found[-1]

    def handle_endtag(self, tag):
        self._open = None

    def handle_data(self, data):
        if self._open is not None and self._open[0] in ("style", "script"):
            self.texts.append((self._open, data))

    def named(self, *tags):
        return [attributes for tag, attributes in self.found if tag in tags]


def test_the_page_is_one_file_that_asks_for_nothing():
    assert len(page()) < 2 * MEGABYTE
    elements = Elements(page())
    addresses = [
        value
        for _, attributes in elements.found
        for name, value in attributes.items()
        if name in ("src", "href", "srcset", "action", "data", "poster")
    ]
    assert len(addresses) > 15 and all(one.startswith("data:") for one in addresses)
    assert not re.search(r"https?:|url\(|@import|fetch\(|XMLHttpRequest|WebSocket", page())
    assert not {"iframe", "object", "embed", "base"} & {tag for tag, _ in elements.found}


def test_a_page_of_larger_crops_and_many_steps_stays_small():
    """The slider's pictures make up most of it: as many as there are by default, of noise."""
    noise = np.random.default_rng(0).uniform(size=(256, 192, 3)).astype(np.float32)
    place = findings().path[0]
    place = place._replace(view=place.view._replace(crop=noise, straight=noise))
    images = findings().images._replace(crop=noise, crop_theta_held=noise)
    changed = findings()._replace(
        path=(place,) * (STEPS + 1), identity=place, star=place, images=images
    )
    assert 2 * MEGABYTE < len(report.page(changed)) < 5 * MEGABYTE


def test_every_picture_has_words():
    elements = Elements(page())
    pictures = elements.named("img")
    assert len(pictures) >= 12
    for one in pictures:
        assert len(one.get("alt", "")) > 5, one
    for one in elements.named("svg"):
        assert one.get("aria-hidden") == "true" or len(one["aria-label"]) > 5
    labelled = {one["for"] for one in elements.named("label")}
    assert labelled == {one["id"] for one in elements.named("input")}


def test_the_policy_forbids_all_but_the_pages_own_style_and_script():
    elements = Elements(page())
    (policy,) = (
        one["content"] for one in elements.named("meta") if one.get("http-equiv") is not None
    )
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-")
    assert "unsafe" not in policy
    for (tag, attributes), text in elements.texts:
        if attributes.get("type") != "application/json":
            digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
            assert f"{tag}-src 'sha256-{digest}'" in policy
    assert not any(
        name == "style" or name.startswith("on")
        for _, attributes in elements.found
        for name in attributes
    )


def test_what_a_stranger_called_a_file_is_no_markup():
    evil = '"><script>alert(1)</script>.png'
    subject = toy.subject()._replace(name=evil)
    path = (findings().path[0]._replace(label="</script><b>"), *findings().path[1:])
    changed = findings()._replace(subject=subject, checkpoint="</script><b>", path=path)
    text = report.page(changed)
    assert "<script>alert" not in text and "</script><b>" not in text
    assert "&lt;script&gt;alert(1)" in text


def test_ids_are_unique_and_the_slider_finds_each():
    ids = [one["id"] for _, one in Elements(page()).found if "id" in one]
    assert len(ids) == len(set(ids))
    for place in data_of(page())["places"]:
        assert {*place["texts"], *place["pictures"], *place["markers"], "window"} <= set(ids)


def test_the_places_are_those_of_the_descent():
    found = findings()
    wanted = landscape.descend(toy.model(), found.person, toy.parallel(), steps=4)
    assert len(found.path) == 5
    for place, theta, loss, error in zip(
        found.path, wanted.thetas, wanted.loss, wanted.error, strict=True
    ):
        np.testing.assert_allclose(place.theta, theta)
        assert place.loss_main + place.loss_parallel == pytest.approx(loss, rel=1e-5)
        assert place.error == pytest.approx(error)
    assert found.star.error == pytest.approx(0, abs=1e-7)
    np.testing.assert_array_equal(found.identity.theta, np.eye(2, 3))
    shown = data_of(page())["places"]
    assert [place["label"] for place in shown][::5] == ["as found", "at the identity"]
    total = f"{found.path[3].loss_main + found.path[3].loss_parallel:#.4g}"
    assert shown[3]["texts"]["loss-total"] == total


def test_a_pixel_is_the_sum_of_its_corners():
    found = findings()
    straight = np.asarray(found.path[0].view.straight)
    for pixel in found.pixels:
        value = (pixel.read.weight[:, None] * pixel.read.value).sum(axis=0)
        np.testing.assert_allclose(value, straight[pixel.row, pixel.column], atol=1e-5)
        crop = np.round(255 * np.asarray(found.path[0].view.crop))
        row, column = pixel.read.row[0], pixel.read.column[0]
        if pixel.read.inside[0]:
            np.testing.assert_array_equal(pixel.around[3, 3], crop[row, column])
        else:
            assert not pixel.around[3, 3].any()


def test_the_numbers_are_json_that_anything_reads():
    told = json.loads(json.dumps(numbers.as_json(findings()), allow_nan=False))
    found = findings()
    np.testing.assert_allclose(told["gradients"]["stn"], found.gradients.stn, rtol=1e-6)
    np.testing.assert_allclose(told["path"][2]["theta"], found.path[2].theta, rtol=1e-6)
    assert told["checks"][0]["verdict"] == "all agree"
    assert told["missing"]["curves"].startswith("A network in one file")


def test_without_a_transformer_the_page_says_so_and_shows_the_rest():
    found = look(toy.plain(), toy.subject(), steps=2)
    text = report.page(found)
    assert "has no spatial transformer (its model.stn.form is &#x27;none&#x27;)" in text
    assert "--model.stn.form affine" in text
    np.testing.assert_array_equal(found.path[0].theta, np.eye(2, 3))
    assert found.checks is not None and found.landscape is not None
    assert np.abs(found.images.crop).max() > 0
    assert 'id="heatmap-crop"' in text and 'id="heatmap-parallel"' not in text


@pytest.mark.parametrize(
    ("theta", "said", "lost"),
    [
        (SINGULAR, "Theta is all but singular (determinant 0)", {"checks"}),
        (
            NOT_FINITE,
            "Theta is not finite",
            {"checks", "descent", "landscape", "pixels"},
        ),
    ],
    ids=["singular", "not finite"],
)
def test_a_theta_that_cannot_be_inverted_is_shown(theta, said, lost):
    found = look(toy.saying(theta), toy.subject(), toy.parallel(), steps=2)
    text = report.page(found)
    assert said in text
    assert set(found.missing) == lost | {"curves"}
    for part in lost:
        assert html.escape(found.missing[part]) in text
    json.dumps(numbers.as_json(found), allow_nan=False)


def test_the_curves_of_the_run_are_drawn(tmp_path):
    lines = [
        {"step": step, **{name: 0.5 * step for name in WRITTEN if "parallel" not in name}}
        for step in (20, 40, 60)
    ]
    (tmp_path / "metrics.jsonl").write_text("\n".join(map(json.dumps, lines)))
    for checkpoint in (tmp_path, tmp_path / "checkpoints" / "60"):
        checkpoint.mkdir(parents=True, exist_ok=True)
        found = look(toy.saying(NOT_FINITE), toy.subject(), toy.parallel(), checkpoint=checkpoint)
        assert found.curves is not None
        np.testing.assert_array_equal(found.curves.step, [20, 40, 60])
        text = report.page(found)
        assert "Determinant of theta, over the steps" in text
        assert "parallel toward theta*" not in text  # of which nothing was written


def test_the_parallel_network_is_found_where_the_run_lies(tmp_path):
    config = small.config(tmp_path)
    sppe, run = tmp_path / "moved/1_sppe", tmp_path / "moved/2_sstn"
    (run / "checkpoints/4").mkdir(parents=True)
    train = replace(config.train, parallel=str(tmp_path / "gone/1_sppe"))
    model = replace(toy.model(), config=replace(config, train=train))
    assert "is not where it was" in parallel_of(model, tmp_path / "moved")[1]
    sppe.mkdir()
    with pytest.raises(ValueError, match=r"moved/1_sppe holds no checkpoint"):
        parallel_of(model, tmp_path / "moved")
    with pytest.raises(ValueError, match=r"nowhere holds no checkpoint"):
        parallel_of(model, tmp_path / "moved", tmp_path / "nowhere")
    none = replace(model, config=replace(config, train=replace(train, parallel=None)))
    assert "Give one with --parallel DIR" in parallel_of(none, tmp_path / "moved")[1]


def test_the_command_writes_the_page_and_its_numbers(monkeypatch, tmp_path, capsys):
    settings = ModelConfig(
        family="pyramid",
        depth=10,
        trunk_stages=2,
        head_width=8,
        input_height=32,
        input_width=32,
        stn=STNConfig("scale_shift", "small"),
    )
    networks = {"rmpe": settings, "sppe": replace(settings, stn=STNConfig())}
    for name, model in networks.items():
        config = replace(small.config(tmp_path), model=model, train=TrainConfig())
        variables = initialise(jax.random.key(0), build(model, 17), model)
        meta = {"config": to_dict(config), "skeleton": COCO17._asdict()}
        packed.write(tmp_path / f"{name}.safetensors", variables, meta)
    photograph = tmp_path / "people.png"
    cv2.imwrite(str(photograph), toy.subject().image)
    out = tmp_path / "out/mine.html"
    given = ("inspect", str(tmp_path / "rmpe.safetensors"), str(photograph))
    box, to = ("--boxes", "50,10,130,90"), ("--out", str(out), "--json")
    parallel = ("--parallel", str(tmp_path / "sppe.safetensors"))
    command(monkeypatch, *given, *box, *to, *parallel)
    assert f"written: {out}, {out.with_suffix('.json')}" in capsys.readouterr().out
    text = out.read_text()
    assert "the network&#x27;s own pose" in text and "No annotated joints were given" in text
    told = json.loads(out.with_suffix(".json").read_text())
    assert told["stn_form"] == "scale_shift" and len(told["path"]) == STEPS + 1
    assert told["gradients"]["loss_parallel"] and "parallel" not in told["missing"]
    said = stopped(monkeypatch, capsys, *given, *box, "--example", "2")
    assert said.startswith("rmpe: --example is 2, and 1 person was found")
    said = stopped(monkeypatch, capsys, *given, *box, "--out", str(tmp_path / "page.pdf"))
    assert "its name must end in .html" in said


def data_of(text):
    """The JSON that the page's script reads."""
    (data,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text)
    return json.loads(data)
