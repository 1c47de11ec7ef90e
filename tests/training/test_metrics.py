import json
import time

from rmpe_jax.training.metrics import MetricWriter


def lines(folder) -> list[dict]:
    """The lines of the log without their time, which must be there and be now."""
    read = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    for line in read:
        assert abs(line.pop("time") - time.time()) < 60
    return read


def test_each_step_is_one_json_line(tmp_path):
    with MetricWriter(tmp_path, first_step=0) as writer:
        writer.write(1, {"loss": 0.5})
        writer.write(2, {"loss": 0.25, "AP": 0.1})
    assert lines(tmp_path) == [{"step": 1, "loss": 0.5}, {"step": 2, "loss": 0.25, "AP": 0.1}]


def test_a_resumed_run_keeps_what_came_before_and_no_step_twice(tmp_path):
    with MetricWriter(tmp_path, first_step=0) as writer:
        for step in (1, 2, 3, 4):
            writer.write(step, {"loss": float(step)})
    with MetricWriter(tmp_path, first_step=2) as writer:
        writer.write(3, {"loss": 30.0})
    assert [(line["step"], line["loss"]) for line in lines(tmp_path)] == [
        (1, 1.0),
        (2, 2.0),
        (3, 30.0),
    ]


def test_a_last_line_without_its_end_is_kept_whole(tmp_path):
    (tmp_path / "metrics.jsonl").write_text(f'{{"step": 1, "time": {time.time()}, "loss": 1.0}}')
    with MetricWriter(tmp_path, first_step=1) as writer:
        writer.write(2, {"loss": 2.0})
    assert [line["step"] for line in lines(tmp_path)] == [1, 2]


def test_a_line_cut_by_a_kill_is_dropped(tmp_path):
    (tmp_path / "metrics.jsonl").write_text(
        f'{{"step": 1, "time": {time.time()}, "loss": 1.0}}\n{{"step": 2, "lo'
    )
    with MetricWriter(tmp_path, first_step=2) as writer:
        writer.write(3, {"loss": 3.0})
    assert [line["step"] for line in lines(tmp_path)] == [1, 3]


def test_tensorboard_gets_the_same_when_it_is_installed(tmp_path):
    with MetricWriter(tmp_path, first_step=0) as writer:
        writer.write(1, {"loss": 0.5})
    assert list((tmp_path / "tensorboard").glob("events*"))


def test_a_line_is_on_disk_before_the_run_ends(tmp_path):
    with MetricWriter(tmp_path, first_step=0) as writer:
        writer.write(1, {"loss": 0.5})
        assert lines(tmp_path) == [{"step": 1, "loss": 0.5}]
