# The alarms of the bridge. What rings from the bridge's own log and metrics stands in alarms.json, so that a test can hold it
# against what the bridge really writes.
#
# Its metrics are lines of its standard output in the embedded metric format, out of which CloudWatch makes metrics by itself: no
# sidecar to pay, update and give rights to. They have no dimension, so there are eleven of them, however many mappings and
# replicas there are.

locals {
  declared = jsondecode(file("${path.module}/alarms.json"))

  # Those of AWS's own metrics. ECS has none at all without a running task
  # (AmazonECS/latest/developerguide/available-metrics.html). SQS names no interval for its metrics, so five minutes, which catch
  # either: what lies in a queue stays there.
  others = merge(
    {
      dead-letters = {
        description = "Dead letters lie in the queue. See what they say, fix the function, and send them again with redrive."
        namespace   = "AWS/SQS", metric = "ApproximateNumberOfMessagesVisible", statistic = "Maximum"
        dimensions  = { QueueName = module.failures.name }
        comparison  = "GreaterThanThreshold", threshold = 0, period = 300, periods = 1, missing = "notBreaching"
      }
      dead-letters-age = {
        description = "A dead letter lies in the queue for ten days; SQS deletes it after fourteen."
        namespace   = "AWS/SQS", metric = "ApproximateAgeOfOldestMessage", statistic = "Maximum"
        dimensions  = { QueueName = module.failures.name }
        comparison  = "GreaterThanThreshold", threshold = 10 * 86400, period = 300, periods = 1, missing = "notBreaching"
      }
      dead-letters-in-bucket = {
        description = "Letters that the failure queue did not take, as S3 counts them once a day. Send them again with redrive."
        namespace   = "AWS/S3", metric = "NumberOfObjects", statistic = "Maximum"
        dimensions  = { BucketName = aws_s3_bucket.failures.bucket, StorageType = "AllStorageTypes" }
        comparison  = "GreaterThanThreshold", threshold = 0, period = 86400, periods = 1, missing = "notBreaching"
      }
    },
    { for index in local.replicas : "bridge-${index}-down" => {
      description = "Replica ${index} has not run for five minutes. Its messages wait at the broker, for as long as the session expiry."
      namespace   = "AWS/ECS", metric = "CPUUtilization", statistic = "SampleCount"
      dimensions  = { ClusterName = local.cluster_name, ServiceName = "${var.name}-bridge-${index}" }
      comparison  = "LessThanThreshold", threshold = 1, period = 60, periods = 5, missing = "breaching"
    } },
  )

  # From the log: at each line that matches, and none otherwise, which is no alarm.
  from_log = local.runs ? { for name, of in local.declared.log : "bridge-${name}" => {
    description = of.description
    namespace   = var.name, metric = "Bridge${of.metric}", statistic = "Sum"
    dimensions  = {}
    comparison  = "GreaterThanThreshold", threshold = 0, period = 60, periods = 1, missing = "notBreaching"
  } } : {}

  # A number, or the name of one that can be chosen.
  from_metrics = local.runs ? { for name, of in local.declared.metrics : "bridge-${name}" => {
    description = of.description
    namespace   = var.name, metric = of.metric, statistic = of.statistic
    dimensions  = {}
    comparison  = can(of.below) ? "LessThanThreshold" : "GreaterThanThreshold"
    threshold   = try(tonumber(try(of.below, of.above)), var.alarms[try(of.below, of.above)])
    period      = 60, periods = of.minutes, missing = "notBreaching"
  } } : {}
}

resource "aws_cloudwatch_metric_alarm" "alarm" {
  for_each            = merge(local.others, local.from_log, local.from_metrics)
  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.description
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  statistic           = each.value.statistic
  dimensions          = each.value.dimensions
  comparison_operator = each.value.comparison
  threshold           = each.value.threshold
  period              = each.value.period
  evaluation_periods  = each.value.periods
  treat_missing_data  = each.value.missing
  alarm_actions       = var.alarms.topics
  ok_actions          = var.alarms.topics
}

# Fewer or more messages than CloudWatch expects from the two weeks before. It learns by itself, and needs some days.
resource "aws_cloudwatch_metric_alarm" "received" {
  count               = local.runs ? 1 : 0
  alarm_name          = "${var.name}-bridge-received"
  alarm_description   = "Fewer or more messages come than is usual at this hour: devices, or the way to the broker."
  comparison_operator = "LessThanLowerOrGreaterThanUpperThreshold"
  threshold_metric_id = "usual"
  evaluation_periods  = 3
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarms.topics
  ok_actions          = var.alarms.topics

  metric_query {
    id          = "usual"
    expression  = "ANOMALY_DETECTION_BAND(received, 3)"
    label       = "Usual"
    return_data = true
  }

  metric_query {
    id          = "received"
    return_data = true

    metric {
      namespace   = var.name
      metric_name = "Received"
      period      = 300
      stat        = "Sum"
    }
  }
}

resource "aws_cloudwatch_log_metric_filter" "log" {
  for_each       = { for name, of in local.declared.log : name => of if local.runs }
  name           = "${var.name}-bridge-${each.key}"
  log_group_name = aws_cloudwatch_log_group.bridge.name
  pattern        = each.value.pattern

  metric_transformation {
    namespace = var.name
    name      = "Bridge${each.value.metric}"
    value     = "1"
  }
}
