output "alias_arn" {
  description = "What the bridge invokes: the alias `live`."
  value       = aws_lambda_alias.live.arn
}

output "function_name" {
  description = "For `cargo lambda deploy` and `aws lambda invoke`."
  value       = aws_lambda_function.main.function_name
}

output "role_arn" {
  description = "The role that the function runs as."
  value       = aws_iam_role.function.arn
}

output "reserved_concurrency" {
  description = "The most executions at once; null for the account's limit."
  value       = var.reserved_concurrency == -1 ? null : var.reserved_concurrency
}

output "timeout_seconds" {
  description = "How long an invocation may take."
  value       = var.timeout_seconds
}

output "table_name" {
  description = "Where the readings are."
  value       = aws_dynamodb_table.readings.name
}

output "panels" {
  description = "For a dashboard: title, and lines of namespace, metric, statistic and dimensions."
  value = [
    { title = "Invocations", lines = [for metric in ["Invocations", "Errors", "Throttles"] :
      { namespace = "AWS/Lambda", metric = metric, statistic = "Sum", dimensions = { FunctionName = aws_lambda_function.main.function_name } }
    ] },
    { title = "Duration of an invocation, ms", lines = [for statistic in ["p50", "p99"] :
      { namespace = "AWS/Lambda", metric = "Duration", statistic = statistic, dimensions = { FunctionName = aws_lambda_function.main.function_name } }
    ] },
    { title = "Executions at once", lines = [
      { namespace = "AWS/Lambda", metric = "ConcurrentExecutions", statistic = "Maximum", dimensions = { FunctionName = aws_lambda_function.main.function_name } }
    ] },
    { title = "Readings out of range", lines = [
      { namespace = var.name, metric = "ReadingsOutOfRange", statistic = "Sum", dimensions = { FunctionName = aws_lambda_function.main.function_name } }
    ] },
    { title = "Written to the table, units", lines = [for metric in ["ConsumedWriteCapacityUnits", "WriteThrottleEvents"] :
      { namespace = "AWS/DynamoDB", metric = metric, statistic = "Sum", dimensions = { TableName = aws_dynamodb_table.readings.name } }
    ] },
  ]
}
