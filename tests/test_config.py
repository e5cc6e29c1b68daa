"""Configuration: numbers are numbers, typos are errors, the environment is expanded."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tristream.config import StrictModel, load_config, parse_yaml
from tristream.errors import ConfigError


class Optimiser(StrictModel):
    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)


class Run(StrictModel):
    name: str = "run"
    epochs: int = 1
    streams: tuple[str, ...] = ("spatial",)
    optimiser: Optimiser = Optimiser()


@pytest.fixture
def write(tmp_path: Path):
    def to_file(text: str) -> Path:
        path = tmp_path / "run.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return to_file


def test_a_key_that_stands_twice_and_a_truth_for_a_number_are_refused(write):
    with pytest.raises(ConfigError, match="epochs: stands twice"):
        load_config(Run, write("epochs: 1\noptimiser: {learning_rate: 1e-3}\nepochs: 2\n"))
    with pytest.raises(ConfigError, match="learning_rate: stands twice"):
        load_config(Run, write("optimiser: {learning_rate: 1e-3, learning_rate: 1e-4}\n"))
    with pytest.raises(ConfigError, match="epochs: expected a number, got true"):
        load_config(Run, write("epochs: true\n"))
    with pytest.raises(ConfigError, match="learning_rate: expected a number, got false"):
        load_config(Run, write("optimiser: {learning_rate: no}\n"))
    merged = "a: &a {learning_rate: 1e-4}\noptimiser: {<<: *a, learning_rate: 1e-2}\n"
    assert parse_yaml(merged)["optimiser"] == {"learning_rate": 1e-2}


@pytest.mark.parametrize("text", ["3e-4", "3.0e-4", "3E-4", "+3e-4", "0.3e-3", ".3e-3", "3.e-4"])
def test_scientific_notation_is_a_float(text: str):
    value = parse_yaml(f"learning_rate: {text}")["learning_rate"]
    assert isinstance(value, float)
    assert value == pytest.approx(3e-4)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_float_that_python_writes_is_read_back(value: float):
    assert parse_yaml(repr(value)) == value


@pytest.mark.parametrize(
    ("text", "value"), [("7", 7), ("e5", "e5"), ("1e5x", "1e5x"), ("'3e-4'", "3e-4"), ("12e", "12e")]
)
def test_what_is_no_float_stays_what_it_is(text: str, value: object):
    assert parse_yaml(text) == value


def test_the_file_fills_the_model(write):
    run = load_config(Run, write("epochs: 3\noptimiser:\n  learning_rate: 3e-4\n"))
    assert run == Run(epochs=3, optimiser=Optimiser(learning_rate=3e-4))


def test_no_file_and_an_empty_file_give_the_defaults(write):
    assert load_config(Run, None) == load_config(Run, write("")) == Run()


def test_an_unknown_key_is_named_with_its_section(write):
    path = write("optimiser:\n  learning_rat: 1\n")
    with pytest.raises(ConfigError, match=r"optimiser\.learning_rat\b") as caught:
        load_config(Run, path)
    assert str(path) in str(caught.value)


def test_a_wrong_type_is_named_with_what_came(write):
    with pytest.raises(ConfigError, match=r"epochs: .*'many'"):
        load_config(Run, write("epochs: many"))


def test_infinity_is_refused(write):
    with pytest.raises(ConfigError, match="learning_rate"):
        load_config(Run, write("optimiser: {learning_rate: .inf}"))


@pytest.mark.parametrize("text", ["- a\n- b\n", "just words"])
def test_a_file_that_is_no_mapping_is_refused(write, text: str):
    with pytest.raises(ConfigError, match="expected a mapping"):
        load_config(Run, write(text))


def test_broken_yaml_and_a_missing_file_name_the_file(write, tmp_path: Path):
    with pytest.raises(ConfigError, match=r"run\.yaml: not valid YAML"):
        load_config(Run, write("a: [1,"))
    with pytest.raises(ConfigError, match=r"none\.yaml: no such"):
        load_config(Run, tmp_path / "none.yaml")


def test_python_objects_are_not_built_from_yaml():
    with pytest.raises(ConfigError, match="not valid YAML"):
        parse_yaml("!!python/object/apply:os.getcwd []")


def test_variables_come_from_the_environment(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RUN_NAME", "first")
    monkeypatch.delenv("ABSENT", raising=False)
    assert parse_yaml("a: ${RUN_NAME}/x\nb: ${ABSENT:-fallback}\nc: ${ABSENT:-}\n") == {
        "a": "first/x",
        "b": "fallback",
        "c": None,
    }


def test_an_unset_variable_is_an_error_that_names_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("ABSENT", raising=False)
    with pytest.raises(ConfigError, match=r"my\.yaml: environment variable ABSENT is not set"):
        parse_yaml("a: ${ABSENT}", "my.yaml")
    assert parse_yaml("# not ${ABSENT}\na: 1") == {"a": 1}


def test_overrides_reach_into_sections_and_take_lists(write):
    path = write("epochs: 3\noptimiser: {learning_rate: 0.1}\n")
    overrides = [
        "optimiser.learning_rate=3e-4",
        "streams=[spatial, semantic]",
        "optimiser.betas=[0.5, 0.9]",
        "name=a=b",
    ]
    run = load_config(Run, path, overrides)
    assert run == Run(
        name="a=b", epochs=3, streams=("spatial", "semantic"), optimiser=Optimiser(learning_rate=3e-4, betas=(0.5, 0.9))
    )


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("epochs", "expected key.subkey=value"),
        ("=3", "expected key.subkey=value"),
        ("epochs.x=1", "'epochs' is a value"),
    ],
)
def test_a_malformed_override_is_explained(write, override: str, message: str):
    with pytest.raises(ConfigError, match=message):
        load_config(Run, write("epochs: 3"), [override])


def test_a_file_laid_over_another_changes_its_keys_alone(write, tmp_path):
    first = write("name: first\nepochs: 3\noptimiser: {learning_rate: 0.1, betas: [0.1, 0.2]}\nstreams: [a, b]\n")
    second = tmp_path / "second.yaml"
    second.write_text("epochs: 9\noptimiser: {learning_rate: 0.5}\nstreams: [c]\n")
    run = load_config(Run, [first, second], ["epochs=4"])
    assert (run.name, run.epochs, run.streams) == ("first", 4, ("c",))
    assert (run.optimiser.learning_rate, run.optimiser.betas) == (0.5, (0.1, 0.2))
    second.write_text("epoch: 1")
    with pytest.raises(ConfigError, match=r"second\.yaml does not fit Run"):
        load_config(Run, [first, second])


def test_an_override_with_a_typo_is_an_error():
    with pytest.raises(ConfigError, match="epoch"):
        load_config(Run, None, ["epoch=3"])


def test_a_configuration_does_not_change_after_validation():
    with pytest.raises(ValueError, match="frozen"):
        Run().epochs = 2  # type: ignore[misc]


def test_a_typo_in_an_override_is_told_as_one(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("name: a\n")
    told = r"run\.yaml with epoch=1 does not fit Run:\n  epoch: no such key; did you mean 'epochs'\? \(got 1\)"
    with pytest.raises(ConfigError, match=told):
        load_config(Run, path, ["epoch=1"])
    with pytest.raises(ConfigError, match=r"optimiser\.rate: no such key \(got 2\)"):
        load_config(Run, path, ["optimiser.rate=2"])
