"""Importing tristream is cheap: no training framework, no inference runtime, no table library comes with it."""

import json
import subprocess
import sys

import pytest

HEAVY = (
    "torch",
    "torchvision",
    "timm",
    "lightning",
    "onnxruntime",
    "openvino",
    "pandas",
    "pyarrow",
    "sklearn",
    "scipy",
    "matplotlib",
)


def modules_after(statement: str) -> set[str]:
    """Top-level modules that a fresh interpreter has loaded after `statement`."""
    program = (
        f"import json, sys\n{statement}\nprint(json.dumps(sorted({{name.split('.')[0] for name in sys.modules}})))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    "statement",
    ["import tristream", "from tristream import Prediction, Predictor, load", "import tristream.cli.app"],
    ids=["package", "public names", "command line"],
)
def test_importing_loads_nothing_heavy(statement: str):
    assert modules_after(statement) & set(HEAVY) == set()


def test_the_check_sees_what_is_loaded():
    assert "scipy" in modules_after("import scipy")
