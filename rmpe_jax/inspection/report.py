"""`rmpe inspect`: how learning signals pass through STN, SDTN and the parallel branch, as a page.

One HTML file with everything in it: it opens from disk, asks the network for nothing, and its
Content-Security-Policy forbids it to.
"""

import base64
import hashlib
import html
import json
from importlib import resources
from pathlib import Path
from string import Template
from typing import NamedTuple

from rmpe_jax import detection
from rmpe_jax.inspection import numbers, sections, slider
from rmpe_jax.inspection.findings import Findings, look
from rmpe_jax.inspection.parallel_of import parallel_of
from rmpe_jax.inspection.subject import subject
from rmpe_jax.predict import load

PAGE = resources.files("rmpe_jax.inspection") / "page"


class Request(NamedTuple):
    """Whom to look at, with which network; see `subject.subject` and `parallel_of.parallel_of`.

    `checkpoint` is what `predict.load` takes.
    """

    checkpoint: Path
    image: Path
    boxes: str = detection.SHIPPED
    joints: Path | None = None
    number: int = 1
    parallel: Path | None = None


def inspect(request: Request, out: Path, *, as_json: bool = False) -> list[Path]:
    """Write the report, and if asked its numbers beside it as JSON; return what was written."""
    if out.suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"--out is {out}; its name must end in .html")
    findings = found(request)
    written = {out: page(findings)}
    if as_json:
        written[out.with_suffix(".json")] = json.dumps(numbers.as_json(findings), indent=1)
    out.parent.mkdir(parents=True, exist_ok=True)
    for path, text in written.items():
        path.write_text(text, encoding="utf-8", newline="\n")
    return list(written)


def found(request: Request) -> Findings:
    """Return what there is to tell of the person who is asked for."""
    model = load(request.checkpoint)
    chosen = subject(
        model,
        request.image,
        boxes=request.boxes,
        joints=request.joints,
        number=request.number,
    )
    parallel, problem = parallel_of(model, request.checkpoint, request.parallel)
    findings = look(model, chosen, parallel, checkpoint=request.checkpoint)
    if problem:
        findings.missing["parallel"] = problem
    return findings


def page(findings: Findings) -> str:
    """Return the report as one HTML file."""
    style = "\n".join(asset(f"{part}.css") for part in ("colours", "marks", "report"))
    script = asset("report.js")
    # In a script "</" could end it, and "<!--" begin a comment.
    data = json.dumps(slider.data(findings), separators=(",", ":")).replace("<", "\\u003c")
    return Template(asset("report.html")).substitute(
        policy=_policy(style, script),
        title=html.escape(f"{findings.subject.name}: gradients through the transformer"),
        style=style,
        body=sections.body(findings),
        data=data,
        script=script,
    )


def asset(name: str) -> str:
    """Return a file that pages are made of."""
    return (PAGE / name).read_text(encoding="utf-8").strip()


def _policy(style: str, script: str) -> str:
    """Return a Content-Security-Policy under which nothing but this style and script is used."""
    return "; ".join(
        [
            "default-src 'none'",
            "img-src data:",
            f"style-src {_hash(style)}",
            f"script-src {_hash(script)}",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
