"""What a round without a blind audit cannot tell, although params.yaml asks for it."""

from __future__ import annotations

from html import escape

from voxledger.params import ScoreParams


def without_audit(params: ScoreParams) -> list[str]:
    """Sentences for whoever sets `score.audit`; none where the round has an audit, or nothing that is asked for needs
    one.

    Examples
    --------
    >>> without_audit(ScoreParams())
    []
    >>> len(without_audit(ScoreParams(attention="learned", quality=True, stop_dice=0.9)))
    2
    >>> without_audit(ScoreParams(attention="learned", audit=8))
    []
    """
    if params.audit:
        return []
    said = []
    if params.attention == "learned":
        said.append(
            "score.attention is learned, and score.audit is 0: only cases that were drawn blindly set its threshold, "
            "so the published criteria point for as long as earlier rounds have not audited enough of them."
        )
    if targets := [name for name in ("stop_error_ml", "stop_dice") if getattr(params, name) is not None]:
        said.append(
            f"{' and '.join(f'score.{name}' for name in targets)} cannot be judged without a blind audit, and "
            "score.audit is 0: for as long as earlier rounds have not audited enough, the last worklist says when to "
            "stop."
        )
    return said


def no_audit_section(params: ScoreParams) -> str:
    """The same as HTML for the report."""
    return "".join(f"<p><strong>No audit</strong>: {escape(one)}</p>\n" for one in without_audit(params))
