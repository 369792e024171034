# What must hold of a queue, checked against a provider that makes nothing.

mock_provider "aws" {
  source = "../../tests/mocks"
}

variables {
  name = "plant-7-failures"
}

run "it_keeps_what_failed_encrypted_and_as_long_as_it_can" {
  assert {
    condition     = output.name == "plant-7-failures" && aws_sqs_queue.main.sqs_managed_sse_enabled && aws_sqs_queue.main.message_retention_seconds == 1209600
    error_message = "another name, not encrypted, or deleted sooner than it must be"
  }
}

run "it_takes_nothing_without_tls" {
  assert {
    condition = [for statement in jsondecode(aws_sqs_queue_policy.only_tls[0].policy).Statement :
      "${statement.Effect} ${statement.Principal} ${statement.Action} ${statement.Condition.Bool["aws:SecureTransport"]}"
    ] == ["Deny * sqs:SendMessage false"]
    error_message = "a letter may go unencrypted"
  }
}

run "an_emulator_has_no_tls" {
  variables {
    emulator = true
  }
  assert {
    condition     = length(aws_sqs_queue_policy.only_tls) == 0
    error_message = "nothing could be written in an emulator"
  }
}
