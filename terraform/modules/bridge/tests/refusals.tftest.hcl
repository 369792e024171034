# What a plan refuses before anything is made.

mock_provider "aws" {
  source = "../../tests/mocks"
}

variables {
  name          = "plant-7"
  functions     = { a = { arn = "arn:aws:lambda:eu-central-1:123456789012:function:a", reserved_concurrency = 100 }, b = { arn = "arn:aws:lambda:eu-central-1:123456789012:function:b" } }
  mappings_file = "tests/mappings/several.toml.tftpl"
  broker        = { urls = ["mqtts://broker.example"] }
  image         = { reference = "ghcr.io/example/bridge:0.1.0" }
  network       = { vpc_id = "vpc-1", subnet_ids = ["subnet-1"], public_addresses = true }
}

run "all_filters_of_lists_are_seen" {
  command = plan
  variables {
    replicas = { count = 2 }
  }
  assert {
    condition     = local.topic_filters == ["$share/bridge/a/+", "$share/bridge/b/#", "$share/bridge/c", "$share/bridge/d"]
    error_message = "a topic filter is not seen, or is seen where there is none"
  }
  # 30 and 20, twice; the default of 64, twice.
  assert {
    condition     = local.at_once == { a = 100, b = 128 }
    error_message = "the concurrency of the mappings is not seen"
  }
}

run "more_at_once_than_is_reserved" {
  command = plan
  variables {
    replicas = { count = 3 }
  }
  expect_failures = [aws_ecs_task_definition.bridge]
}

run "several_replicas_need_shared_subscriptions_in_lists_too" {
  command = plan
  variables {
    mappings_file = "tests/mappings/half-shared.toml.tftpl"
    functions     = { a = { arn = "arn:aws:lambda:eu-central-1:123456789012:function:a" } }
    replicas      = { count = 2 }
  }
  expect_failures = [aws_ecs_task_definition.bridge]
}

run "one_replica_does_not" {
  command = plan
  variables {
    mappings_file = "tests/mappings/half-shared.toml.tftpl"
  }
}

run "mappings_without_a_filter" {
  command = plan
  variables {
    mappings_file = "tests/mappings/none.toml.tftpl"
  }
  expect_failures = [aws_ecs_task_definition.bridge]
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
    broker = { urls = ["mqtts://one.example", "mqtt://two.example"] }
  }
  expect_failures = [var.broker]
}

run "a_broker_by_an_address_of_ipv6" {
  command = plan
  variables {
    broker = { urls = ["mqtts://[2001:db8::1]:8883"] }
  }
  expect_failures = [var.broker]
}

run "a_broker_with_a_password_in_its_url" {
  command = plan
  variables {
    broker = { urls = ["mqtts://me:secret@broker.example"] }
  }
  expect_failures = [var.broker]
}

run "a_drain_that_fargate_would_cut" {
  command = plan
  variables {
    drain_timeout_seconds = 111
  }
  expect_failures = [var.drain_timeout_seconds]
}

run "a_certificate_without_its_key" {
  command = plan
  variables {
    secret_files = ["ca.crt", "bridge.crt"]
  }
  expect_failures = [var.secret_files]
}

run "a_size_that_fargate_lacks" {
  command = plan
  variables {
    size = { cpu = 256, memory = 4096 }
  }
  expect_failures = [var.size]
}

run "an_image_without_a_tag" {
  command = plan
  variables {
    image = { reference = "ghcr.io/example/bridge" }
  }
  expect_failures = [var.image]
}

run "a_replica_that_retires_below_one_that_stays" {
  command = plan
  variables {
    replicas = { count = 2, retiring = [0] }
  }
  expect_failures = [var.replicas]
}

run "a_replica_that_retires_and_is_not_there" {
  command = plan
  variables {
    replicas = { count = 2, retiring = [2] }
  }
  expect_failures = [var.replicas]
}

run "a_name_that_aws_refuses" {
  command = plan
  variables {
    name = "Plant_7"
  }
  expect_failures = [var.name]
}

run "name_servers_by_name" {
  command = plan
  variables {
    network = { vpc_id = "vpc-1", subnet_ids = ["subnet-1"], public_addresses = true, dns_cidrs = ["dns.example"] }
  }
  expect_failures = [var.network]
}
