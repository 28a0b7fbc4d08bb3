"""What a labelling came to, as lines of text: origins, principles, the label rule, and what was left out.

Paper: none.
"""

from collections.abc import Mapping
from typing import Any

Table = Mapping[str, Any]


def label_lines(labels: Table) -> list[str]:
    """Return the figures of a label stage (`RunStatus.labels`) as lines."""
    origins = ", ".join(f"{n} {origin}" for origin, n in labels["origins"].items())
    lines = [f"labels: {origins or 'none'}; {_rule(labels)}; mean P(A) {_estimate(labels['mean_label'])}"]
    for way, count in labels["pairs"].items():
        skipped = [f"{n} left out ({reason})" for reason, n in count.items() if reason != "made"]
        lines.append(f"  pairs from {way}: " + ", ".join([f"{count.get('made', 0)} made", *skipped]))
    uses = [own["n"] for own in labels["per_principle"].values()]
    if uses:
        lines.append(f"  principles: {len(uses)}, used {min(uses)} to {max(uses)} times each")
    lines += [f"  not readable: {n} votes ({reason})" for reason, n in labels["unparsed"].items()]
    if labels["n_unlabelled"]:
        lines.append(f"  without a label: {labels['n_unlabelled']}")
    return lines + _moved(labels.get("relabelled"))


def _rule(labels: Table) -> str:
    rule = labels["rule"]
    ties = f", {labels['n_ties']} ties" if labels["n_ties"] else ""
    if rule["mode"] != "clamped":
        return rule["mode"] + ties
    return f"clamped to {rule['low']:.0%}–{rule['high']:.0%}, {labels['n_clamped']} moved{ties}"


def _moved(relabelled: Table | None) -> list[str]:
    if relabelled is None:
        return []
    lines = [f"  relabelled: {relabelled['source']}"]
    for origin, moved in relabelled["movement"].items():
        lines.append(
            f"    {origin}, n = {moved['n']}: same side {_estimate(moved['agreement'])}, "
            f"kappa {_estimate(moved['kappa'])}, mean shift of P(A) {_estimate(moved['shift'])}, "
            f"mean distance {_estimate(moved['distance'])}"
        )
    return lines


def _estimate(estimate: Table | None) -> str:
    if estimate is None:
        return "not measured"
    return f"{estimate['value']:.2f} [{estimate['low']:.2f}, {estimate['high']:.2f}]"
