# The alarms of the function, its table and its queue, from metrics that AWS counts at no charge, and one band around the readings out
# of range, which the function counts itself.
#
# An alarm whose period is shorter than the interval of its metric may never fire, so each has the period at which AWS's
# documentation says that the metric comes: Lambda and DynamoDB every minute (lambda/latest/dg/monitoring-metrics.html,
# amazondynamodb/latest/developerguide/metrics-dimensions.html), SQS names none, so five minutes.

locals {
  alarms = {
    function-errors = {
      description = "The function fails whole events, for five minutes now. The bridge retries them."
      namespace   = "AWS/Lambda", metric = "Errors", statistic = "Sum", period = 60, periods = 5
      dimensions  = { FunctionName = aws_lambda_function.main.function_name }
    }
    function-throttles = {
      description = "Lambda refuses invocations, for five minutes now: raise the reserved concurrency, or lower the mappings' concurrency."
      namespace   = "AWS/Lambda", metric = "Throttles", statistic = "Sum", period = 60, periods = 5
      dimensions  = { FunctionName = aws_lambda_function.main.function_name }
    }
    function-dead-letters = {
      description = "Lambda has given up asynchronous invocations."
      namespace   = "AWS/SQS", metric = "ApproximateNumberOfMessagesVisible", statistic = "Maximum", period = 300, periods = 1
      dimensions  = { QueueName = module.failures.name }
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "alarm" {
  for_each            = local.alarms
  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.description
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  statistic           = each.value.statistic
  dimensions          = each.value.dimensions
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  period              = each.value.period
  evaluation_periods  = each.value.periods
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_topics
  ok_actions          = var.alarm_topics
}

# An alarm on a metric of AWS/DynamoDB ignores missing data whatever its settings, and so never returns to OK by itself
# (PutMetricAlarm, TreatMissingData). Where nothing is throttled the metric is missing; the expression makes it zero.
resource "aws_cloudwatch_metric_alarm" "table_throttles" {
  alarm_name          = "${var.name}-table-throttles"
  alarm_description   = "The table refuses writes, for five minutes now. The bridge retries them."
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  evaluation_periods  = 5
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_topics
  ok_actions          = var.alarm_topics

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

# More readings out of range than CloudWatch expects from the two weeks before. It learns by itself, and needs some days.
resource "aws_cloudwatch_metric_alarm" "out_of_range" {
  alarm_name          = "${var.name}-readings-out-of-range"
  alarm_description   = "More readings are out of range than is usual at this hour. The table and the function's log say which devices."
  comparison_operator = "GreaterThanUpperThreshold"
  threshold_metric_id = "usual"
  evaluation_periods  = 3
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_topics
  ok_actions          = var.alarm_topics

  metric_query {
    id          = "usual"
    expression  = "ANOMALY_DETECTION_BAND(readings, 3)"
    label       = "Usual"
    return_data = true
  }

  metric_query {
    id          = "readings"
    return_data = true

    metric {
      namespace   = var.name
      metric_name = "ReadingsOutOfRange"
      dimensions  = { FunctionName = aws_lambda_function.main.function_name }
      period      = 300
      stat        = "Sum"
    }
  }
}
