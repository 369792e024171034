# The alarms, and one dashboard. The metrics are those that AWS counts at no charge, and some that
# are read out of the bridge's log.

locals {
  # Lines of the bridge's log that somebody has to act on, by their `event`, a name that does not change; docs/security.md lists
  # all of them.
  bridge_events = length(local.replicas) == 0 ? {} : {
    bridge-not-ready = {
      description = "A bridge has not been ready for a minute: the broker, a certificate, the credentials or the function. Its log and /readyz say which."
      metric      = "BridgeNotReady"
      events      = ["bridge.not_ready"]
    }
    bridge-session = {
      description = "The broker has lost a session, keeps none, or another client took it: confirmed messages may be lost. The log says which."
      metric      = "BridgeSessions"
      events      = ["session.lost", "session.taken_over", "session.expiry_refused", "session.left_behind", "session.queue_unproven"]
    }
    bridge-broker-drops = {
      description = "The broker has dropped messages that it had confirmed: a queue is full. Its log names the client; raise max_queued_messages and max_queued_bytes."
      metric      = "BridgeBrokerDrops"
      events      = ["broker.dropped"]
    }
    bridge-certificates = {
      description = "A certificate, an authority or a revocation list is near its end or refused. Renew it; the bridge takes new files without a restart."
      metric      = "BridgeCertificates"
      events      = ["tls.expiring", "tls.expired", "tls.refused", "broker.certificate_refused"]
    }
    bridge-configuration = {
      description = "A configuration was refused, and the one before stays at work; or a subscription is denied."
      metric      = "BridgeConfiguration"
      events      = ["configuration.refused", "subscription.denied"]
    }
    bridge-dead-letters-held = {
      description = "No failure destination takes a message: it is held, and takes a place of the window."
      metric      = "BridgeDeadLettersHeld"
      events      = ["dead_letter.failed", "dead_letter.impossible", "dead_letter.window_full"]
    }
  }

  # Each: the metric, from where on it is an alarm, for how long, and whether silence is one too. An alarm whose period is
  # shorter than the interval of its metric may never fire, so each has the period at which AWS's documentation says that the
  # metric comes (docs.aws.amazon.com):
  # - Lambda: every minute (lambda/latest/dg/monitoring-metrics.html);
  # - ECS: every minute, and not at all without a running task (AmazonECS/latest/developerguide/available-metrics.html);
  # - EC2: status checks every minute, processor credits every five minutes only
  #   (AWSEC2/latest/UserGuide/viewing_metrics_with_cloudwatch.html);
  # - DynamoDB: WriteThrottleEvents every minute (amazondynamodb/latest/developerguide/metrics-dimensions.html);
  # - SQS: its page names no interval (AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html), so
  #   five minutes, which catch either: what lies in a queue stays there;
  # - metrics out of the log: at each line that matches, and none otherwise, which is no alarm.
  alarms = merge(
    {
      dead-letters = {
        description = "The bridge has given up messages. See what they say, mend the function, and send them again with redrive."
        namespace   = "AWS/SQS", metric = "ApproximateNumberOfMessagesVisible", statistic = "Maximum"
        dimensions  = { QueueName = aws_sqs_queue.failures.name }
        above       = 0, minutes = 5, silence = false, period = 300
      }
      dead-letters-in-bucket = {
        description = "Letters that the failure queue did not take, as S3 counts them once a day. Send them again with redrive."
        namespace   = "AWS/S3", metric = "NumberOfObjects", statistic = "Maximum"
        dimensions  = { BucketName = aws_s3_bucket.failures.bucket, StorageType = "AllStorageTypes" }
        above       = 0, minutes = 1440, silence = false, period = 86400
      }
      function-dead-letters = {
        description = "Lambda has given up asynchronous invocations."
        namespace   = "AWS/SQS", metric = "ApproximateNumberOfMessagesVisible", statistic = "Maximum"
        dimensions  = { QueueName = aws_sqs_queue.function_failures.name }
        above       = 0, minutes = 5, silence = false, period = 300
      }
      function-errors = {
        description = "The function fails whole events, for five minutes now. The bridge tries them again."
        namespace   = "AWS/Lambda", metric = "Errors", statistic = "Sum"
        dimensions  = { FunctionName = local.function_name }
        above       = 0, minutes = 5, silence = false
      }
      function-throttles = {
        description = "Lambda refuses invocations, for five minutes now: raise the reserved concurrency, or lower the mappings' concurrency."
        namespace   = "AWS/Lambda", metric = "Throttles", statistic = "Sum"
        dimensions  = { FunctionName = local.function_name }
        above       = 0, minutes = 5, silence = false
      }
    },
    length(local.replicas) == 0 ? {} : {
      bridge-errors = {
        description = "A bridge needs somebody: no session, a lost one, a function or a destination that refuses. Its log says which."
        namespace   = var.name, metric = "BridgeErrors", statistic = "Sum"
        dimensions  = {}
        above       = 0, minutes = 1, silence = false
      }
    },
    { for name, of in local.bridge_events : name => {
      description = of.description
      namespace   = var.name, metric = of.metric, statistic = "Sum"
      dimensions  = {}
      above       = 0, minutes = 1, silence = false
    } },
    { for index in local.replicas : "bridge-${index}-down" => {
      description = "Replica ${index} has not run for five minutes. Its messages wait at the broker, for as long as the session expiry."
      namespace   = "AWS/ECS", metric = "CPUUtilization", statistic = "SampleCount"
      dimensions  = { ClusterName = var.name, ServiceName = "bridge-${index}" }
      above       = null, minutes = 5, silence = true
    } },
    local.broker_count == 0 ? {} : {
      broker-down = {
        description = "The broker's machine fails its checks."
        namespace   = "AWS/EC2", metric = "StatusCheckFailed", statistic = "Maximum"
        dimensions  = { InstanceId = aws_instance.broker[0].id }
        above       = 0, minutes = 3, silence = true, period = 60
      }
      broker-credits = {
        description = "The broker has used up its processor credits: raise broker_size."
        namespace   = "AWS/EC2", metric = "CPUSurplusCreditsCharged", statistic = "Maximum"
        dimensions  = { InstanceId = aws_instance.broker[0].id }
        above       = 0, minutes = 15, silence = false, period = 300
      }
    },
  )
}

