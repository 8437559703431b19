"""The comment of a pull request: what each environment would change, and warnings first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from components.aws.data_types import DATA_TYPES
from github_actions.api import MAX_BODY
from github_actions.results import Change, Preview, Step
from sandbox.engine.display.property_diff import describe_change
from sandbox.engine.request import PropertyChange

ENVIRONMENTS = "the environments"
_SIGNS = {"create": "+", "delete": "-", "update": "!", "replace": "!", "read": " "}
MAX_REPLACEMENTS = 10  # listed as warnings
_MARGIN = 1_000  # characters for separators, and for what the issue about drift adds
# Fixed charges per month of 730 hours in us-east-1, from AWS's public price lists; usage, nodes and
# databases depend on size and load and are not estimated.
MONTHLY_USD = {
    "aws:eks/cluster:Cluster": 73.00,
    "aws:ec2/natGateway:NatGateway": 32.85,
    "aws:ec2/eip:Eip": 3.65,
    "aws:kms/key:Key": 1.00,
}


def marker(name: str = ENVIRONMENTS) -> str:
    """Return the first line of the comment of this name."""
    return f"<!-- preview of {name} -->"


def body(previews: Sequence[Preview], commit: str = "", name: str = ENVIRONMENTS) -> str:
    """Return the comment; diffs are cut at whole lines to fit GitHub's limit."""
    head = [marker(name), "## Preview", ""]
    head += ["| environment | create | update | replace | delete | unchanged | previewed in |"]
    head += ["|---|---|---|---|---|---|---|"]
    head += [_row(preview) for preview in previews]
    for preview in previews:
        head += _warnings(preview, MAX_BODY // 2 // len(previews))
    foot = ["", f"Commit {commit}. The next push updates this comment."] if commit else []
    room = MAX_BODY - len("\n".join([*head, *foot])) - _MARGIN
    sections: list[str] = []
    for number, preview in enumerate(previews):
        share = room // (len(previews) - number)
        section = _section(preview, share)
        room -= len(section)
        sections.append(section)
    return "\n".join([*head, *sections, *foot]) + "\n"


def _row(preview: Preview) -> str:
    if not preview.succeeded:
        return f"| **{preview.stack}** | failed | | | | | {preview.where} |"
    cells = [str(preview.counts.get(op, 0)) for op in ("create", "update", "replace", "delete")]
    cells.append(str(preview.counts.get("same", 0)))
    return f"| **{preview.stack}** | {' | '.join(cells)} | {preview.where} |"


def _warnings(preview: Preview, room: int) -> list[str]:
    lines = [f"- {_inline(text)}" for text in warnings(preview)]
    return [_fitting(lines, room, f"\n### :warning: {preview.stack}\n\n", "")] if lines else []


def warnings(preview: Preview) -> Iterator[str]:
    """Yield what a reviewer must not overlook."""
    replacements: list[str] = []
    for step in preview.steps:
        kind, name = urn_type(step.urn), step.urn.rpartition("::")[2]
        label = f"`{_code(short_type(kind))}` `{_code(name)}`"
        if step.op in ("delete", "replace") and kind in DATA_TYPES:
            yield f"**data loss**: {step.op} of {label} deletes {DATA_TYPES[kind]}"
        elif step.op == "replace":
            causes = ", ".join(
                f"`{_code(change.path)}`" for change in step.changes if change.replaces
            )
            replacements.append(
                f"replacement of {label}{f' because of {causes}' if causes else ''}"
            )
        elif kind == "aws:budgets/budget:Budget":
            limits = [change for change in step.changes if change.path == "limitAmount"]
            for limit in limits:
                yield f"**cost**: the monthly budget changes from {limit.old} to {limit.new} USD"
    yield from replacements[:MAX_REPLACEMENTS]
    if len(replacements) > MAX_REPLACEMENTS:
        yield f"{len(replacements) - MAX_REPLACEMENTS} more replacements"
    if cost := _cost(preview.steps):
        yield cost
    yield from preview.warnings


def _cost(steps: Iterable[Step]) -> str:
    """Return the change of fixed monthly charges that are known."""
    counts: Counter[str] = Counter()
    for step in steps:
        if (kind := urn_type(step.urn)) in MONTHLY_USD and step.op in ("create", "delete"):
            counts[kind] += 1 if step.op == "create" else -1
    parts = [f"{count:+d} {short_type(kind)}" for kind, count in sorted(counts.items()) if count]
    total = sum(MONTHLY_USD[kind] * count for kind, count in counts.items())
    if not parts:
        return ""
    sign = "+" if total >= 0 else "-"
    return (
        f"**cost**: {sign}{abs(total):.2f} USD per month of fixed charges ({', '.join(parts)}; "
        "list prices of us-east-1, without usage, nodes and databases)"
    )


def _section(preview: Preview, room: int) -> str:
    if preview.errors:
        text = _fitting(list(chain_lines(preview.errors)), room, "```\n", "\n```")
        return f"\n### {preview.stack}: failed\n\n{text}"
    if not preview.steps:
        return f"\n### {preview.stack}: no changes"
    noun = "resource" if preview.changed == 1 else "resources"
    title = f"<summary>{preview.stack}: {preview.changed} {noun} to change</summary>"
    return _fitting(
        [line for step in preview.steps for line in _step(step)],
        room,
        f"\n<details>\n{title}\n\n```diff\n",
        "\n```\n\n</details>",
    )


def _fitting(lines: list[str], room: int, before: str, after: str) -> str:
    """Return as many lines as fit, and how many do not."""
    used, fitting = len(before) + len(after) + 60, list[str]()
    for line in lines:
        if used + len(line) + 1 > room:
            break
        fitting.append(line)
        used += len(line) + 1
    rest = len(lines) - len(fitting)
    note = f"\n\n{rest} more lines are in the workflow's log." if rest else ""
    return f"{before}{chr(10).join(fitting)}{after}{note}"


def _step(step: Step) -> Iterator[str]:
    sign = _SIGNS.get(step.op, "!")
    name = step.urn.rpartition("::")[2]
    yield _fenced(f"{sign} {step.op} {short_type(urn_type(step.urn))} {name}")
    for change in step.changes:
        yield from _lines(change)


def _lines(change: Change) -> Iterator[str]:
    described = describe_change(
        PropertyChange(change.path, change.kind, change.old, change.new, change.replaces)
    )
    for number, line in enumerate(described):
        text = line.plain.strip()
        sign = {"+": "+", "-": "-"}.get(text[:1], "!")
        indent = " " * (4 if number == 0 else 8)
        yield _fenced(f"{sign}{indent}{text.lstrip('+-~ ')}")


def chain_lines(texts: Iterable[str]) -> Iterator[str]:
    """Yield the lines of texts, safe within a fence."""
    for text in texts:
        yield from map(_fenced, text.splitlines())


def _fenced(text: str) -> str:
    """Return one line that cannot end the fence around it."""
    return " ".join(text.splitlines()).replace("```", "'''")


def _code(text: str) -> str:
    return text.replace("`", "'")


def _inline(text: str) -> str:
    """Return text in one line, without HTML, links, and mentions, which would notify people."""
    line = " ".join(text.split()).replace("<", "&lt;").replace("@", "@\u200b")
    line = line.replace("](", "]\u200b(").replace("][", "]\u200b[")
    return line if len(line) <= 600 else f"{line[:600]}…"


def urn_type(urn: str) -> str:
    """Return the resource type of a URN, without its parents' types."""
    parts = urn.split("::")
    return parts[2].rpartition("$")[2] if len(parts) > 3 else ""


def short_type(token: str) -> str:
    """Return `aws:ec2:Vpc` for `aws:ec2/vpc:Vpc`."""
    module, _, name = token.rpartition(":")
    head, _, repeated = module.rpartition("/")
    return f"{head}:{name}" if head and repeated.lower() == name.lower() else token
