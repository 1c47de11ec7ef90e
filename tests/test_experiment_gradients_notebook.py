"""experiments/gradients.ipynb: a shortened run from top to bottom, and what is committed of it."""

import base64
import json
import re
import shutil
import tempfile
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[1] / "experiments" / "gradients.ipynb"
FIGURES = 10
MOST_BYTES = 2_000_000
SECONDS = 600  # for one cell, on a machine that is busy with other tests
PATHS = re.compile(r"/(?:work|tmp|home|root|Users|usr|opt|var)/")  # of the machine that ran it


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def figures(notebook):
    """The pictures of all cells, as bytes."""
    data = [out.get("data", {}) for cell in code(notebook) for out in cell.outputs]
    return [base64.b64decode(one["image/png"]) for one in data if "image/png" in one]


def numbers(notebook):
    """What the last cell prints."""
    return json.loads("".join(out.text for out in code(notebook)[-1].outputs))


def check_numbers(found):
    """What holds of every run, however short."""
    assert found["checks_passed"] == found["checks"] == 25
    assert found["samplers_that_pass"] == ["ours"]
    assert found["gradient_through_gamma_error"] < 1e-9
    assert found["loss_of_descent"][1] < found["loss_of_descent"][0]
    assert set(found["nearer"]) == {"total", "main", "parallel"}
    assert all(0 <= count <= found["people"] for count in found["nearer"].values())


def shortened(notebook):
    """Set SHORT in the cell of parameters, and make every warning of the later cells an error."""
    (cell,) = [cell for cell in code(notebook) if "parameters" in cell.metadata.get("tags", [])]
    assert cell.source.count("SHORT = False") == 1
    cell.source = cell.source.replace("SHORT = False", "SHORT = True")
    cell.source += "\nimport warnings\n\nwarnings.simplefilter('error')"


@pytest.fixture(scope="module")
def committed():
    return nbformat.read(NOTEBOOK, as_version=4)


def test_a_shortened_run_gets_to_its_end(tmp_path, monkeypatch):
    for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    monkeypatch.setenv("PYTHONPATH", str(NOTEBOOK.parents[1]))
    copy = Path(shutil.copy(NOTEBOOK, tmp_path))
    notebook = nbformat.read(copy, as_version=4)
    shortened(notebook)
    resources = {"metadata": {"path": str(tmp_path)}}
    client = NotebookClient(notebook, timeout=SECONDS, kernel_name="python3", resources=resources)
    # Sockets in a folder, whose path must be short, instead of ports that any user may listen to.
    with tempfile.TemporaryDirectory() as folder:
        client.create_kernel_manager()
        client.km.transport, client.km.ip = "ipc", str(Path(folder) / "kernel")
        client.execute()
    assert not [
        out for cell in code(notebook) for out in cell.outputs if out.get("name") == "stderr"
    ]
    assert len(figures(notebook)) == FIGURES
    found = numbers(notebook)
    check_numbers(found)
    assert found["people"] == 2


def test_the_committed_notebook_was_run_in_full(committed):
    assert "SHORT = False" in code(committed)[0].source
    cells = code(committed)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    kinds = {out.output_type for cell in cells for out in cell.outputs}
    assert kinds == {"stream", "display_data"}
    assert {out.name for cell in cells for out in cell.outputs if out.output_type == "stream"} == {
        "stdout"
    }
    assert len(figures(committed)) == FIGURES
    assert all(picture.startswith(b"\x89PNG") for picture in figures(committed))
    found = numbers(committed)
    check_numbers(found)
    first, last = found["loss_of_training"]
    assert last < 0.8 * first
    assert found["people"] == 16
    assert found["nearer"]["total"] > found["people"] / 2
    before, after = found["mean_error"]["total"]
    assert after < before


def test_the_committed_notebook_is_small_and_names_no_machine(committed):
    assert NOTEBOOK.stat().st_size < MOST_BYTES
    texts = [
        text
        for cell in code(committed)
        for out in cell.outputs
        for text in (out.get("text", ""), out.get("data", {}).get("text/markdown", ""))
    ]
    texts += [cell.source for cell in committed.cells]
    assert not [found for text in texts for found in PATHS.findall(text)]
    assert set(committed.metadata) == {"kernelspec", "language_info"}
