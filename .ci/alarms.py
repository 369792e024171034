"""Whether the alarms that Terraform applied ring, as CloudWatch would judge them: each is read back from the emulator, with its own
metric, dimensions, statistic, period count and treatment of missing data, and so are the filter patterns of the log. What they judge is
what there is: queue, bucket, function, service and machine are looked at where the alarms look, and the log is that of a bridge that ran.
Two metrics that no emulator counts are given the numbers that AWS documents; they are named in GIVEN. Alarms that this run does not
bring to ring are to be named with their test in docs/deploy.md.

Usage: alarms.py NAME BRIDGE_LOG GOOD_EVENT, after `.ci/terraform-emulator` has applied all and the bridge has ended."""

import json
import pathlib
import re
import sys
import time
from datetime import datetime

import botocore.session
from botocore.config import Config

session = botocore.session.get_session()
cloudwatch, logs, sqs, s3, lambdas, ecs, ec2 = (
    session.create_client(name, config=Config(read_timeout=60, retries={"max_attempts": 1}))
    for name in ("cloudwatch", "logs", "sqs", "s3", "lambda", "ecs", "ec2")
)
PAGE = pathlib.Path(__file__).resolve().parent.parent / "docs/deploy.md"
DAY = 86400
STATISTICS = {"Sum": sum, "Maximum": max, "Minimum": min, "SampleCount": len}
COMPARISONS = {"GreaterThanThreshold": lambda value, limit: value > limit, "LessThanThreshold": lambda value, limit: value < limit}
GIVEN = {("AWS/DynamoDB", "WriteThrottleEvents"), ("AWS/EC2", "CPUSurplusCreditsCharged")}


def key(metric):
    """A metric is its namespace, name and all its dimensions; with one more or less it is another."""
    dimensions = frozenset((each["Name"], each["Value"]) for each in metric.get("Dimensions", []))
    return metric["Namespace"], metric["MetricName"], dimensions


class Alarm:
    """One alarm, and what CloudWatch does with the periods that it looks at."""

    def __init__(self, said, name):
        self.name, self.said, self.fills = said["AlarmName"].removeprefix(name + "-"), said, False
        self.periods, self.missing = said["EvaluationPeriods"], said["TreatMissingData"]
        assert said.get("DatapointsToAlarm") in (None, self.periods), said
        assert said["AlarmActions"], f"{self.name}: nobody hears it"
        source = said
        if said.get("Metrics"):
            returned = [each for each in said["Metrics"] if each["ReturnData"]]
            (inner,) = [each for each in said["Metrics"] if "MetricStat" in each]
            assert [each.get("Expression") for each in returned] == [f"FILL({inner['Id']}, 0)"], f"{self.name}: an expression that is not known here"
            source, self.fills = {**inner["MetricStat"]["Metric"], "Statistic": inner["MetricStat"]["Stat"]}, True
        self.metric, self.statistic = key(source), STATISTICS[source["Statistic"]]

    def breaches(self, period):
        samples = period.get(self.metric) or ([0] if self.fills else [])
        if not samples:
            return {"breaching": True, "notBreaching": False}[self.missing]
        return COMPARISONS[self.said["ComparisonOperator"]](self.statistic(samples), self.said["Threshold"])

    def rings(self, periods):
        """Whether it rings after these periods."""
        assert len(periods) >= self.periods
        return all(self.breaches(period) for period in periods[-self.periods :])


# The metrics of AWS's own, from what they are about.


def queue_url(dimensions):
    return sqs.get_queue_url(QueueName=dimensions["QueueName"])["QueueUrl"]


def visible(dimensions, _):
    answer = sqs.get_queue_attributes(QueueUrl=queue_url(dimensions), AttributeNames=["ApproximateNumberOfMessages"])
    return [int(answer["Attributes"]["ApproximateNumberOfMessages"])]


def age(dimensions, world):
    url = queue_url(dimensions)
    kept = int(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["MessageRetentionPeriod"])["Attributes"]["MessageRetentionPeriod"])
    found = sqs.receive_message(QueueUrl=url, AttributeNames=["SentTimestamp"], VisibilityTimeout=0, MaxNumberOfMessages=10)
    sent = [int(message["Attributes"]["SentTimestamp"]) / 1000 for message in found.get("Messages", [])]
    ages = [time.time() + world.later - at for at in sent]
    return [max(age for age in ages if age < kept)] if any(age < kept for age in ages) else []


def objects(dimensions, _):
    return [s3.list_objects_v2(Bucket=dimensions["BucketName"])["KeyCount"]]


