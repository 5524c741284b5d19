"""`Report` and `Reports`: the findings of a dataset, and those of all datasets of a batch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jaxlatent.results.report.finding import Finding
from jaxlatent.status import in_words

if TYPE_CHECKING:
    import pandas as pd

#: The most datasets that are printed.
_ROWS = 40


class Report(NamedTuple):
    """A report of findings; empty, and false, without any.

    Attributes:
        findings: most severe first.
    """

    findings: tuple[Finding, ...]

    def __str__(self) -> str:
        return "\n\n".join(map(str, self.findings))

    def __repr__(self) -> str:
        return str(self) or "nothing found"

    def __bool__(self) -> bool:
        return bool(self.findings)

    @property
    def illnesses(self) -> tuple[str, ...]:
        """Short names of the findings, such as ``"divergences"``."""
        return tuple(finding.illness for finding in self.findings)


@dataclass(frozen=True)
class Reports:
    """The reports of the datasets of a batch; false if nothing was found in any of them.

    It prints as a table of the datasets with findings; ``reports[name]`` is the whole report of one, with remedies.

    Attributes:
        reports: by name of the dataset.
        status: of the lanes, by name of the dataset.
    """

    reports: Mapping[Any, Report]
    status: Mapping[Any, np.ndarray]

    def __getitem__(self, name: Any) -> Report:
        return self.reports[name]

    def __len__(self) -> int:
        return len(self.reports)

    def __bool__(self) -> bool:
        return any(self.reports.values())

    @property
    def illnesses(self) -> dict[str, tuple[Any, ...]]:
        """The names of the datasets with each finding, such as ``"divergences"``, the most frequent first."""
        found: dict[str, list[Any]] = {}
        for name, report in self.reports.items():
            for illness in dict.fromkeys(report.illnesses):
                found.setdefault(illness, []).append(name)
        return {illness: tuple(found[illness]) for illness in sorted(found, key=lambda illness: -len(found[illness]))}

    def to_frame(self) -> "pd.DataFrame":
        """One row a ``dataset``, as a pandas ``DataFrame``.

        Columns: ``status`` of the lanes, such as ``"3 OK, 1 STUCK"``; ``findings``, their number; ``fatal``, the number of those after
        which no further check makes sense; and the name of the ``first``, which is the most severe, empty without findings.
        """
        import pandas as pd

        rows = [
            (
                in_words(self.status[name]),
                len(findings),
                sum(one.fatal for one in findings),
                findings[0].illness if findings else "",
            )
            for name, (findings,) in self.reports.items()
        ]
        index = pd.Index(list(self.reports), name="dataset", tupleize_cols=False)
        return pd.DataFrame(rows, index, ["status", "findings", "fatal", "first"])

    def __str__(self) -> str:
        if not self:
            return ""
        table = self.to_frame()
        table = table[table["findings"] > 0]
        counts = ", ".join(f"{illness} ({len(names)})" for illness, names in self.illnesses.items())
        lines = [f"{len(table)} of {len(self)} datasets have findings: {counts}.", table.head(_ROWS).to_string()]
        if len(table) > _ROWS:
            lines.append(f"... and {len(table) - _ROWS} more; to_frame() has them all.")
        return "\n".join([*lines, "See result[name].check() for what to do."])

    def __repr__(self) -> str:
        return str(self) or "nothing found"
