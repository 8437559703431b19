"""Report groups and reports of tests. The runner adds reports; AWS has no public operation for it.

Source: CodeBuild API reference, and User Guide, "Test reports".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from sandbox.account.core import authorization, determinism
from sandbox.account.core.errors import AwsError
from sandbox.account.core.operations import Item, admin, implements, lists
from sandbox.account.core.wire import ACCOUNT_ID
from sandbox.account.services.codebuild.projects import invalid

if TYPE_CHECKING:
    from sandbox.account.core.context import Record, RequestContext
    from sandbox.account.core.wire import Call

_LIFETIME_DAYS = 30
_PAGE = 100
_FAILED = {"FAILED", "ERROR"}
# The service calls these for a build under its role.
_ACTIONS = ("CreateReport", "UpdateReport", "BatchPutTestCases")


def _group_arn(region: str, name: str) -> str:
    return f"arn:aws:codebuild:{region}:{ACCOUNT_ID}:report-group/{name}"


def _find_group(context: RequestContext, arn: str) -> Record:
    group = context.table("codebuild.report-group").get((arn,))
    if group is None:
        raise AwsError("ResourceNotFoundException", f"Report group does not exist: {arn}")
    return group


def _find_report(context: RequestContext, arn: str) -> Record:
    report = context.table("codebuild.report").get((arn,))
    if report is None:
        raise AwsError("ResourceNotFoundException", f"Report does not exist: {arn}")
    return report


def _create_group(context: RequestContext, region: str, name: str, **members: Any) -> Record:
    arn, now = _group_arn(region, name), context.clock.now()
    group: Record = {
        "arn": arn,
        "name": name,
        "type": "TEST",
        "exportConfig": {"exportConfigType": "NO_EXPORT"},
        "created": now,
        "lastModified": now,
        "tags": [],
        "status": "ACTIVE",
        **members,
    }
    context.table("codebuild.report-group")[(arn,)] = group
    return group


@implements("codebuild", "CreateReportGroup")
def create_report_group(context: RequestContext, call: Call) -> dict[str, Any]:
    """Create a report group of tests."""
    if call["type"] != "TEST":
        raise AwsError("NotImplemented", "code coverage reports are not emulated", status=501)
    arn = _group_arn(call.region, call["name"])
    if (arn,) in context.table("codebuild.report-group"):
        raise AwsError("ResourceAlreadyExistsException", f"Report group already exists: {arn}")
    members = {"exportConfig": call["exportConfig"], "tags": call.get("tags") or []}
    return {"reportGroup": _create_group(context, call.region, call["name"], **members)}


@implements("codebuild", "UpdateReportGroup")
def update_report_group(context: RequestContext, call: Call) -> dict[str, Any]:
    """Change export and tags of a report group."""
    group = _find_group(context, call["arn"])
    group |= {name: call[name] for name in ("exportConfig", "tags") if call.get(name) is not None}
    group["lastModified"] = context.clock.now()
    return {"reportGroup": group}


@implements("codebuild", "BatchGetReportGroups")
def batch_get_report_groups(context: RequestContext, call: Call) -> dict[str, Any]:
    """Return report groups by ARN."""
    table = context.table("codebuild.report-group")
    arns = call["reportGroupArns"]
    return {
        "reportGroups": [table[(arn,)] for arn in arns if (arn,) in table],
        "reportGroupsNotFound": [arn for arn in arns if (arn,) not in table],
    }


@implements("codebuild", "ListReportGroups")
def list_report_groups(context: RequestContext, call: Call) -> dict[str, Any]:
    """Return the ARNs of the region's report groups."""
    arns = [arn for (arn,) in context.table("codebuild.report-group")]
    return _page(call, "reportGroups", [arn for arn in arns if f":{call.region}:" in arn])


@implements("codebuild", "DeleteReportGroup")
def delete_report_group(context: RequestContext, call: Call) -> dict[str, Any]:
    """Delete a report group, with its reports if `deleteReports` is set."""
    arn = call["arn"]
    reports = _reports_of(context, arn)
    if reports and not call.get("deleteReports"):
        raise invalid(f"Report group {arn} has reports; set deleteReports to delete them")
    for report in reports:
        del context.table("codebuild.report")[(report,)]
    context.table("codebuild.report-group").pop((arn,), None)
    return {}


@implements("codebuild", "BatchGetReports")
def batch_get_reports(context: RequestContext, call: Call) -> dict[str, Any]:
    """Return reports by ARN."""
    table = context.table("codebuild.report")
    arns = call["reportArns"]
    return {
        "reports": [table[(arn,)]["report"] for arn in arns if (arn,) in table],
        "reportsNotFound": [arn for arn in arns if (arn,) not in table],
    }


@implements("codebuild", "ListReports")
def list_reports(context: RequestContext, call: Call) -> dict[str, Any]:
    """Return the ARNs of the region's reports."""
    arns = [arn for (arn,) in context.table("codebuild.report") if f":{call.region}:" in arn]
    return _page(call, "reports", _filtered(context, call, arns))


