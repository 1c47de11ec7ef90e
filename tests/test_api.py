"""Conventions of the whole package, checked for every function without being told its name."""

import ast
import importlib
import inspect
import pkgutil
import subprocess
import sys

import pytest

import rmpe_jax

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(rmpe_jax.__path__, "rmpe_jax.")
    if not module.name.endswith("__main__")
)


def public_functions(name: str):
    module = importlib.import_module(name)
    for attribute, value in vars(module).items():
        if (
            inspect.isfunction(value)
            and value.__module__ == name
            and not attribute.startswith("_")
            and "<locals>" not in value.__qualname__
        ):
            yield value


@pytest.mark.parametrize("name", rmpe_jax.__all__)
def test_every_public_name_is_there(name):
    assert getattr(rmpe_jax, name) is not None


def test_an_unknown_name_says_what_there_is():
    with pytest.raises(AttributeError, match="has no attribute 'predictt'; it has"):
        _ = rmpe_jax.predictt


@pytest.mark.parametrize("name", MODULES)
def test_modules_and_public_functions_say_what_they_return(name):
    module = importlib.import_module(name)
    assert module.__doc__, name
    for function in public_functions(name):
        assert function.__doc__, f"{name}.{function.__name__}"


@pytest.mark.parametrize("name", MODULES)
def test_a_key_or_generator_comes_first_and_is_called_so(name):
    for function in public_functions(name):
        parameters = list(inspect.signature(function).parameters)
        assert "rng" not in parameters, f"{name}.{function.__name__}: call it generator or key"
        for source in {"generator", "key"} & set(parameters):
            assert parameters[0] == source, f"{name}.{function.__name__}"


@pytest.mark.parametrize("name", MODULES)
def test_no_mutable_defaults_and_options_are_keyword_only(name):
    for function in public_functions(name):
        for parameter in inspect.signature(function).parameters.values():
            where = f"{name}.{function.__name__}({parameter.name})"
            assert not isinstance(parameter.default, list | dict | set), where
            if isinstance(parameter.default, bool | float):
                assert parameter.kind is inspect.Parameter.KEYWORD_ONLY, where


def test_nothing_runs_at_import():
    """Importing every module starts no JAX backend, reads no argument and prints nothing."""
    code = (
        "import importlib, sys; sys.argv = ['x', '--nonsense']\n"
        f"for name in {MODULES!r}: importlib.import_module(name)\n"
        "from jax._src import xla_bridge\n"
        "assert not xla_bridge.backends_are_initialized()\n"
        "assert 'tensorflow' not in sys.modules and 'torch' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""


def test_no_eval_exec_or_shell():
    for name in MODULES:
        source = inspect.getsource(importlib.import_module(name))
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Call):
                called = getattr(node.func, "id", "")
                assert called not in {"eval", "exec"}, name
                assert not any(word.arg == "shell" for word in node.keywords), name