def task(dimensions, _):
    (service,) = ecs.describe_services(cluster=dimensions["ClusterName"], services=[dimensions["ServiceName"]])["services"]
    return [1.0] * service["runningCount"]


def machine(dimensions, _):
    ((instance,),) = [each["Instances"] for each in ec2.describe_instances(InstanceIds=[dimensions["InstanceId"]])["Reservations"]]
    return [0] if instance["State"]["Name"] == "running" else []


def invoked(what):
    def count(dimensions, world):
        assert dimensions == {"FunctionName": world.function}, dimensions
        return [world.answer == what]

    return count


MEASURES = {
    ("AWS/SQS", "ApproximateNumberOfMessagesVisible"): visible,
    ("AWS/SQS", "ApproximateAgeOfOldestMessage"): age,
    ("AWS/S3", "NumberOfObjects"): objects,
    ("AWS/ECS", "CPUUtilization"): task,
    ("AWS/EC2", "StatusCheckFailed"): machine,
    ("AWS/Lambda", "Errors"): invoked("failed"),
    ("AWS/Lambda", "Throttles"): invoked("throttled"),
}


class World:
    """What the alarms look at, and how far its clock is ahead of ours."""

    def __init__(self, alarms, good):
        self.alarms, self.event, self.given, self.later = alarms, good, {}, 0
        (self.function,) = {value for alarm in alarms for name, value in alarm.metric[2] if name == "FunctionName"}
        self.target = f"{self.function}:live"

    def about(self, name):
        """What an alarm is about, by its dimensions."""
        return dict(next(alarm.metric[2] for alarm in self.alarms if alarm.name == name))

    def period(self):
        """One period: an invocation, and a look at everything."""
        self.answer = "succeeded"
        try:
            if "FunctionError" in lambdas.invoke(FunctionName=self.target, Payload=self.event):
                self.answer = "failed"
        except lambdas.exceptions.TooManyRequestsException:
            self.answer = "throttled"
        samples = {}
        for metric in {alarm.metric for alarm in self.alarms}:
            measure = MEASURES.get(metric[:2])
            found = measure(dict(metric[2]), self) if measure else self.given.get(metric[:2], [])
            if found:
                samples[metric] = found
        return samples

    def rings(self):
        """The alarms that ring once things have been so for as long as any of them looks back."""
        periods = [self.period() for _ in range(max(alarm.periods for alarm in self.alarms))]
        return {alarm.name for alarm in self.alarms if alarm.rings(periods)}


# The bridge's log, as CloudWatch takes it in.


def matches(pattern, line):
    """Whether a line matches a pattern of `{ $.field = "text" }`, or of several with `||`. Any other pattern fails."""
    inside = re.fullmatch(r"\{ (.*) \}", pattern)[1]
    found = [re.fullmatch(r'\(?\$\.(\w+) = "([^"]*)"\)?', part) for part in inside.split(" || ")]
    assert all(found), f"a pattern that is not known here: {pattern}"
    return any(line.get(each[1]) == each[2] for each in found)


def of_log(text, filters):
    """The periods of a minute that a log makes of its metrics: by the embedded format, and by the filters."""
    minutes = {}
    for line in filter(lambda line: line.startswith("{"), text.splitlines()):
        line = json.loads(line)
        found = []
        for directive in line.get("_aws", {}).get("CloudWatchMetrics", []):
            assert directive["Dimensions"] == [[]], directive
            found += [((directive["Namespace"], metric["Name"], frozenset()), line[metric["Name"]]) for metric in directive["Metrics"]]
        for each in filter(lambda each: matches(each["filterPattern"], line), filters):
            (to,) = each["metricTransformations"]
            found.append(((to["metricNamespace"], to["metricName"], frozenset()), float(to["metricValue"])))
        at = line["_aws"]["Timestamp"] // 60_000 if "_aws" in line else minute(line["timestamp"])
        for metric, value in found:
            minutes.setdefault(at, {}).setdefault(metric, []).append(value)
    first, last = min(minutes), max(minutes)
    return [minutes.get(at, {}) for at in range(first - 20, last + 1)]


def minute(stamp):
    return int(datetime.fromisoformat(stamp.replace("Z", "+00:00")).timestamp()) // 60


def rung_by(periods, alarms):
    ends = range(20, len(periods) + 1)
    return {alarm.name for alarm in alarms if any(alarm.rings(periods[:end]) for end in ends)}


def holds(what, rung, *expected):
    assert rung == set(expected), f"{what}: {sorted(rung)} ring, and not {sorted(expected)}"
    print(f"  {what}: {', '.join(sorted(rung)) or 'nothing rings'}")
    return rung


