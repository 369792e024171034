# What a plan refuses before anything is made.

mock_provider "aws" {
  source = "./tests/mocks"
}

run "several_replicas_need_shared_subscriptions" {
  command = plan
  variables {
    bridge_version  = "0.1.0"
    bridge_replicas = 2
  }
  expect_failures = [aws_ecs_task_definition.bridge]
}

run "one_replica_does_not" {
  command = plan
  variables {
    bridge_version = "0.1.0"
  }
}

run "device_topics_without_a_device" {
  command = plan
  variables {
    device_topics = "devices/{device_id}/data devices/+/data"
  }
  expect_failures = [var.device_topics]
}

run "mappings_that_are_not_there" {
  command = plan
  variables {
    mappings_file = "tests/absent.toml.tftpl"
  }
  expect_failures = [var.mappings_file]
}

run "a_broker_without_tls" {
  command = plan
  variables {
    broker_url = "mqtt://broker.example"
  }
  expect_failures = [var.broker_url]
}

run "an_emulator_without_a_broker" {
  command = plan
  variables {
    emulator = true
  }
  expect_failures = [var.broker_url]
}

run "a_drain_that_fargate_would_cut" {
  command = plan
  variables {
    bridge_drain_timeout_seconds = 111
  }
  expect_failures = [var.bridge_drain_timeout_seconds]
}

run "a_drain_shorter_than_the_function" {
  command = plan
  variables {
    bridge_drain_timeout_seconds = 25
  }
  expect_failures = [var.bridge_drain_timeout_seconds]
}

run "a_certificate_without_its_key" {
  command = plan
  variables {
    bridge_tls_files = ["ca.crt", "bridge.crt"]
  }
  expect_failures = [var.bridge_tls_files]
}

run "a_size_that_fargate_lacks" {
  command = plan
  variables {
    bridge_size = { cpu = 256, memory = 4096 }
  }
  expect_failures = [var.bridge_size]
}

run "a_concurrency_that_throttles_everything" {
  command = plan
  variables {
    function_reserved_concurrency = 0
  }
  expect_failures = [var.function_reserved_concurrency]
}

run "an_image_with_its_repository" {
  command = plan
  variables {
    bridge_version = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/bridge:1"
  }
  expect_failures = [var.bridge_version]
}

run "a_name_that_aws_refuses" {
  command = plan
  variables {
    name = "Plant_7"
  }
  expect_failures = [var.name]
}
