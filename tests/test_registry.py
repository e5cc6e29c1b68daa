"""Registry: names in configs stand for exactly one thing, and a wrong name says which there are."""

import pytest

from tristream.errors import ConfigError
from tristream.registry import Registry


@pytest.fixture
def shapes() -> Registry[type]:
    registry: Registry[type] = Registry("shape")

    @registry.register("square")
    class Square: ...

    @registry.register("circle")
    class Circle: ...

    return registry


def test_names_are_found_and_listed_in_order_of_registration(shapes: Registry[type]):
    assert shapes["circle"].__name__ == "Circle"
    assert list(shapes) == ["square", "circle"]
    assert len(shapes) == 2
    assert "square" in shapes
    assert "triangle" not in shapes


def test_the_decorator_returns_what_it_decorates(shapes: Registry[type]):
    assert shapes.register("int")(int) is int


def test_an_unknown_name_says_which_there_are(shapes: Registry[type]):
    with pytest.raises(ConfigError, match="unknown shape 'triangle'; there are: square, circle"):
        shapes["triangle"]


def test_a_name_is_taken_once(shapes: Registry[type]):
    with pytest.raises(ValueError, match="shape 'circle' is registered twice"):
        shapes.register("circle")(int)
    assert shapes["circle"].__name__ == "Circle"