@implements("codebuild", "ListReportsForReportGroup")
def list_reports_for_report_group(context: RequestContext, call: Call) -> dict[str, Any]:
    """Return the ARNs of a report group's reports."""
    _find_group(context, call["reportGroupArn"])
    arns = _reports_of(context, call["reportGroupArn"])
    return _page(call, "reports", _filtered(context, call, arns))


@implements("codebuild", "DescribeTestCases")
def describe_test_cases(context: RequestContext, call: Call) -> dict[str, Any]:
    """Return the test cases of a report."""
    criteria = call.get("filter") or {}
    cases = [
        case
        for case in _find_report(context, call["reportArn"])["cases"]
        if criteria.get("status") in (None, case["status"])
        and (criteria.get("keyword") or "").lower() in case["name"].lower()
    ]
    return _page(call, "testCases", cases)


@implements("codebuild", "DeleteReport")
def delete_report(context: RequestContext, call: Call) -> dict[str, Any]:
    """Delete a report; a missing one is no error."""
    context.table("codebuild.report").pop((call["arn"],), None)
    return {}


@admin("codebuild/report")
def add_report(context: RequestContext, content: dict[str, Any]) -> dict[str, Any]:
    """Add a build's report, under the access key of its role; create its group if it is missing.

    `group` is the ARN of a report group, or a name for the group PROJECT-NAME.
    """
    region, key, group_name = content["region"], content["access_key"], content["group"]
    if group_name.startswith("arn:"):
        arn = group_name
        _find_group(context, arn)
    else:
        arn = _group_arn(region, f"{content['project']}-{group_name}")
    exists = (arn,) in context.table("codebuild.report-group")
    if not context.replaying:
        for action in (*(() if exists else ("CreateReportGroup",)), *_ACTIONS):
            authorization.require(context, key, region, f"codebuild:{action}", arn)
    if not exists:
        _create_group(context, region, arn.rpartition("/")[2])
    report_arn = f"{arn.replace(':report-group/', ':report/')}:{determinism.random_uuid()}"
    cases = [
        {**case, "reportArn": report_arn, "expired": _expiry(context)} for case in content["cases"]
    ]
    counts = Counter(case["status"] for case in cases)
    statuses = {status: counts[status] for status in _STATUSES}
    context.table("codebuild.report")[(report_arn,)] = {
        "cases": cases,
        "report": {
            "arn": report_arn,
            "type": "TEST",
            "name": report_arn.rpartition(":")[2],
            "reportGroupArn": arn,
            "executionId": content["build"],
            "status": "FAILED" if _FAILED & set(counts) else "SUCCEEDED",
            "created": context.clock.now(),
            "expired": _expiry(context),
            "exportConfig": {"exportConfigType": "NO_EXPORT"},
            "truncated": False,
            "testSummary": {
                "total": len(cases),
                "statusCounts": statuses,
                "durationInNanoSeconds": sum(case["durationInNanoSeconds"] for case in cases),
            },
        },
    }
    return {"arn": report_arn}


_STATUSES = ("SUCCEEDED", "FAILED", "ERROR", "SKIPPED", "UNKNOWN")


def _expiry(context: RequestContext) -> float:
    return context.clock.time() + _LIFETIME_DAYS * 86400


def _reports_of(context: RequestContext, group_arn: str) -> list[str]:
    table = context.table("codebuild.report")
    return [arn for (arn,), item in table.items() if item["report"]["reportGroupArn"] == group_arn]


def _filtered(context: RequestContext, call: Call, arns: Sequence[str]) -> list[str]:
    status = (call.get("filter") or {}).get("status")
    table = context.table("codebuild.report")
    return [arn for arn in arns if status in (None, table[(arn,)]["report"]["status"])]


def _page(call: Call, name: str, items: Sequence[Any]) -> dict[str, Any]:
    """Return a page; lists of ARNs are newest first unless ASCENDING."""
    newest_first = name != "testCases" and call.get("sortOrder") != "ASCENDING"
    ordered = list(reversed(items)) if newest_first else list(items)
    token = call.get("nextToken") or "0"
    if not token.isdecimal() or int(token) > len(ordered):
        raise invalid(f"Invalid next token: {token}")
    end = int(token) + (call.get("maxResults") or _PAGE)
    page: dict[str, Any] = {name: ordered[int(token) : end]}
    return {**page, "nextToken": str(end)} if end < len(ordered) else page


@lists
def inventory(context: RequestContext) -> Iterable[Item]:
    """Yield every report group, which outlives the project that created it."""
    for group in context.table("codebuild.report-group").values():
        tags = {tag["key"]: tag["value"] for tag in group["tags"]}
        region = group["arn"].split(":")[3]
        yield Item(
            "codebuild", "report-group", group["name"], group["arn"], group["name"], region, tags
        )
