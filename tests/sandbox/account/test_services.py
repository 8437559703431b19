"""Services that moto lacks or implements differently from AWS."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable

import pytest
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from .conftest import World, refused

MANIFEST = {
    "schemaVersion": 2,
    "mediaType": "application/vnd.oci.image.manifest.v1+json",
    "layers": [],
}


def manifest(config: str) -> str:
    digest = "sha256:" + hashlib.sha256(config.encode()).hexdigest()
    layer = {"digest": digest, "size": 1, "mediaType": "application/vnd.oci.image.config.v1+json"}
    return json.dumps({**MANIFEST, "config": layer})


def test_policy_in_use_cannot_be_deleted(world: World) -> None:
    iam = world.client("iam")
    world.role("r", "ec2")
    statement = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": statement})
    policy = iam.create_policy(PolicyName="p", PolicyDocument=document)["Policy"]["Arn"]
    iam.attach_role_policy(RoleName="r", PolicyArn=policy)
    with refused("DeleteConflict", "attached"):
        iam.delete_policy(PolicyArn=policy)
    iam.detach_role_policy(RoleName="r", PolicyArn=policy)
    iam.put_role_permissions_boundary(RoleName="r", PermissionsBoundary=policy)
    with refused("DeleteConflict", "attached"):
        iam.delete_policy(PolicyArn=policy)
    iam.delete_role_permissions_boundary(RoleName="r")
    iam.create_policy_version(PolicyArn=policy, PolicyDocument=document)
    with refused("DeleteConflict", "more than one version"):
        iam.delete_policy(PolicyArn=policy)
    iam.delete_policy_version(PolicyArn=policy, VersionId="v2")
    iam.delete_policy(PolicyArn=policy)
    iam.create_instance_profile(InstanceProfileName="i")
    iam.add_role_to_instance_profile(InstanceProfileName="i", RoleName="r")
    with refused("DeleteConflict", "instance profile"):
        iam.delete_role(RoleName="r")


def test_trust_and_permission_policies_are_validated(world: World) -> None:
    iam = world.client("iam")
    for document, why in (
        ("no json", "invalid Json"),
        ('{"Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole"}]}', "Principal"),
        (
            '{"Statement": [{"Effect": "Allow", "Action": "s3:Get*", "Principal": "*"}]}',
            "AssumeRole",
        ),
    ):
        with refused("MalformedPolicyDocument", why):
            iam.create_role(RoleName="x", AssumeRolePolicyDocument=document)
    ghost = {
        "Effect": "Allow",
        "Action": "sts:AssumeRole",
        "Principal": {"AWS": "arn:aws:iam::123456789012:role/ghost"},
    }
    with refused("MalformedPolicyDocument", "Invalid principal"):
        iam.create_role(
            RoleName="x",
            AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": ghost}),
        )
    with refused("AccessDenied", "ghost"):
        world.client("sts").assume_role(
            RoleArn="arn:aws:iam::123456789012:role/ghost", RoleSessionName="session"
        )
    assert iam.list_roles()["Roles"] == []


def test_caller_identity_is_the_user_or_the_assumed_role(world: World) -> None:
    sts = world.client("sts")
    assert sts.get_caller_identity()["Arn"] == "arn:aws:iam::123456789012:user/sandbox"
    linked = world.client("iam").create_service_linked_role(AWSServiceName="eks.amazonaws.com")[
        "Role"
    ]
    assert linked["Arn"].endswith("/AWSServiceRoleForAmazonEKS")


def test_disabled_or_pending_key_cannot_be_used(world: World) -> None:
    kms = world.client("kms")
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    assert kms.describe_key(KeyId=key)["KeyMetadata"]["MultiRegion"] is False
    kms.create_alias(AliasName="alias/one", TargetKeyId=key)
    secret = kms.encrypt(KeyId="alias/one", Plaintext=b"x")["CiphertextBlob"]
    assert kms.decrypt(CiphertextBlob=secret)["Plaintext"] == b"x"
    kms.enable_key_rotation(KeyId=key, RotationPeriodInDays=90)
    assert kms.get_key_rotation_status(KeyId=key)["RotationPeriodInDays"] == 90
    kms.disable_key(KeyId=key)
    with refused("DisabledException"):
        kms.encrypt(KeyId=key, Plaintext=b"x")
    with refused("ValidationException"):
        kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=3)
    kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    for change in (kms.enable_key, kms.schedule_key_deletion):
        with refused("KMSInvalidStateException", "pending deletion"):
            change(KeyId=key)
    with refused("KMSInvalidStateException"):
        kms.create_alias(AliasName="alias/two", TargetKeyId=key)
    kms.delete_alias(AliasName="alias/one")
    listing = world.admin("GET", "inventory")
    assert listing["items"] == []
    assert [item["id"] for item in listing["pending"]] == [key]


def test_signature_verifies_with_the_public_key_and_after_a_restart(
    start: Callable[..., World],
) -> None:
    kms = start().client("kms")
    key = kms.create_key(KeyUsage="SIGN_VERIFY", KeySpec="ECC_NIST_P256")["KeyMetadata"]["KeyId"]
    kms.create_alias(AliasName="alias/signing", TargetKeyId=key)
    scheme = {"SigningAlgorithm": "ECDSA_SHA_256"}
    signature = kms.sign(KeyId=key, Message=b"message", **scheme)["Signature"]
    public_key = kms.get_public_key(KeyId=key)["PublicKey"]
    loaded = serialization.load_der_public_key(public_key)
    assert isinstance(loaded, ec.EllipticCurvePublicKey)
    loaded.verify(signature, b"message", ec.ECDSA(hashes.SHA256()))
    kms = start().client("kms")
    assert kms.get_public_key(KeyId=key)["PublicKey"] == public_key
    signed = {"KeyId": "alias/signing", "Signature": signature, **scheme}
    assert kms.verify(Message=b"message", **signed)["SignatureValid"] is True
    digest = hashlib.sha256(b"message").digest()
    assert kms.verify(Message=digest, MessageType="DIGEST", **signed)["SignatureValid"] is True
    with refused("KMSInvalidSignatureException"):
        kms.verify(Message=b"other", **signed)
    with refused("NotFoundException", "alias/missing"):
        kms.sign(KeyId="alias/missing", Message=b"message", **scheme)
    symmetric = kms.create_key()["KeyMetadata"]["KeyId"]
    with refused("InvalidKeyUsageException", "ENCRYPT_DECRYPT"):
        kms.sign(KeyId=symmetric, Message=b"message", **scheme)


def test_key_policy_that_locks_out_its_owner_is_refused(world: World) -> None:
    kms = world.client("kms")
    with refused("MalformedPolicyDocumentException", "Json"):
        kms.create_key(Policy="{")
    use = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "kms:Decrypt", "Resource": "*"}
    with refused("MalformedPolicyDocumentException", "in the future"):
        kms.create_key(Policy=json.dumps({"Version": "2012-10-17", "Statement": use}))
    assert world.alive() == set()


def test_new_bucket_is_encrypted_private_and_without_acls(world: World) -> None:
    s3 = world.client("s3")
    s3.create_bucket(Bucket="logs-of-ours")
    rules = s3.get_bucket_encryption(Bucket="logs-of-ours")["ServerSideEncryptionConfiguration"][
        "Rules"
    ]
    assert rules[0]["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    assert all(
        s3.get_public_access_block(Bucket="logs-of-ours")["PublicAccessBlockConfiguration"].values()
    )
    owner = s3.get_bucket_ownership_controls(Bucket="logs-of-ours")["OwnershipControls"]["Rules"]
    assert owner == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    arns = ["arn:aws:s3:::logs-of-ours", "arn:aws:s3:::logs-of-ours/*"]
    insecure = {"Bool": {"aws:SecureTransport": "false"}}
    deny = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": arns,
        "Condition": insecure,
    }
    s3.put_bucket_policy(
        Bucket="logs-of-ours", Policy=json.dumps({"Version": "2012-10-17", "Statement": deny})
    )
    s3.put_object(Bucket="logs-of-ours", Key="a", Body=b"body")
    assert s3.get_object(Bucket="logs-of-ours", Key="a")["Body"].read() == b"body"
    with refused("MalformedPolicy", "resource"):
        invalid = {**deny, "Resource": "arn:aws:s3:::another"}
        s3.put_bucket_policy(
            Bucket="logs-of-ours",
            Policy=json.dumps({"Version": "2012-10-17", "Statement": invalid}),
        )
    with refused("AccessDenied", "public policies"):
        public = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": arns}
        s3.put_bucket_policy(
            Bucket="logs-of-ours", Policy=json.dumps({"Version": "2012-10-17", "Statement": public})
        )
    with refused("BucketNotEmpty"):
        s3.delete_bucket(Bucket="logs-of-ours")


def test_images_have_manifest_digests_and_immutable_tags(world: World) -> None:
    ecr = world.client("ecr")
    ecr.create_repository(repositoryName="app", imageTagMutability="IMMUTABLE")
    first = ecr.put_image(repositoryName="app", imageManifest=manifest("one"), imageTag="v1")[
        "image"
    ]
    assert (
        first["imageId"]["imageDigest"]
        == "sha256:" + hashlib.sha256(manifest("one").encode()).hexdigest()
    )
    with refused("ImageTagAlreadyExistsException"):
        ecr.put_image(repositoryName="app", imageManifest=manifest("two"), imageTag="v1")
    with refused("ImageDigestDoesNotMatchException"):
        ecr.put_image(
            repositoryName="app",
            imageManifest=manifest("two"),
            imageTag="v2",
            imageDigest="sha256:" + "0" * 64,
        )
    with refused("RepositoryNotEmptyException"):
        ecr.delete_repository(repositoryName="app")
    ecr.delete_repository(repositoryName="app", force=True)
    assert world.alive() == set()


def test_log_group_retention_and_key_are_validated(world: World) -> None:
    logs, kms = world.client("logs"), world.client("kms")
    logs.create_log_group(logGroupName="g")
    with refused("InvalidParameterException", "2"):
        logs.put_retention_policy(logGroupName="g", retentionInDays=2)
    plain = kms.create_key()["KeyMetadata"]["Arn"]
    with refused("InvalidParameterException", "logs.us-east-1.amazonaws.com"):
        logs.associate_kms_key(logGroupName="g", kmsKeyId=plain)
    owner = {
        "Effect": "Allow",
        "Principal": {"AWS": "arn:aws:iam::123456789012:root"},
        "Action": "kms:*",
        "Resource": "*",
    }
    service = {**owner, "Principal": {"Service": "logs.us-east-1.amazonaws.com"}}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [owner, service]})
    key = kms.create_key(Policy=policy)["KeyMetadata"]["Arn"]
    logs.associate_kms_key(logGroupName="g", kmsKeyId=key)
    assert logs.describe_log_groups()["logGroups"][0]["kmsKeyId"] == key
    logs.disassociate_kms_key(logGroupName="g")
    assert "kmsKeyId" not in logs.describe_log_groups()["logGroups"][0]


def test_alarms_are_validated_and_composed(world: World) -> None:
    cloudwatch = world.client("cloudwatch")
    good = {
        "AlarmName": "errors",
        "Namespace": "N",
        "MetricName": "M",
        "Statistic": "Sum",
        "Period": 60,
        "EvaluationPeriods": 1,
        "Threshold": 1.0,
        "ComparisonOperator": "GreaterThanThreshold",
    }
    with refused("ValidationError", "Period"):
        cloudwatch.put_metric_alarm(**{**good, "Period": 45})
    cloudwatch.put_metric_alarm(**good)
    with refused("ValidationError", "ghost"):
        cloudwatch.put_composite_alarm(AlarmName="all", AlarmRule='ALARM("errors") OR ALARM(ghost)')
    cloudwatch.put_composite_alarm(
        AlarmName="all", AlarmRule='ALARM("errors")', Tags=[{"Key": "a", "Value": "b"}]
    )
    shown = cloudwatch.describe_alarms(AlarmNames=["all"], AlarmTypes=["CompositeAlarm"])[
        "CompositeAlarms"
    ][0]
    assert shown["AlarmRule"] == 'ALARM("errors")'
    assert cloudwatch.list_tags_for_resource(ResourceARN=shown["AlarmArn"])["Tags"] == [
        {"Key": "a", "Value": "b"}
    ]
    cloudwatch.delete_alarms(AlarmNames=["all", "errors"])
    assert world.alive() == set()


def database(world: World, **changes: object) -> None:
    expected = {
        "DBInstanceIdentifier": "db",
        "Engine": "postgres",
        "EngineVersion": "17",
        "DBInstanceClass": "db.t4g.micro",
        "MasterUsername": "app",
        "ManageMasterUserPassword": True,
        "AllocatedStorage": 20,
        "DBSubnetGroupName": "g",
    }
    world.client("rds").create_db_instance(**{**expected, **changes})


def test_database_prevents_deletion_of_its_groups_and_is_deleted_with_its_secret(
    world: World,
) -> None:
    rds = world.client("rds")
    _, subnets = world.network()
    with refused("DBSubnetGroupDoesNotCoverEnoughAZs"):
        rds.create_db_subnet_group(
            DBSubnetGroupName="g", DBSubnetGroupDescription="g", SubnetIds=subnets[:1]
        )
    rds.create_db_subnet_group(
        DBSubnetGroupName="g", DBSubnetGroupDescription="g", SubnetIds=subnets
    )
    with refused("DBSubnetGroupAlreadyExists"):
        rds.create_db_subnet_group(
            DBSubnetGroupName="g", DBSubnetGroupDescription="g", SubnetIds=subnets
        )
    rds.create_db_parameter_group(
        DBParameterGroupName="p", DBParameterGroupFamily="postgres17", Description="p"
    )
    for change, code in (
        ({"EngineVersion": "9.6"}, "InvalidParameterCombination"),
        ({"DBInstanceClass": "db.huge"}, "InvalidParameterValue"),
        (
            {"ManageMasterUserPassword": False, "MasterUserPassword": "short"},
            "InvalidParameterValue",
        ),
        ({"DBSubnetGroupName": "ghost"}, "DBSubnetGroupNotFoundFault"),
        ({"AllocatedStorage": 5}, "InvalidParameterValue"),
    ):
        with refused(code):
            database(world, **change)
    database(world, DBParameterGroupName="p", DeletionProtection=True)
    shown = rds.describe_db_instances(DBInstanceIdentifier="db")["DBInstances"][0]
    assert shown["DBInstanceStatus"] == "available"
    secret = shown["MasterUserSecret"]["SecretArn"]
    assert "password" in json.loads(
        world.client("secretsmanager").get_secret_value(SecretId=secret)["SecretString"]
    )
    with refused("InvalidDBSubnetGroupStateFault", "db"):
        rds.delete_db_subnet_group(DBSubnetGroupName="g")
    with refused("InvalidDBParameterGroupState", "db"):
        rds.delete_db_parameter_group(DBParameterGroupName="p")
    with refused("DependencyViolation", "RDS instance db"):
        world.client("ec2").delete_subnet(SubnetId=subnets[0])
    with refused("InvalidParameterCombination", "deletion protection"):
        rds.delete_db_instance(DBInstanceIdentifier="db", SkipFinalSnapshot=True)
    with refused("InvalidParameterCombination", "storage"):
        rds.modify_db_instance(DBInstanceIdentifier="db", AllocatedStorage=19)
    rds.modify_db_instance(
        DBInstanceIdentifier="db", DeletionProtection=False, ApplyImmediately=True
    )
    with refused("InvalidParameterCombination", "FinalDBSnapshotIdentifier"):
        rds.delete_db_instance(DBInstanceIdentifier="db")
    rds.delete_db_instance(DBInstanceIdentifier="db", SkipFinalSnapshot=True)
    rds.delete_db_subnet_group(DBSubnetGroupName="g")
    rds.delete_db_parameter_group(DBParameterGroupName="p")
    assert {item.split("/")[0] for item in world.alive()} == {"ec2"}


def test_engine_versions_are_described(world: World) -> None:
    rds = world.client("rds")
    result = rds.describe_db_engine_versions(
        Engine="postgres", EngineVersion="17", DefaultOnly=True
    )["DBEngineVersions"]
    assert [version["DBParameterGroupFamily"] for version in result] == ["postgres17"]


def test_topic_policies_are_validated(world: World) -> None:
    sns = world.client("sns")
    topic = sns.create_topic(Name="t")["TopicArn"]
    with refused("InvalidParameter", "Json"):
        sns.set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue="{")
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "s3:Get",
        "Resource": topic,
    }
    with refused("InvalidParameter", "out of service scope"):
        document = json.dumps({"Version": "2012-10-17", "Statement": statement})
        sns.set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=document)


def test_node_images_have_public_parameters(world: World) -> None:
    ssm = world.client("ssm")
    path = "/aws/service/eks/optimized-ami/1.35/amazon-linux-2023/arm64/standard/recommended"
    image = ssm.get_parameter(Name=f"{path}/image_id")["Parameter"]["Value"]
    assert image.startswith("ami-")
    assert ssm.get_parameter(Name=f"{path}/release_version")["Parameter"]["Value"].startswith(
        "1.35."
    )
    with refused("ParameterNotFound"):
        ssm.get_parameter(Name=path.replace("1.35", "1.12") + "/image_id")


def test_connections_are_pending_until_their_handshake(world: World) -> None:
    connections = world.client("codeconnections")
    tags = [{"Key": "a", "Value": "b"}]
    arn = connections.create_connection(ProviderType="GitHub", ConnectionName="c", Tags=tags)[
        "ConnectionArn"
    ]
    assert (
        connections.get_connection(ConnectionArn=arn)["Connection"]["ConnectionStatus"] == "PENDING"
    )
    world.admin("POST", "handshake", {"connection": arn})
    assert (
        connections.get_connection(ConnectionArn=arn)["Connection"]["ConnectionStatus"]
        == "AVAILABLE"
    )
    assert connections.list_tags_for_resource(ResourceArn=arn)["Tags"] == tags
    connections.delete_connection(ConnectionArn=arn)
    with refused("ResourceNotFoundException"):
        connections.get_connection(ConnectionArn=arn)


def test_budgets_keep_notifications_subscribers_and_tags(world: World) -> None:
    budgets = world.client("budgets")
    account = {"AccountId": "123456789012"}
    budget = {
        "BudgetName": "b",
        "BudgetLimit": {"Amount": "10", "Unit": "USD"},
        "TimeUnit": "MONTHLY",
        "BudgetType": "COST",
    }
    eighty = {"NotificationType": "ACTUAL", "ComparisonOperator": "GREATER_THAN", "Threshold": 80.0}
    mail = {"SubscriptionType": "EMAIL", "Address": "a@example.org"}
    stored = [{"Notification": eighty, "Subscribers": [mail]}]
    budgets.create_budget(**account, Budget=budget, NotificationsWithSubscribers=stored)
    with refused("DuplicateRecordException"):
        budgets.create_budget(**account, Budget=budget)
    budgets.update_budget(
        **account, NewBudget={**budget, "BudgetLimit": {"Amount": "20", "Unit": "USD"}}
    )
    assert (
        budgets.describe_budget(**account, BudgetName="b")["Budget"]["BudgetLimit"]["Amount"]
        == "20"
    )
    named = {**account, "BudgetName": "b", "Notification": eighty}
    budgets.create_subscriber(**named, Subscriber={**mail, "Address": "b@example.org"})
    assert len(budgets.describe_subscribers_for_notification(**named)["Subscribers"]) == 2
    budgets.delete_notification(**named)
    assert (
        budgets.describe_notifications_for_budget(**account, BudgetName="b")["Notifications"] == []
    )
    budgets.delete_budget(**account, BudgetName="b")
    assert world.alive() == set()


def test_unemulated_operation_is_refused_by_name(world: World) -> None:
    for service, call, kwargs in (
        ("rds", "describe_event_categories", {}),
        ("ec2", "describe_capacity_block_offerings", {"CapacityDurationHours": 24}),
        ("eks", "list_insights", {"clusterName": "c"}),
        ("dynamodb", "list_tables", {}),
        ("codebuild", "list_shared_projects", {}),
    ):
        with pytest.raises(ClientError) as caught:
            getattr(world.client(service), call)(**kwargs)
        message = caught.value.response["Error"]["Message"]
        assert "not emulated by the sandbox" in message
        assert service in message


def test_default_vpc_is_created_once_with_internet_access(start: Callable[..., World]) -> None:
    world = start()
    ec2 = world.client("ec2")
    assert ec2.describe_vpcs()["Vpcs"] == []
    with refused("VPCIdNotSpecified", "No default VPC for this user"):
        ec2.create_security_group(GroupName="web", Description="web")
    vpc = ec2.create_default_vpc()["Vpc"]
    assert (vpc["IsDefault"], vpc["CidrBlock"]) == (True, "172.31.0.0/16")
    subnets = ec2.describe_subnets()["Subnets"]
    zones = ec2.describe_availability_zones()["AvailabilityZones"]
    assert {subnet["AvailabilityZone"] for subnet in subnets} == {z["ZoneName"] for z in zones}
    assert all(subnet["DefaultForAz"] and subnet["MapPublicIpOnLaunch"] for subnet in subnets)
    (gateway,) = ec2.describe_internet_gateways()["InternetGateways"]
    assert gateway["Attachments"][0]["VpcId"] == vpc["VpcId"]
    (table,) = ec2.describe_route_tables()["RouteTables"]
    routes = {route["DestinationCidrBlock"]: route["GatewayId"] for route in table["Routes"]}
    assert routes == {"172.31.0.0/16": "local", "0.0.0.0/0": gateway["InternetGatewayId"]}
    group = ec2.create_security_group(GroupName="web", Description="web")["GroupId"]
    described = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]
    assert described["VpcId"] == vpc["VpcId"]
    with refused("DefaultVpcAlreadyExists"):
        ec2.create_default_vpc()
    before = world.alive()
    assert start().alive() == before
