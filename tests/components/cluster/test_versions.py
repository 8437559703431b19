"""AMI release and add-on versions: lookup, storage and pins."""

import pulumi
import pytest

from settings.sections import Addons
from tests.components.factories import DEV, cluster, record
from tests.program.recording import INVOKES, STORED

PARAMETER = "aws:ssm/parameter:Parameter"
NODE_GROUP = "eks:index:ManagedNodeGroup"
PINNED_NODES = DEV.cluster.nodes.model_copy(update={"release_version": "1.35.7-20260903"})


def test_looked_up_versions_are_stored_and_later_lookups_ignored() -> None:
    recording = record(lambda: cluster("one"))
    stored = {p.inputs["name"]: p.inputs["insecureValue"] for p in recording.all(PARAMETER)}
    assert stored == {
        "/test/one/1.35/vpc-cni": "v1.21.1-eksbuild.1",
        "/test/one/1.35/kube-proxy": "v1.35.3-eksbuild.2",
        "/test/one/1.35/eks-pod-identity-agent": "v1.3.10-eksbuild.2",
        "/test/one/1.35/coredns": "v1.13.1-eksbuild.1",
        "/test/one/1.35/metrics-server": "v0.8.0-eksbuild.6",
        "/test/one/1.35/node-release": "1.35.5-20261105",
    }
    for parameter in recording.all(PARAMETER):
        assert list(parameter.request.ignoreChanges) == ["insecureValue"]
    group = recording.one(NODE_GROUP, "one-nodes-a")
    assert group.inputs["releaseVersion"] == "1.35.5-20261105"
    assert f"{PARAMETER}::one-node-release-1.35" in group.depends_on


def test_pinned_versions_are_used_without_storage() -> None:
    addons = Addons(coredns="v1.12.4-eksbuild.1")
    recording = record(lambda: cluster("one", nodes=PINNED_NODES, addons=addons))
    stored = {parameter.inputs["name"] for parameter in recording.all(PARAMETER)}
    assert not stored & {"/test/one/1.35/node-release", "/test/one/1.35/coredns"}
    release = recording.one(NODE_GROUP, "one-nodes-a").inputs["releaseVersion"]
    assert release == "1.35.7-20260903"
    addon = recording.one("aws:eks/addon:Addon", "one-coredns")
    assert addon.inputs["addonVersion"] == "v1.12.4-eksbuild.1"


def test_pinned_release_without_ami_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(INVOKES["aws:ec2/getAmiIds:getAmiIds"], "ids", [])
    with pytest.raises(pulumi.RunError) as caught:
        record(lambda: cluster("one", nodes=PINNED_NODES))
    assert str(caught.value) == (
        "one: the AMI release 1.35.7-20260903 does not exist for Amazon Linux 2023 on x86_64; "
        "remove the pin, or look a release up: aws ssm get-parameter --name "
        "/aws/service/eks/optimized-ami/1.35/amazon-linux-2023/x86_64/standard/recommended/"
        "release_version --query Parameter.Value"
    )


@pytest.mark.parametrize("version", ["v1.99.0-eksbuild.1", "v1.11.4-eksbuild.2"])
def test_pinned_add_on_that_eks_does_not_offer_is_refused(version: str) -> None:
    with pytest.raises(pulumi.RunError) as caught:
        record(lambda: cluster("one", addons=Addons(coredns=version)))
    assert str(caught.value) == (
        f"one: EKS does not offer coredns {version} for Kubernetes 1.35; "
        "it offers v1.13.1-eksbuild.1, v1.12.4-eksbuild.1"
    )


RETIRED_ADDON = (
    "one: eks-pod-identity-agent v1.3.2-eksbuild.2 is stored for this stack, and EKS no longer "
    "offers it for Kubernetes 1.35. Pin an offered version: pulumi config set --path "
    "'platform:cluster.addons.pod_identity_agent' v1.3.10-eksbuild.2"
)
RETIRED_RELEASE = (
    "one: the AMI release 1.35.2-20260301 is stored for this stack, and EKS no longer offers it "
    "for Kubernetes 1.35. Pin an offered version: pulumi config set --path "
    "'platform:cluster.nodes.release_version' 1.35.5-20261105"
)


@pytest.fixture
def warnings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Warnings of the program."""
    messages: list[str] = []
    monkeypatch.setattr(pulumi.log, "warn", lambda message, *_: messages.append(message))
    return messages


@pytest.fixture
def retired_addon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stack has stored an add-on version that EKS no longer offers."""
    monkeypatch.setitem(STORED, "/test/one/1.35/eks-pod-identity-agent", "v1.3.2-eksbuild.2")


@pytest.fixture
def retired_release(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stack has stored an AMI release that is no longer public."""
    monkeypatch.setitem(STORED, "/test/one/1.35/node-release", "1.35.2-20260301")
    monkeypatch.setitem(INVOKES["aws:ec2/getAmiIds:getAmiIds"], "ids", [])


@pytest.mark.usefixtures("retired_addon")
def test_stored_add_on_that_eks_retired_is_refused_without_a_cluster() -> None:
    with pytest.raises(pulumi.RunError) as caught:
        record(lambda: cluster("one"))
    assert str(caught.value) == RETIRED_ADDON


@pytest.mark.usefixtures("retired_release")
def test_stored_release_that_eks_retired_is_refused_without_a_cluster() -> None:
    with pytest.raises(pulumi.RunError) as caught:
        record(lambda: cluster("one"))
    assert str(caught.value) == RETIRED_RELEASE


@pytest.mark.usefixtures("retired_addon", "retired_release")
def test_retired_versions_of_a_running_cluster_are_reported(
    monkeypatch: pytest.MonkeyPatch, warnings: list[str]
) -> None:
    monkeypatch.setitem(INVOKES["aws:eks/getClusters:getClusters"], "names", ["test-one"])
    recording = record(lambda: cluster("one"))
    assert sorted(warnings) == [RETIRED_ADDON, RETIRED_RELEASE]
    group = recording.one(NODE_GROUP, "one-nodes-a")
    assert group.inputs["releaseVersion"] == "1.35.2-20260301"


def test_offered_versions_are_not_reported(warnings: list[str]) -> None:
    record(lambda: cluster("one"))
    assert warnings == []


def test_auto_mode_looks_up_metrics_server_only() -> None:
    recording = record(lambda: cluster("one", compute="auto"))
    assert [p.inputs["name"] for p in recording.all(PARAMETER)] == ["/test/one/1.35/metrics-server"]
