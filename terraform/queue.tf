# The queues of what could not be done. Both keep it as long as SQS can, for somebody to look at and send again.

locals {
  fourteen_days = 14 * 24 * 60 * 60
}

# The bridge's dead letters; `mqtt-lambda-bridge redrive` takes them from here.
resource "aws_sqs_queue" "failures" {
  name                       = "${var.name}-failures"
  message_retention_seconds  = local.fourteen_days
  visibility_timeout_seconds = 30
  sqs_managed_sse_enabled    = true # With a key in KMS the bridge would need rights to it beside sqs:SendMessage.
}

# Events of asynchronous invocations that Lambda has given up. Not letters, so they have a queue of their own.
resource "aws_sqs_queue" "function_failures" {
  name                      = "${var.name}-function-failures"
  message_retention_seconds = local.fourteen_days
  sqs_managed_sse_enabled   = true
}

# Nobody without TLS, whatever a role may say; an emulator has none.
resource "aws_sqs_queue_policy" "only_tls" {
  for_each = {
    for name, queue in { failures = aws_sqs_queue.failures, function_failures = aws_sqs_queue.function_failures } :
    name => queue if !var.emulator
  }
  queue_url = each.value.url
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "OnlyTls"
      Effect    = "Deny"
      Principal = "*"
      Action    = "sqs:SendMessage"
      Resource  = each.value.arn
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
  })
}
