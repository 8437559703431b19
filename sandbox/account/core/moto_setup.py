"""Configures moto: settings, clock, randomness, and regions without a default VPC."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

_done = False


def install() -> None:
    """Configure moto, once per process and before its service modules are imported.

    Regions have no default VPC until CreateDefaultVpc: a new account is empty.
    """
    global _done  # noqa: PLW0603 - once per process
    if _done:
        return
    os.environ.setdefault("MOTO_IAM_LOAD_MANAGED_POLICIES", "true")
    os.environ.setdefault("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")
    os.environ.setdefault("MOTO_ACM_VALIDATION_WAIT", "0")
    from sandbox.account.core import determinism  # noqa: PLC0415  # after the environment is set

    determinism.install()
    _seed_backends()
    _share_managed_policies()
    from moto.ec2.models import EC2Backend  # noqa: PLC0415

    original = EC2Backend.__init__

    def without_default_vpc(self: Any, region_name: str, account_id: str) -> None:
        original(self, region_name, account_id)
        for collection in (
            "vpcs",
            "subnets",
            "groups",
            "route_tables",
            "network_acls",
            "tags",
            "dhcp_options_sets",
        ):
            getattr(self, collection).clear()

    ec2: Any = EC2Backend
    ec2.__init__ = without_default_vpc

    from moto.iam.access_control import PermissionResult  # noqa: PLC0415
    from moto.s3.models import FakeBucket, S3Backend  # noqa: PLC0415

    # moto ignores the conditions of bucket policies; see services/s3.py.
    bucket: Any = FakeBucket
    bucket.get_permission = lambda *_: PermissionResult.NEUTRAL
    # moto writes an object for each request, reads included, and names it by the time of day: a
    # replay would create others, and the bucket's deletion would fail.
    s3: Any = S3Backend
    s3.log_incoming_request = lambda *_: None
    _done = True


def _seed_backends() -> None:
    """Give a backend's default objects the same identifiers at every creation.

    Otherwise a refused request, which is not in the journal, would consume identifiers by being the
    first in a region.
    """
    from moto.core.base_backend import AccountSpecificBackend, BackendDict  # noqa: PLC0415

    from sandbox.account.core import determinism  # noqa: PLC0415

    original = AccountSpecificBackend.__getitem__

    def seeded(self: Any, region_name: str) -> Any:
        if dict.__contains__(self, "aws" if region_name == "global" else region_name):
            return original(self, region_name)
        with determinism.apart(f"{self.service_name}-{self.account_id}-{region_name}"):
            return original(self, region_name)

    backends: Any = AccountSpecificBackend
    backends.__getitem__ = seeded

    # Both generate an unused name when the process or account first uses a service, which shifted
    # the key material of a replay.
    for kind in (AccountSpecificBackend, BackendDict):
        kind.__init__ = _without_seed(kind.__init__)  # type: ignore[method-assign]


def _share_managed_policies() -> None:
    """Create AWS's managed policies once per process, account and partition.

    moto parses 4.7 MB in each creation and reset of a backend. Only the number of a policy's
    attachments changes.
    """
    from moto.iam.models import IAMBackend, ManagedPolicy  # noqa: PLC0415

    from sandbox.account.core import determinism  # noqa: PLC0415

    original = IAMBackend._init_aws_policies
    policies: dict[tuple[str, str], list[ManagedPolicy]] = {}

    def shared(self: Any) -> list[ManagedPolicy]:
        key = (self.account_id, self.region_name)
        if key not in policies:
            with determinism.apart(f"managed-policies-{'-'.join(key)}"):
                policies[key] = original(self)
        for policy in policies[key]:
            policy.attachment_count = 0
        return list(policies[key])

    iam: Any = IAMBackend
    iam._init_aws_policies = shared


def _without_seed(original: Callable[..., None]) -> Callable[..., None]:
    from sandbox.account.core import determinism  # noqa: PLC0415

    def made(*arguments: Any, **named: Any) -> None:
        with determinism.unseeded():
            original(*arguments, **named)

    return made
