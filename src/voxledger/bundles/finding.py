"""One thing that is wrong, missing or worth saying in what came back."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong or missing, where it is, and what to do."""

    bundle: str
    problem: str
    remedy: str
    case_id: str = ""
    class_name: str = ""
    file: str = ""
    kind: str = ""
    """Name of the check that found it, in `bundles/checks/`; empty for what is wrong beyond doubt."""

    def __str__(self) -> str:
        where = [self.bundle]
        where += [f"case {self.case_id}"] if self.case_id else []
        where += [f"class {self.class_name}"] if self.class_name else []
        where += [self.file] if self.file else []
        kind = f" [{self.kind}]" if self.kind else ""
        return f"{', '.join(where)}: {self.problem}{kind}\n      → {self.remedy}"
