# The bucket behind the failure queue, and the last link of the chain: it takes every letter, also one above 256 KiB (the limit that
# the provider gives the queue), which no queue ever takes, and those of a time without the queue.
# `mqtt-lambda-bridge redrive --from s3://…` takes them from here.

locals {
  letters_prefix = "dead-letters/"
}

resource "aws_s3_bucket" "failures" {
  #checkov:skip=CKV_AWS_18:Who writes here is the bridge alone, and its log has a line for each letter.
  #checkov:skip=CKV_AWS_21:Each letter is an object of its own, which no other letter overwrites; what redrive deletes is done.
  #checkov:skip=CKV_AWS_144:Letters are read and sent again in the region of their function.
  #checkov:skip=CKV_AWS_145:Encrypted with S3's own key; with one in KMS the bridge would need rights to it beside s3:PutObject.
  #checkov:skip=CKV2_AWS_62:Nothing is to happen when a letter comes but the alarm.
  bucket_prefix = "${var.name}-failures-"
  force_destroy = !var.deletion_protection
}

resource "aws_s3_bucket_public_access_block" "failures" {
  bucket                  = aws_s3_bucket.failures.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_server_side_encryption_configuration" "failures" {
  bucket = aws_s3_bucket.failures.id
  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

# A letter stays until somebody has sent it again.
resource "aws_s3_bucket_lifecycle_configuration" "failures" {
  bucket = aws_s3_bucket.failures.id
  rule {
    id     = "half-uploads"
    status = "Enabled"
    filter {}
    abort_incomplete_multipart_upload {
      days_after_initiation = 1
    }
  }
}

# Nobody without TLS, whatever a role may say; an emulator has none.
resource "aws_s3_bucket_policy" "only_tls" {
  count  = var.emulator ? 0 : 1
  bucket = aws_s3_bucket.failures.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "OnlyTls"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:*"
      Resource  = [aws_s3_bucket.failures.arn, "${aws_s3_bucket.failures.arn}/*"]
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
  })
}
