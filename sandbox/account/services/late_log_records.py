"""Late records of EKS and RDS, which create a deleted log group again (on request only).

AWS does so at times: terraform-aws-eks#2763, terraform-provider-aws#42858.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from sandbox.account.core.errors import AwsError
from sandbox.account.core.operations import admin, amends

if TYPE_CHECKING:
    from sandbox.account.core.context import RequestContext
    from sandbox.account.core.wire import Call

_TABLE, _KEY = "logs.late_records", ("late-records",)
_WRITTEN_BY_SERVICES = re.compile(r"/aws/eks/[^/]+/cluster|/aws/rds/instance/[^/]+/postgresql")


@admin("late-log-records")
def switch(context: RequestContext, request: dict[str, Any]) -> dict[str, Any]:
    """Write late records from now on, or no longer: `{"enabled": true}`."""
    enabled = request.get("enabled")
    if set(request) != {"enabled"} or not isinstance(enabled, bool):
        raise AwsError("ValidationException", 'expected {"enabled": true} or {"enabled": false}')
    context.table(_TABLE)[_KEY] = {"enabled": enabled}
    return {"enabled": enabled}


@amends("logs", "DeleteLogGroup")
def group_deleted(context: RequestContext, call: Call, result: dict[str, Any]) -> None:  # noqa: ARG001
    """Create the group again, without key, retention and tags, as service-linked roles do."""
    name = call["logGroupName"]
    if not context.table(_TABLE).get(_KEY, {}).get("enabled"):
        return
    if _WRITTEN_BY_SERVICES.fullmatch(name):
        context.later(("logs", "late.record"), lambda: _write(context, call.region, name))


def _write(context: RequestContext, region: str, name: str) -> None:
    backend = context.backend("logs", region)
    if name not in backend.groups:
        backend.create_log_group(name, {})