resource "aws_cloudwatch_metric_alarm" "alarm" {
  for_each            = local.alarms
  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.description
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  statistic           = each.value.statistic
  dimensions          = each.value.dimensions
  comparison_operator = each.value.above == null ? "LessThanThreshold" : "GreaterThanThreshold"
  threshold           = coalesce(each.value.above, 1)
  period              = lookup(each.value, "period", 60)
  evaluation_periods  = each.value.minutes * 60 / lookup(each.value, "period", 60)
  treat_missing_data  = each.value.silence ? "breaching" : "notBreaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
}

# An alarm on a metric of AWS/DynamoDB ignores missing data whatever it is told, and so never returns to OK by itself
# (PutMetricAlarm, TreatMissingData). Where nothing is throttled the metric is missing; the expression makes it zero.
resource "aws_cloudwatch_metric_alarm" "table_throttles" {
  alarm_name          = "${var.name}-table-throttles"
  alarm_description   = "The table refuses writes, for five minutes now. The bridge tries them again."
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  evaluation_periods  = 5
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]

  metric_query {
    id          = "refused"
    expression  = "FILL(throttles, 0)"
    label       = "Writes refused"
    return_data = true
  }

  metric_query {
    id = "throttles"

    metric {
      namespace   = "AWS/DynamoDB"
      metric_name = "WriteThrottleEvents"
      dimensions  = { TableName = aws_dynamodb_table.readings.name }
      period      = 60
      stat        = "Sum"
    }
  }
}

resource "aws_cloudwatch_log_metric_filter" "bridge_events" {
  for_each       = local.bridge_events
  name           = "${var.name}-${each.key}"
  log_group_name = aws_cloudwatch_log_group.bridge.name
  pattern        = "{ ${join(" || ", [for event in each.value.events : "($.event = \"${event}\")"])} }"

  metric_transformation {
    namespace = var.name
    name      = each.value.metric
    value     = "1"
  }
}

# The bridge writes at this level what does not mend itself.
resource "aws_cloudwatch_log_metric_filter" "bridge_errors" {
  name           = "${var.name}-bridge-errors"
  log_group_name = aws_cloudwatch_log_group.bridge.name
  pattern        = "{ $.level = \"ERROR\" }"

  metric_transformation {
    namespace = var.name
    name      = "BridgeErrors"
    value     = "1"
  }
}

