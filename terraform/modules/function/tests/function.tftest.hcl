# What must hold of the function, checked against a provider that makes nothing.

mock_provider "aws" {
  source = "../../tests/mocks"
}

variables {
  name         = "plant-7"
  zip          = "function.zip"
  alarm_topics = ["arn:aws:sns:eu-central-1:123456789012:alarms"]
}

run "no_right_has_a_wildcard" {
  # The log streams are below one group, and X-Ray's two actions know no resources.
  assert {
    condition = alltrue(flatten([for statement in jsondecode(aws_iam_role_policy.function.policy).Statement : concat(
      [for action in flatten([statement.Action]) : !strcontains(action, "*")],
      [for resource in flatten([statement.Resource]) :
        !strcontains(trimsuffix(resource, ":log-stream:*"), "*") || join(",", flatten([statement.Action])) == "xray:PutTraceSegments,xray:PutTelemetryRecords"
      ],
    )]))
    error_message = "an action or a resource has a wildcard"
  }
  assert {
    condition     = [for statement in jsondecode(aws_iam_role.function.assume_role_policy).Statement : statement.Principal.Service] == ["lambda.amazonaws.com"]
    error_message = "the role may be taken by somebody else than Lambda"
  }
}

run "the_table_is_what_the_function_writes_to" {
  variables {
    readings = { ttl = "36h", temperature_min = -5, temperature_max = 30.5 }
  }
  assert {
    condition     = aws_dynamodb_table.readings.hash_key == "device_id" && aws_dynamodb_table.readings.range_key == "sk" && aws_dynamodb_table.readings.ttl[0].attribute_name == "expires_at" && aws_dynamodb_table.readings.ttl[0].enabled
    error_message = "the keys or the TTL attribute are not those of the function"
  }
  assert {
    condition     = aws_dynamodb_table.readings.billing_mode == "PAY_PER_REQUEST" && aws_dynamodb_table.readings.point_in_time_recovery[0].enabled && aws_dynamodb_table.readings.deletion_protection_enabled && aws_dynamodb_table.readings.server_side_encryption[0].enabled
    error_message = "the table is not on demand, or without point-in-time recovery, protection or encryption"
  }
  assert {
    condition = aws_lambda_function.main.environment[0].variables == tomap({
      READINGS_TABLE    = "plant-7-readings"
      READINGS_TTL      = "36h"
      DEVICE_TOPICS     = "devices/{device_id}/#"
      TEMPERATURE_MIN   = "-5"
      TEMPERATURE_MAX   = "30.5"
      METRICS_NAMESPACE = "plant-7"
    })
    error_message = "the function's variables are not its contract"
  }
}

run "it_is_arm64_logged_and_has_a_dead_letter_queue" {
  assert {
    condition     = aws_lambda_function.main.runtime == "provided.al2023" && aws_lambda_function.main.architectures == tolist(["arm64"]) && aws_lambda_function.main.reserved_concurrent_executions == 100
    error_message = "not provided.al2023 on arm64, or without the reserved concurrency"
  }
  assert {
    condition     = aws_lambda_alias.live.name == "live" && aws_lambda_alias.live.function_version == "7" && aws_lambda_function.main.publish
    error_message = "the alias does not begin at the published version"
  }
  assert {
    condition     = aws_lambda_function.main.tracing_config[0].mode == "PassThrough"
    error_message = "traces are paid for that nobody asked for"
  }
  assert {
    condition     = aws_cloudwatch_log_group.function.retention_in_days == 30 && aws_cloudwatch_log_group.function.name == "/aws/lambda/plant-7-sensor-handler"
    error_message = "the log is kept for ever, or elsewhere"
  }
  assert {
    condition     = aws_lambda_function.main.dead_letter_config[0].target_arn == module.failures.arn
    error_message = "no dead-letter queue"
  }
}

run "every_alarm_is_there_and_is_heard" {
  assert {
    condition     = toset(keys(aws_cloudwatch_metric_alarm.alarm)) == toset(["function-errors", "function-throttles", "function-dead-letters"])
    error_message = "an alarm is missing, or one is new"
  }
  assert {
    condition     = alltrue([for alarm in concat(values(aws_cloudwatch_metric_alarm.alarm), [aws_cloudwatch_metric_alarm.table_throttles, aws_cloudwatch_metric_alarm.out_of_range]) : alarm.alarm_actions == toset(["arn:aws:sns:eu-central-1:123456789012:alarms"])])
    error_message = "nobody hears an alarm"
  }
  assert {
    condition     = [for query in aws_cloudwatch_metric_alarm.table_throttles.metric_query : query.expression if query.return_data == true] == ["FILL(throttles, 0)"]
    error_message = "the alarm of the table never returns to OK"
  }
  # The metric that lambda-handler/src/metrics.rs writes.
  assert {
    condition = [for query in aws_cloudwatch_metric_alarm.out_of_range.metric_query : [for metric in query.metric : "${metric.namespace} ${metric.metric_name} ${jsonencode(metric.dimensions)}"] if query.id == "readings"] == [
      ["plant-7 ReadingsOutOfRange {\"FunctionName\":\"plant-7-sensor-handler\"}"]
    ]
    error_message = "the band is around a metric that the function does not write"
  }
  assert {
    condition     = [for query in aws_cloudwatch_metric_alarm.out_of_range.metric_query : query.expression if query.id == "usual"] == ["ANOMALY_DETECTION_BAND(readings, 3)"] && aws_cloudwatch_metric_alarm.out_of_range.threshold_metric_id == "usual"
    error_message = "no band"
  }
}

run "device_topics_without_a_device" {
  command = plan
  variables {
    readings = { device_topics = "devices/{device_id}/data devices/+/data" }
  }
  expect_failures = [var.readings]
}

run "a_concurrency_that_throttles_everything" {
  command = plan
  variables {
    reserved_concurrency = 0
  }
  expect_failures = [var.reserved_concurrency]
}

run "a_range_that_is_none" {
  command = plan
  variables {
    readings = { temperature_min = 60, temperature_max = 60 }
  }
  expect_failures = [var.readings]
}

# The function ends at its start with any of these, and nothing would say so before the next deployment.
run "readings_that_the_function_refuses_are_refused_first" {
  command = plan
  variables {
    readings = { ttl = "23h" }
  }
  expect_failures = [var.readings]
}

run "a_temperature_that_no_reading_reaches" {
  command = plan
  variables {
    readings = { temperature_max = 126 }
  }
  expect_failures = [var.readings]
}
