"""A predictions table: a row per picture and condition, and its columns as arrays."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from tristream.errors import UndefinedMetricError, UsageError
from tristream.typing import Bool, Float64, Int64, Strings

# N pictures of one condition


CONTENT = "content"
"""Column: pictures with the same word in it show the same kind of thing."""
VIDEO = "video"
"""Column: which video a frame is of."""
PERTURBATIONS = ("perturbation_l2", "perturbation_linf")
"""Columns: norms of what a condition does to a picture's crops, in [0, 1]."""
COLUMNS = ("id", "label", "generator", "source", "group", "condition", "logit", "probability", "error")
"""Those that every table has."""


@dataclass(frozen=True)
class Pictures:
    """The columns of one condition, failed pictures included."""

    id_N: Strings
    label_N: Int64
    generator_N: Strings
    source_N: Strings
    group_N: Strings
    logit_N: Float64
    probability_N: Float64
    distance_N: Float64
    """From the pictures that the detector was trained on; NaN where it was not measured."""
    content_N: Strings
    """What matches fakes with reals: the column CONTENT, or the group where that is empty."""
    perturbation_l2_N: Float64
    """What an attack did to the crops, in [0, 1]; NaN where there was none."""
    perturbation_linf_N: Float64
    failed_N: Bool

    def __getitem__(self, chosen: Bool | npt.NDArray[np.intp]) -> Pictures:
        return replace(self, **{column.name: getattr(self, column.name)[chosen] for column in fields(self)})

    def __len__(self) -> int:
        return self.label_N.size

    @cached_property
    def scored(self) -> Pictures:
        """Those that did not fail."""
        return self[~self.failed_N]

    def probability(self) -> Float64:
        """f64[N], P(fake). Raises UndefinedMetricError for a detector without calibration."""
        if np.isnan(self.probability_N).all():
            raise UndefinedMetricError("the detector is not calibrated")
        return self.probability_N


def read_conditions(predictions: pd.DataFrame) -> dict[str, Pictures]:
    """The pictures of each condition of a predictions table, in the table's order of conditions.

    A picture without a group is a group of its own; a fake without a generator, or a real without a source, is of
    "unknown". Where there is no column `distance`, the detector had no domain model. Raises UsageError for another
    missing column and for a picture that has neither a logit nor an error.
    """
    if missing := [column for column in COLUMNS if column not in predictions]:
        raise UsageError(f"the predictions table lacks the columns {', '.join(missing)}")
    conditions = {}
    for name, table in predictions.groupby("condition", sort=False):
        text = {
            c: table[c].fillna("").astype(str).to_numpy(object) for c in ("id", "generator", "source", "group", "error")
        }
        logit, probability = (
            pd.to_numeric(table[c]).to_numpy(np.float64, na_value=np.nan) for c in ("logit", "probability")
        )
        nowhere = pd.Series(np.nan, index=table.index)
        failed = text["error"] != ""
        if unexplained := int((np.isnan(logit) & ~failed).sum()):
            raise UsageError(f"condition {name}: {unexplained} pictures have neither a logit nor an error")
        group = np.where(text["group"] == "", "picture " + text["id"], text["group"])
        content = table.get(CONTENT, pd.Series("", index=table.index)).fillna("").astype(str).to_numpy(object)
        conditions[str(name)] = Pictures(
            id_N=text["id"],
            label_N=table["label"].to_numpy(np.int64),
            generator_N=np.where(text["generator"] == "", "unknown", text["generator"]),
            source_N=np.where(text["source"] == "", "unknown", text["source"]),
            group_N=group,
            content_N=np.where(content == "", group, content),
            logit_N=logit,
            probability_N=probability,
            distance_N=pd.to_numeric(table.get("distance", nowhere)).to_numpy(np.float64),
            perturbation_l2_N=pd.to_numeric(table.get("perturbation_l2", nowhere)).to_numpy(np.float64),
            perturbation_linf_N=pd.to_numeric(table.get("perturbation_linf", nowhere)).to_numpy(np.float64),
            failed_N=failed,
        )
    return conditions
