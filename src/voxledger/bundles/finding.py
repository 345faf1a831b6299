"""One thing that is wrong or missing in what came back."""

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

    def __str__(self) -> str:
        where = [self.bundle]
        where += [f"case {self.case_id}"] if self.case_id else []
        where += [f"class {self.class_name}"] if self.class_name else []
        where += [self.file] if self.file else []
        return f"{', '.join(where)}: {self.problem}\n      → {self.remedy}"