resource "aws_cloudwatch_log_metric_filter" "bridge_warnings" {
  name           = "${var.name}-bridge-warnings"
  log_group_name = aws_cloudwatch_log_group.bridge.name
  pattern        = "{ $.level = \"WARN\" }"

  metric_transformation {
    namespace = var.name
    name      = "BridgeWarnings"
    value     = "1"
  }
}

resource "aws_sns_topic" "alarms" {
  #checkov:skip=CKV_AWS_26:It carries names of alarms and numbers. Alarms cannot be published with the account's key for SNS, and a key of one's own would be for this alone.
  name = "${var.name}-alarms"
}

resource "aws_sns_topic_subscription" "mail" {
  count     = var.alarm_email == null ? 0 : 1
  topic_arn = aws_sns_topic.alarms.arn
  protocol  = "email"
  endpoint  = var.alarm_email
}

locals {
  # Title, unit of the left axis, and lines: namespace, metric, statistic, dimensions.
  panels = concat(
    [
      { title = "Invocations", lines = [
        ["AWS/Lambda", "Invocations", "Sum", { FunctionName = local.function_name }],
        ["AWS/Lambda", "Errors", "Sum", { FunctionName = local.function_name }],
        ["AWS/Lambda", "Throttles", "Sum", { FunctionName = local.function_name }],
      ] },
      { title = "Duration of an invocation, ms", lines = [
        ["AWS/Lambda", "Duration", "p50", { FunctionName = local.function_name }],
        ["AWS/Lambda", "Duration", "p99", { FunctionName = local.function_name }],
      ] },
      { title = "Executions at once", lines = [
        ["AWS/Lambda", "ConcurrentExecutions", "Maximum", { FunctionName = local.function_name }],
      ] },
      { title = "Messages given up", lines = [for queue in [aws_sqs_queue.failures, aws_sqs_queue.function_failures] :
        ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "Maximum", { QueueName = queue.name }]
      ] },
      { title = "Written to the table, units", lines = [
        ["AWS/DynamoDB", "ConsumedWriteCapacityUnits", "Sum", { TableName = aws_dynamodb_table.readings.name }],
        ["AWS/DynamoDB", "WriteThrottleEvents", "Sum", { TableName = aws_dynamodb_table.readings.name }],
      ] },
      { title = "What the bridge logs", lines = [
        [var.name, "BridgeErrors", "Sum", {}],
        [var.name, "BridgeWarnings", "Sum", {}],
      ] },
    ],
    length(local.replicas) == 0 ? [] : [
      { title = "Bridge: processor and memory, %", lines = concat(
        [for index in local.replicas : ["AWS/ECS", "CPUUtilization", "Average", { ClusterName = var.name, ServiceName = "bridge-${index}" }]],
        [for index in local.replicas : ["AWS/ECS", "MemoryUtilization", "Average", { ClusterName = var.name, ServiceName = "bridge-${index}" }]],
      ) },
    ],
    local.broker_count == 0 ? [] : [
      { title = "Broker: processor, %, and network", lines = [
        ["AWS/EC2", "CPUUtilization", "Average", { InstanceId = aws_instance.broker[0].id }],
        ["AWS/EC2", "NetworkIn", "Sum", { InstanceId = aws_instance.broker[0].id }],
        ["AWS/EC2", "NetworkOut", "Sum", { InstanceId = aws_instance.broker[0].id }],
      ] },
    ],
  )
}

resource "aws_cloudwatch_dashboard" "main" {
  dashboard_name = var.name
  dashboard_body = jsonencode({
    widgets = [for index, panel in local.panels : {
      type   = "metric"
      x      = index % 2 * 12
      y      = floor(index / 2) * 6
      width  = 12
      height = 6
      properties = {
        title  = panel.title
        region = data.aws_region.here.id
        period = 60
        view   = "timeSeries"
        metrics = [for line in panel.lines :
          concat([line[0], line[1]], flatten([for name, value in line[3] : [name, value]]), [{ stat = line[2] }])
        ]
      }
    }]
  })
}
