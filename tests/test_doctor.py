import importlib.metadata

from rmpe_jax import doctor


def test_names_versions_devices_and_data(data_root, monkeypatch):
    monkeypatch.setenv("RMPE_DATA", str(data_root))
    facts, _ = doctor.report()
    text = "\n".join(facts)
    assert f"jax {importlib.metadata.version('jax')}" in text
    assert "devices: " in text
    assert f"photographs: {data_root / 'coco_pose'}" in text


def test_absent_data_comes_with_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("RMPE_DATA", str(tmp_path))
    facts, advice = doctor.report()
    assert any("not at" in fact for fact in facts)
    assert any("--data.root DIR" in line for line in advice)


def test_a_missing_package_comes_with_the_command(monkeypatch):
    def version(name: str) -> str:
        if name == "grain":
            raise importlib.metadata.PackageNotFoundError(name)
        return "1.0"

    monkeypatch.setattr(importlib.metadata, "version", version)
    facts, advice = doctor.report()
    assert "grain: missing" in facts
    assert "pip install grain" in advice


def test_a_second_opencv_comes_with_what_to_remove(monkeypatch):
    monkeypatch.setattr(doctor, "_version", lambda package: "1.0")
    assert any("pip uninstall opencv-python," in line for line in doctor.report()[1])


def test_little_disk_is_noticed(monkeypatch):
    monkeypatch.setattr(doctor, "ENOUGH_DISK", 1e30)
    assert any("free some disk" in line for line in doctor.report()[1])


def test_what_only_some_commands_need_is_no_advice(monkeypatch):
    versions = {"gradio": None}
    monkeypatch.setattr(doctor, "_version", lambda package: versions.get(package, "1.0"))
    facts, advice = doctor.report()
    assert "onnxruntime 1.0" in facts
    assert any("gradio" in fact and "pip install 'rmpe_jax[demo]'" in fact for fact in facts)
    assert not any("gradio" in line for line in advice)
