"""Imports only go down: the order in which the package can be read."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent / "rmpe_jax"
LAYERS = [
    {"skeletons", "records", "config", "shipped", "processes", "shares", "markup"},
    {"whole_body"},
    {"geometry"},
    {"drawing"},
    {"pipeline", "interrupts", "json_list", "packed", "checksums", "suppression", "onnx_layouts"},
    {"models", "data", "losses", "pose_nms", "checkpoint", "canvas"},
    {"detection_losses", "human_detector", "onnx_detector", "hog", "frames", "nms_sets"},
    {"detection", "sources", "stream", "chain"},
    {"predict", "nms_baselines", "meeting"},
    {"pack_run"},
    {"pose_formats", "video_files", "window"},
    {"predict_files", "evaluation"},
    {"training"},
    {"doctor", "inspection", "planning", "ablation"},
    {"demo"},
    {"__main__"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
PACKAGES = {
    "shipped",
    "geometry",
    "models",
    "data",
    "evaluation",
    "training",
    "inspection",
    "planning",
    "ablation",
    "demo",
}


def imported(source: str) -> Iterator[str]:
    """Yield the first-level modules of the package that a source imports."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module == "rmpe_jax":
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("rmpe_jax."):
            yield node.module.split(".")[1]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
            yield from (name.split(".")[1] for name in names if name.startswith("rmpe_jax."))


def violations(own: str, source: str) -> list[str]:
    """Return the imports of a module that do not go down."""
    return [
        name
        for name in imported(source)
        if not (name == own and own in PACKAGES) and LEVEL[name] >= LEVEL[own]
    ]


def test_imports_go_down():
    for path in sorted(ROOT.rglob("*.py")):
        own = path.relative_to(ROOT).parts[0].removesuffix(".py")
        if own != "__init__":
            wrong = violations(own, path.read_text())
            assert not wrong, f"{path}: must not import {wrong}"


def test_an_import_that_goes_up_is_found():
    assert violations("geometry", "from rmpe_jax.models import hourglass") == ["models"]
    assert violations("losses", "from rmpe_jax import checkpoint") == ["checkpoint"]
    assert violations("predict", "import rmpe_jax.training.loop") == ["training"]
    assert violations("training", "from rmpe_jax.training import step") == []


def test_nothing_imports_configs_experiments_or_tests():
    for path in sorted(ROOT.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            module = getattr(node, "module", None) or ""
            aliases = node.names if isinstance(node, ast.Import | ast.ImportFrom) else []
            names = [alias.name for alias in aliases] + [module]
            for name in names:
                assert str(name).split(".")[0] not in {"configs", "experiments", "tests"}, path
