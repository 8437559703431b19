"""EC2: flow logs. Every property but tags replaces (documentation of aws.ec2.FlowLog)."""

from __future__ import annotations

from sandbox.providers.aws.ec2.handler import Ec2Handler, only, tagging, tags_of
from sandbox.providers.aws.properties import integer, text
from sandbox.providers.aws.resource import Call
from sandbox.providers.protocol import Failure, Properties

_OF = {"vpcId": "VPC", "subnetId": "Subnet", "eniId": "NetworkInterface"}


def _interval(seconds: int) -> str | None:
    return None if seconds in (60, 600) else f"60 or 600 seconds, not {seconds}"


class FlowLog(Ec2Handler):
    """A flow log of a VPC, a subnet or an interface."""

    token = "aws:ec2/flowLog:FlowLog"
    noun = "Flow Log"
    inputs = {
        "eniId": text(replaces=True),
        "iamRoleArn": text(replaces=True),
        "logDestination": text(computed=True, replaces=True),
        "logDestinationType": text(
            default="cloud-watch-logs",
            replaces=True,
            one_of=("cloud-watch-logs", "s3", "kinesis-data-firehose"),
        ),
        "logFormat": text(computed=True, replaces=True),
        "maxAggregationInterval": integer(default=600, replaces=True, rule=_interval),
        "subnetId": text(replaces=True),
        "trafficType": text(replaces=True, one_of=("ACCEPT", "REJECT", "ALL")),
        "vpcId": text(replaces=True),
    }
    outputs = ("arn",)
    conflicts = (tuple(_OF),)
    one_needed = conflicts
    missing = ("InvalidFlowLogId.NotFound",)

    def create(self, call: Call, inputs: Properties) -> str:
        names = {
            "iamRoleArn": "DeliverLogsPermissionArn",
            "logDestination": "LogDestination",
            "logFormat": "LogFormat",
            "trafficType": "TrafficType",
        }
        of = next(name for name in _OF if inputs.get(name))
        response = call.client("ec2").create_flow_logs(
            ResourceIds=[inputs[of]],
            ResourceType=_OF[of],
            LogDestinationType=inputs["logDestinationType"],
            MaxAggregationInterval=inputs["maxAggregationInterval"],
            **{api: inputs[name] for name, api in names.items() if inputs.get(name)},
            **tagging("vpc-flow-log", inputs),
        )
        problem = only(response.get("Unsuccessful") or [])
        if problem:
            raise Failure(
                f"api error {problem['Error'].get('Code')}: {problem['Error'].get('Message')}"
            )
        return call.record_created(response["FlowLogIds"][0])

    def read(self, call: Call, id: str, state: Properties) -> Properties | None:
        log = only(call.client("ec2").describe_flow_logs(FlowLogIds=[id])["FlowLogs"])
        if log is None:
            return None
        resource = log["ResourceId"]
        kind = {"vpc": "vpcId", "subnet": "subnetId", "eni": "eniId"}[resource.split("-")[0]]
        destination = log.get("LogDestination")
        if not destination and log.get("LogGroupName"):
            destination = call.arn("logs", f"log-group:{log['LogGroupName']}")
        return {
            "arn": call.arn("ec2", f"vpc-flow-log/{id}"),
            "iamRoleArn": log.get("DeliverLogsPermissionArn"),
            "logDestination": destination,
            "logDestinationType": log.get("LogDestinationType"),
            "logFormat": log.get("LogFormat"),
            "maxAggregationInterval": log.get("MaxAggregationInterval"),
            **dict.fromkeys(_OF),
            kind: resource,
            "trafficType": log.get("TrafficType"),
            "tagsAll": tags_of(log),
        }

    def delete(self, call: Call, id: str, state: Properties) -> None:
        response = call.client("ec2").delete_flow_logs(FlowLogIds=[id])
        problem = only((response or {}).get("Unsuccessful") or [])
        if problem and problem["Error"].get("Code") not in self.missing:
            raise Failure(
                f"api error {problem['Error'].get('Code')}: {problem['Error'].get('Message')}"
            )


TYPES = (FlowLog(),)
