# A queue for what has failed. It keeps it as long as SQS can, for somebody to look at and send again.

resource "aws_sqs_queue" "main" {
  name                       = var.name
  message_retention_seconds  = 14 * 24 * 60 * 60
  visibility_timeout_seconds = 30
  sqs_managed_sse_enabled    = true # With a key in KMS whoever writes would need rights to it beside sqs:SendMessage.
}

# Nobody without TLS, whatever a role may say; an emulator has none.
resource "aws_sqs_queue_policy" "only_tls" {
  count     = var.emulator ? 0 : 1
  queue_url = aws_sqs_queue.main.url
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "OnlyTls"
      Effect    = "Deny"
      Principal = "*"
      Action    = "sqs:SendMessage"
      Resource  = aws_sqs_queue.main.arn
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
  })
}
