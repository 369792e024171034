# The table of readings: one item a reading, and one with the latest of each device.

resource "aws_dynamodb_table" "readings" {
  #checkov:skip=CKV_AWS_119:Encrypted with the account's key for DynamoDB; a key of one's own is one line here where a rule asks for it, and more rights for the function.
  name                        = "${var.name}-readings"
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "device_id"
  range_key                   = "sk"
  deletion_protection_enabled = var.deletion_protection

  attribute {
    name = "device_id"
    type = "S"
  }

  attribute {
    name = "sk"
    type = "S"
  }

  ttl {
    attribute_name = "expires_at"
    enabled        = true
  }

  point_in_time_recovery {
    enabled = true
  }

  server_side_encryption {
    enabled = true # With the account's key for DynamoDB, so that CloudTrail shows its use.
  }
}
