# The function: its code, its alias `live`, its role, its log, and where its asynchronous failures go.

resource "aws_lambda_function" "main" {
  #checkov:skip=CKV_AWS_117:It talks to DynamoDB and to nothing in a VPC; inside one it would need endpoints, and start more slowly.
  #checkov:skip=CKV_AWS_173:Its variables are a table's name, topics and two numbers, none a secret; Lambda encrypts them with its own key.
  #checkov:skip=CKV_AWS_50:Traces are a variable; by default nobody pays for them.
  #checkov:skip=CKV_AWS_272:Who may deploy is decided by IAM; signing profiles are worth it where code comes from elsewhere.
  function_name                  = "${var.name}-sensor-handler"
  description                    = "Validates and stores sensor readings that the MQTT bridge hands over"
  role                           = aws_iam_role.function.arn
  runtime                        = "provided.al2023"
  handler                        = "bootstrap"
  architectures                  = [var.architecture]
  filename                       = var.zip
  memory_size                    = var.memory_mb
  timeout                        = var.timeout_seconds
  reserved_concurrent_executions = var.reserved_concurrency
  publish                        = true

  environment {
    variables = {
      READINGS_TABLE    = aws_dynamodb_table.readings.name
      READINGS_TTL      = var.readings.ttl
      DEVICE_TOPICS     = var.readings.device_topics
      TEMPERATURE_MIN   = tostring(var.readings.temperature_min)
      TEMPERATURE_MAX   = tostring(var.readings.temperature_max)
      METRICS_NAMESPACE = var.name
    }
  }

  # The bridge invokes synchronously, and keeps what fails in its own queue. This is for everybody who does not.
  dead_letter_config {
    target_arn = module.failures.arn
  }

  logging_config {
    log_format = "Text" # The function writes its own lines; metrics in the embedded format need them as they are.
    log_group  = aws_cloudwatch_log_group.function.name
  }

  tracing_config {
    mode = var.tracing
  }

  lifecycle {
    # Code goes its own way: `cargo lambda deploy --alias live`, in seconds and with a way back.
    ignore_changes = [filename]
  }

  # Without the policy the first version could start before it may write its log.
  depends_on = [aws_iam_role_policy.function]
}

# Whoever deploys moves it, forward or back, and no `apply` moves it again: one that is about something else would undo a
# rollback. So a setting that changes here is in a new version that nobody invokes yet; the check below says so.
resource "aws_lambda_alias" "live" {
  name             = "live"
  description      = "What the bridge invokes"
  function_name    = aws_lambda_function.main.function_name
  function_version = aws_lambda_function.main.version

  lifecycle {
    ignore_changes = [function_version]
  }
}

check "the_alias_is_at_the_newest_version" {
  assert {
    condition     = aws_lambda_alias.live.function_version == aws_lambda_function.main.version
    error_message = "The alias `live` is at version ${aws_lambda_alias.live.function_version}, and the newest is ${aws_lambda_function.main.version}. If that is no rollback, deploy, or move the alias: aws lambda update-alias --function-name ${aws_lambda_function.main.function_name} --name live --function-version ${aws_lambda_function.main.version}"
  }
}

resource "aws_cloudwatch_log_group" "function" {
  #checkov:skip=CKV_AWS_158:Encrypted by CloudWatch Logs' own key. A key of one's own would stop nobody who may read the group, for they may use it too.
  #checkov:skip=CKV_AWS_338:How long is a variable; sensor logs for a year cost more than they tell.
  name              = "/aws/lambda/${var.name}-sensor-handler"
  retention_in_days = var.log_retention_days
}

resource "aws_iam_role" "function" {
  name = "${var.name}-function"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "lambda.amazonaws.com" }
    }]
  })
}

resource "aws_iam_role_policy" "function" {
  name = "function"
  role = aws_iam_role.function.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "StoreReadings"
        Effect   = "Allow"
        Action   = ["dynamodb:BatchWriteItem", "dynamodb:PutItem"]
        Resource = aws_dynamodb_table.readings.arn
      },
      {
        Sid      = "KeepAsynchronousFailures"
        Effect   = "Allow"
        Action   = "sqs:SendMessage"
        Resource = module.failures.arn
      },
      {
        Sid      = "Log"
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = "${aws_cloudwatch_log_group.function.arn}:log-stream:*"
      },
      {
        Sid      = "Trace" # Actions that know no resources.
        Effect   = "Allow"
        Action   = ["xray:PutTraceSegments", "xray:PutTelemetryRecords"]
        Resource = "*"
      },
    ]
  })
}

# Events of asynchronous invocations that Lambda has given up. Not dead letters of the bridge, so they have a queue of their own.
module "failures" {
  source   = "../queue"
  name     = "${var.name}-function-failures"
  emulator = var.emulator
}
