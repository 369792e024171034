# The function: its code, its alias `live`, its role, its log, and where its asynchronous failures go.

locals {
  function_name = "${var.name}-sensor-handler"
}

resource "aws_lambda_function" "sensor_handler" {
  #checkov:skip=CKV_AWS_117:It talks to DynamoDB and to nothing in a VPC; inside one it would need endpoints, and start more slowly.
  #checkov:skip=CKV_AWS_173:Its variables are a table's name, topics and two numbers, none a secret; Lambda encrypts them with its own key.
  #checkov:skip=CKV_AWS_272:Who may deploy is decided by IAM; signing profiles are worth it where code comes from elsewhere.
  function_name                  = local.function_name
  description                    = "Validates and stores sensor readings that the MQTT bridge hands over"
  role                           = aws_iam_role.function.arn
  runtime                        = "provided.al2023"
  handler                        = "bootstrap"
  architectures                  = [var.architecture]
  filename                       = var.function_zip
  memory_size                    = var.function_memory_mb
  timeout                        = var.function_timeout_seconds
  reserved_concurrent_executions = var.function_reserved_concurrency
  publish                        = true

  environment {
    variables = {
      READINGS_TABLE    = aws_dynamodb_table.readings.name
      READINGS_TTL      = var.readings_ttl
      DEVICE_TOPICS     = var.device_topics
      TEMPERATURE_MIN   = tostring(var.temperature_range.min)
      TEMPERATURE_MAX   = tostring(var.temperature_range.max)
      METRICS_NAMESPACE = var.name
    }
  }

  # The bridge invokes synchronously, and keeps what fails in its own queue. This is for everybody who does not.
  dead_letter_config {
    target_arn = aws_sqs_queue.function_failures.arn
  }

  logging_config {
    log_format = "Text" # The function writes its own lines; metrics in the embedded format need them as they are.
    log_group  = aws_cloudwatch_log_group.function.name
  }

  tracing_config {
    mode = var.function_tracing
  }

  lifecycle {
    # Code goes its own way: `cargo lambda deploy --alias live`, in seconds and with a way back.
    ignore_changes = [filename]
  }

  # Without the policy the first version could start before it may write its log.
  depends_on = [aws_iam_role_policy.function]
}

# Follows the latest version, which cargo lambda or a change above has published.
resource "aws_lambda_alias" "live" {
  name             = "live"
  description      = "What the bridge invokes"
  function_name    = aws_lambda_function.sensor_handler.function_name
  function_version = aws_lambda_function.sensor_handler.version
}

resource "aws_cloudwatch_log_group" "function" {
  #checkov:skip=CKV_AWS_158:Encrypted by CloudWatch Logs' own key. A key of one's own would stop nobody who may read the group, for they may use it too.
  #checkov:skip=CKV_AWS_338:How long is a variable; sensor logs for a year cost more than they tell.
  name              = "/aws/lambda/${local.function_name}"
  retention_in_days = var.log_retention_days
}

resource "aws_iam_role" "function" {
  name               = "${var.name}-function"
  assume_role_policy = local.assumed_by["lambda"]
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
        Resource = aws_sqs_queue.function_failures.arn
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

locals {
  # Who may take a role.
  assumed_by = { for service in ["lambda", "ecs-tasks", "ec2"] : service => jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "${service}.amazonaws.com" }
    }]
  }) }
}
