"""Which attacks, at which budget. An attack is described here and crafted in `crafting`; epsilons are in 255ths."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tristream.errors import UsageError
from tristream.evaluation.conditions import Parameter

INITIAL_WEIGHT = 0.1
"""Of Carlini-Wagner."""


@dataclass(frozen=True)
class FastGradientSign:
    """FGSM (Goodfellow et al., ICLR 2015): one step of epsilon along the sign of the gradient."""

    levels: int
    """Epsilon, L-infinity, in 255ths."""
    pictures: int
    """At most so many are attacked, half of them real."""
    is_kept_unrounded = False
    """Whether what rounding takes away is worth measuring: with an epsilon of whole levels it is next to nothing."""

    @property
    def name(self) -> str:
        return f"fgsm-{self.levels}"

    @property
    def cost(self) -> int:
        """Of a picture, in scorings: a gradient costs three, and the library scores before and after."""
        return 5

    @property
    def epsilon(self) -> float:
        """In [0, 1]."""
        return self.levels / 255

    @property
    def parameters(self) -> dict[str, Parameter]:
        return {"method": "FGSM", "epsilon": f"{self.levels}/255"}


@dataclass(frozen=True)
class ProjectedGradientDescent:
    """PGD (Madry et al., ICLR 2018), L-infinity: steps of a quarter of epsilon, from a random point in the ball."""

    levels: int
    pictures: int
    steps: int = 20
    is_kept_unrounded = False

    @property
    def name(self) -> str:
        return f"pgd-{self.levels}"

    @property
    def cost(self) -> int:
        return 3 * self.steps + 2

    @property
    def epsilon(self) -> float:
        return self.levels / 255

    @property
    def step_size(self) -> float:
        """In [0, 1]; 2/255 at an epsilon of 8/255."""
        return self.epsilon / 4

    @property
    def parameters(self) -> dict[str, Parameter]:
        return {
            "method": "PGD",
            "epsilon": f"{self.levels}/255",
            "steps": self.steps,
            "step_size": f"{self.levels / 4:g}/255",
            "random_start": "uniform",
        }


@dataclass(frozen=True)
class CarliniWagner:
    """C&W (Carlini and Wagner, S&P 2017), L2: the least perturbation that crosses the threshold by `confidence`.

    Deviation, the library's: each iteration searches along the gradient, in place of a step of Adam.
    """

    pictures: int
    search_steps: int
    """Of the binary search for the weight of the margin."""
    iterations: int
    """In each of them."""
    confidence: float = 0.0
    """Logits beyond the threshold: a margin for what rounding takes away of so small a perturbation."""
    initial_weight: float = INITIAL_WEIGHT
    """Of the margin against the squared norm; doubled where nothing succeeds, halved where something does. To the first
    order it takes 2 * margin / |gradient|^2, in logits and pixels in [0, 1]: a detector whose logit moves little with
    the pixels needs more than others, and a short search that starts too low finds nothing."""

    name = "cw"
    is_kept_unrounded = True

    @property
    def cost(self) -> int:
        return 6 * self.search_steps * self.iterations  # a gradient and some three trials

    @property
    def parameters(self) -> dict[str, Parameter]:
        return {
            "method": "Carlini-Wagner L2",
            "search_steps": self.search_steps,
            "iterations": self.iterations,
            "confidence": self.confidence,
            "initial_weight": self.initial_weight,
        }


Attack = FastGradientSign | ProjectedGradientDescent | CarliniWagner


@dataclass(frozen=True)
class Budget:
    """How much is computed."""

    pictures: int
    """Of FGSM and PGD."""
    cw_pictures: int
    cw_search_steps: int
    cw_iterations: int
    cw_confidence: float = 0.0
    cw_initial_weight: float = INITIAL_WEIGHT


ON_CPU = Budget(pictures=100, cw_pictures=24, cw_search_steps=2, cw_iterations=50)
FULL = Budget(pictures=200, cw_pictures=200, cw_search_steps=5, cw_iterations=200)
"""The default on a GPU."""

KINDS = ("fgsm", "pgd", "cw")
FGSM_LEVELS = (1, 2, 4, 8)
PGD_LEVELS = 8
CHECK_LEVELS = (2, 128)
"""PGD at these too, on CHECK_PICTURES: a weaker attack, and one with which any picture can be made uniformly grey."""
CHECK_PICTURES = 24


def attacks(kinds: Iterable[str], budget: Budget) -> list[Attack]:
    """The attacks of these kinds, of all where none is named. Raises UsageError for an unknown kind."""
    named = list(dict.fromkeys(kinds)) or list(KINDS)
    if unknown := [kind for kind in named if kind not in KINDS]:
        raise UsageError(f"unknown attack '{unknown[0]}'; there are: {', '.join(KINDS)}")
    few = min(CHECK_PICTURES, budget.pictures)
    found: dict[str, list[Attack]] = {
        "fgsm": [FastGradientSign(levels, budget.pictures) for levels in FGSM_LEVELS],
        "pgd": [
            ProjectedGradientDescent(levels, budget.pictures if levels == PGD_LEVELS else few)
            for levels in sorted((PGD_LEVELS, *CHECK_LEVELS))
        ],
        "cw": [
            CarliniWagner(
                budget.cw_pictures,
                budget.cw_search_steps,
                budget.cw_iterations,
                budget.cw_confidence,
                budget.cw_initial_weight,
            )
        ],
    }
    return [attack for kind in named for attack in found[kind]]
