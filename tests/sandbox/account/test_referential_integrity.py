"""Deletions that AWS refuses because another object depends on the resource."""

from __future__ import annotations

from .conftest import World, refused


def test_vpc_with_contents_cannot_be_deleted(world: World) -> None:
    ec2 = world.client("ec2")
    vpc, subnets = world.network()
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    group = ec2.create_security_group(GroupName="g", Description="g", VpcId=vpc)["GroupId"]
    table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    for subnet in subnets:
        with refused("DependencyViolation"):
            ec2.delete_vpc(VpcId=vpc)
        ec2.delete_subnet(SubnetId=subnet)
    with refused("DependencyViolation", gateway):
        ec2.delete_vpc(VpcId=vpc)
    with refused("DependencyViolation"):
        ec2.delete_internet_gateway(InternetGatewayId=gateway)
    ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    ec2.delete_internet_gateway(InternetGatewayId=gateway)
    with refused("DependencyViolation", group):
        ec2.delete_vpc(VpcId=vpc)
    ec2.delete_security_group(GroupId=group)
    with refused("DependencyViolation", table):
        ec2.delete_vpc(VpcId=vpc)
    ec2.delete_route_table(RouteTableId=table)
    ec2.delete_vpc(VpcId=vpc)
    assert world.alive() == set()
    assert ec2.describe_network_acls()["NetworkAcls"] == []


def test_nat_gateway_prevents_deletion_of_subnet_address_and_internet_gateway(world: World) -> None:
    ec2 = world.client("ec2")
    vpc, subnets = world.network()
    address = ec2.allocate_address(Domain="vpc")["AllocationId"]
    with refused("Gateway.NotAttached"):
        ec2.create_nat_gateway(SubnetId=subnets[0], AllocationId=address)
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    nat = ec2.create_nat_gateway(SubnetId=subnets[0], AllocationId=address)["NatGateway"][
        "NatGatewayId"
    ]
    with refused("DependencyViolation", nat):
        ec2.delete_subnet(SubnetId=subnets[0])
    with refused("InvalidIPAddress.InUse"):
        ec2.release_address(AllocationId=address)
    with refused("DependencyViolation", "mapped public address"):
        ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    ec2.delete_nat_gateway(NatGatewayId=nat)
    assert "AssociationId" not in ec2.describe_addresses()["Addresses"][0]
    assert ec2.describe_network_interfaces()["NetworkInterfaces"] == []
    with refused("NatGatewayNotFound"):
        ec2.describe_nat_gateways(NatGatewayIds=[nat])
    with refused("NatGatewayNotFound"):
        ec2.delete_nat_gateway(NatGatewayId=nat)
    ec2.release_address(AllocationId=address)
    ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    ec2.delete_internet_gateway(InternetGatewayId=gateway)
    for subnet in subnets:
        ec2.delete_subnet(SubnetId=subnet)
    ec2.delete_vpc(VpcId=vpc)
    assert world.alive() == set()


def test_default_objects_of_a_vpc_cannot_be_deleted(world: World) -> None:
    ec2 = world.client("ec2")
    vpc, _ = world.network()
    group = ec2.describe_security_groups(Filters=[{"Name": "vpc-id", "Values": [vpc]}])[
        "SecurityGroups"
    ][0]
    with refused("CannotDelete", "default"):
        ec2.delete_security_group(GroupId=group["GroupId"])
    table = ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["RouteTables"][
        0
    ]
    with refused("DependencyViolation", "main"):
        ec2.delete_route_table(RouteTableId=table["RouteTableId"])


def test_referenced_security_group_cannot_be_deleted(world: World) -> None:
    ec2 = world.client("ec2")
    vpc, subnets = world.network()
    one, two = (
        ec2.create_security_group(GroupName=n, Description=n, VpcId=vpc)["GroupId"]
        for n in ("one", "two")
    )
    permission = {
        "IpProtocol": "tcp",
        "FromPort": 1,
        "ToPort": 2,
        "UserIdGroupPairs": [{"GroupId": one}],
    }
    ec2.authorize_security_group_ingress(GroupId=two, IpPermissions=[permission])
    with refused("DependencyViolation", two):
        ec2.delete_security_group(GroupId=one)
    ec2.revoke_security_group_ingress(GroupId=two, IpPermissions=[permission])
    eni = ec2.create_network_interface(SubnetId=subnets[0], Groups=[one])["NetworkInterface"][
        "NetworkInterfaceId"
    ]
    with refused("DependencyViolation", eni):
        ec2.delete_security_group(GroupId=one)
    with refused("DependencyViolation", eni):
        ec2.delete_subnet(SubnetId=subnets[0])
    ec2.delete_network_interface(NetworkInterfaceId=eni)
    ec2.delete_security_group(GroupId=one)
    ec2.delete_security_group(GroupId=two)


def test_endpoints_prevent_deletion_of_subnets_and_change_route_tables(
    world: World,
) -> None:
    ec2 = world.client("ec2")
    vpc, subnets = world.network()
    table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    s3 = ec2.create_vpc_endpoint(VpcId=vpc, ServiceName="com.amazonaws.us-east-1.s3")[
        "VpcEndpoint"
    ]["VpcEndpointId"]
    ec2.modify_vpc_endpoint(VpcEndpointId=s3, AddRouteTableIds=[table])
    shown = ec2.describe_vpc_endpoints(VpcEndpointIds=[s3])["VpcEndpoints"][0]
    assert shown["RouteTableIds"] == [table]
    sts = ec2.create_vpc_endpoint(
        VpcId=vpc,
        ServiceName="com.amazonaws.us-east-1.sts",
        VpcEndpointType="Interface",
        SubnetIds=subnets,
    )["VpcEndpoint"]["VpcEndpointId"]
    with refused("DependencyViolation", sts):
        ec2.delete_subnet(SubnetId=subnets[0])
    ec2.delete_vpc_endpoints(VpcEndpointIds=[s3, sts])
    with refused("InvalidVpcEndpointId.NotFound"):
        ec2.describe_vpc_endpoints(VpcEndpointIds=[s3])
    ec2.delete_route_table(RouteTableId=table)
    for subnet in subnets:
        ec2.delete_subnet(SubnetId=subnet)
    ec2.delete_vpc(VpcId=vpc)
    assert world.alive() == set()


def test_eks_cluster_prevents_deletion_of_its_subnets_and_groups(world: World) -> None:
    ec2, eks = world.client("ec2"), world.client("eks")
    vpc = world.cluster()["resourcesVpcConfig"]
    with refused("DependencyViolation", "EKS cluster main"):
        ec2.delete_subnet(SubnetId=vpc["subnetIds"][0])
    with refused("DependencyViolation", "EKS cluster main"):
        ec2.delete_security_group(GroupId=vpc["clusterSecurityGroupId"])
    eks.delete_cluster(name="main")
    ec2.delete_subnet(SubnetId=vpc["subnetIds"][0])
    with refused("InvalidGroup.NotFound"):
        ec2.describe_security_groups(GroupIds=[vpc["clusterSecurityGroupId"]])