def eventually(what, is_so):
    deadline = time.monotonic() + 120
    while not is_so():
        assert time.monotonic() < deadline, f"{what}: not within two minutes"
        time.sleep(0.5)


def main():
    name, log, good = sys.argv[1], pathlib.Path(sys.argv[2]).read_text(), pathlib.Path(sys.argv[3]).read_bytes()
    said = [alarm for page in cloudwatch.get_paginator("describe_alarms").paginate() for alarm in page["MetricAlarms"]]
    filters = logs.describe_metric_filters()["metricFilters"]
    bands = {alarm["AlarmName"].removeprefix(name + "-") for alarm in said if alarm.get("ThresholdMetricId")}
    alarms = [Alarm(alarm, name) for alarm in said if not alarm.get("ThresholdMetricId")]
    ours = [alarm for alarm in alarms if not alarm.metric[0].startswith("AWS/")]
    world = World([alarm for alarm in alarms if alarm not in ours], good)
    unknown = {alarm.metric[:2] for alarm in world.alarms} - set(MEASURES) - GIVEN
    assert not unknown, f"metrics that are not known here: {unknown}"
    rung = set()

    rung |= holds("the log of the bridge", rung_by(of_log(log, filters), ours), "bridge-dead-lettered")

    letters = ["dead-letters", "dead-letters-in-bucket"]
    rung |= holds("letters in the queue and in the bucket", world.rings(), *letters)
    world.later = 9 * DAY
    holds("nine days later", world.rings(), *letters)
    world.later = 10 * DAY + 3600
    rung |= holds("ten days later", world.rings(), *letters, "dead-letters-age")
    world.later = 0
    sqs.purge_queue(QueueUrl=queue_url(world.about("dead-letters")))
    bucket = world.about("dead-letters-in-bucket")["BucketName"]
    for each in s3.list_objects_v2(Bucket=bucket).get("Contents", []):
        s3.delete_object(Bucket=bucket, Key=each["Key"])
    holds("the letters are taken away", world.rings())

    world.event = b"{}"
    rung |= holds("an event that the function cannot read", world.rings(), "function-errors")
    lambdas.invoke(FunctionName=world.target, InvocationType="Event", Payload=world.event)
    world.event = good
    about = world.about("function-dead-letters")
    eventually("Lambda gives an asynchronous invocation up", lambda: visible(about, world) == [1])
    rung |= holds("the same, asynchronously", world.rings(), "function-dead-letters")
    sqs.purge_queue(QueueUrl=queue_url(about))
    # Which the emulator holds a function to, and not its alias.
    world.target = world.function
    lambdas.put_function_concurrency(FunctionName=world.function, ReservedConcurrentExecutions=0)
    rung |= holds("no concurrency", world.rings(), "function-throttles")
    lambdas.delete_function_concurrency(FunctionName=world.function)
    world.target = f"{world.function}:live"

    for alarm, metric in (("table-throttles", ("AWS/DynamoDB", "WriteThrottleEvents")), ("broker-credits", ("AWS/EC2", "CPUSurplusCreditsCharged"))):
        world.given = {metric: [1]}
        rung |= holds(f"given one of {metric[1]} in each period", world.rings(), alarm)
    world.given = {}
    holds("all is well again", world.rings())

    task = world.about("bridge-0-down")
    ecs.update_service(cluster=task["ClusterName"], service=task["ServiceName"], desiredCount=0)
    rung |= holds("the task is gone", world.rings(), "bridge-0-down")
    ec2.stop_instances(InstanceIds=[world.about("broker-down")["InstanceId"]])
    rung |= holds("the machine is stopped too", world.rings(), "bridge-0-down", "broker-down")

    rows = dict(re.findall(r"^\| `([a-z0-9-]+)` \|[^|]*\| (.*) \|$", PAGE.read_text(), re.M))
    here = {row for row, shown in rows.items() if ".ci/terraform-emulator" in shown}
    every = {alarm.name for alarm in alarms} | bands
    assert set(rows) == every, f"docs/deploy.md and Terraform differ in {sorted(set(rows) ^ every)}"
    assert here <= rung, f"docs/deploy.md says that these ring here: {sorted(here - rung)}"
    assert all("::" in rows[name] for name in every - here - bands), "an alarm of docs/deploy.md names no test"
    print(f"  of {len(every)} alarms {len(rung)} rang here; {len(bands)} are bands, and the tests in docs/deploy.md ring the others")


main()
