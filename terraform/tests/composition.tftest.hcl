# What must hold of the parts together; what holds of each is tested in its module.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  bridge_version = "0.1.0"
}

run "the_parts_know_each_other" {
  assert {
    condition     = strcontains(output.bridge_config, "\nurl = [\"mqtts://broker.mqtt-lambda.internal:8884\"]\n") && strcontains(output.bridge_config, "\ndropped_topic = \"$SYS/broker/publish/messages/dropped\"\n")
    error_message = "the bridge does not know the broker that is made here"
  }
  assert {
    condition     = length(regexall("\nfunction = \"arn:aws:lambda:eu-central-1:123456789012:function:mqtt-lambda-sensor-handler:live\"\n", output.bridge_config)) == 2
    error_message = "a mapping invokes something else than the alias"
  }
  assert {
    condition     = aws_vpc_security_group_ingress_rule.bridge_to_broker[0].from_port == 8884 && aws_vpc_security_group_ingress_rule.bridge_to_broker[0].to_port == 8884
    error_message = "the bridge is let in to another port"
  }
  assert {
    condition     = output.bridge_services == tolist(["mqtt-lambda-bridge-0"]) && output.bridge_cluster == "mqtt-lambda"
    error_message = "the bridge does not run where docs/deploy.md looks for it"
  }
  assert {
    condition     = aws_ecr_repository.bridge[0].image_tag_mutability == "IMMUTABLE"
    error_message = "a tag may change its image"
  }
  # Two mappings, of 64 and 32.
  assert {
    condition     = module.bridge.executions == { sensor = { at_once = 96, reserved = 100 } }
    error_message = "nobody sees whether the function can take what the bridge asks for"
  }
  assert {
    condition     = length(jsondecode(aws_cloudwatch_dashboard.main.dashboard_body).widgets) == 10
    error_message = "the dashboard lacks a panel"
  }
}

run "names_begin_with_the_name" {
  variables {
    name = "plant-7"
  }
  assert {
    condition = alltrue([for name in concat(output.bridge_services, [
      output.function_name, output.table_name, output.bridge_secret_name, output.bridge_role_name, output.broker_secret_name, aws_sns_topic.alarms.name,
      aws_ecr_repository.bridge[0].name, aws_cloudwatch_dashboard.main.dashboard_name,
    ]) : startswith(name, "plant-7")]) && output.broker_name == "broker.plant-7.internal"
    error_message = "two installations would fight over a name"
  }
}

run "somebody_hears_the_alarms" {
  variables {
    alarm_email = "someone@example.com"
  }
  assert {
    condition     = aws_sns_topic_subscription.mail[0].endpoint == "someone@example.com"
    error_message = "nobody hears an alarm"
  }
}

run "a_broker_of_your_own_makes_none" {
  variables {
    broker  = { url = "mqtts://broker.example:18883" }
    network = { vpc_id = "vpc-1", subnet_ids = ["subnet-1"], public_addresses = false }
  }
  assert {
    condition     = output.broker_name == null && length(aws_vpc_security_group_ingress_rule.bridge_to_broker) == 0 && length(module.network) == 0
    error_message = "a broker or a network is made all the same"
  }
  assert {
    condition     = strcontains(output.bridge_config, "\nurl = [\"mqtts://broker.example:18883\"]\n") && !strcontains(output.bridge_config, "dropped_topic")
    error_message = "the bridge is told another broker, or asks one that is not known for a count"
  }
}

run "before_an_image_is_there_all_else_is_made" {
  variables {
    bridge_version = null
  }
  assert {
    condition     = length(output.bridge_services) == 0 && length(aws_ecr_repository.bridge) == 1 && output.broker_name != null && length(aws_vpc_security_group_ingress_rule.bridge_to_broker) == 0
    error_message = "the first step makes too much or too little"
  }
}

run "an_emulator_is_not_asked_for_machines" {
  variables {
    emulator       = true
    bridge_version = null
    broker         = { url = "mqtts://localhost:8883" }
  }
  assert {
    condition     = length(output.bridge_services) == 0 && output.bridge_cluster == null && length(aws_ecr_repository.bridge) == 0 && length(module.network) == 0
    error_message = "an emulator is asked for what few have"
  }
}

run "an_emulator_that_has_machines_gets_everything" {
  variables {
    emulator = true
  }
  assert {
    condition     = length(output.bridge_services) == 1 && length(aws_ecr_repository.bridge) == 1 && length(module.network) == 1 && output.broker_name != null
    error_message = "something is left out that was asked for"
  }
}

run "a_drain_shorter_than_the_function" {
  command = plan
  variables {
    bridge = { drain_timeout_seconds = 25 }
  }
  expect_failures = [var.bridge]
}

run "a_function_that_runs_for_longer_than_the_bridge_waits" {
  command = plan
  variables {
    function = { timeout_seconds = 30 }
  }
  expect_failures = [var.function]
}

run "a_broker_without_tls" {
  command = plan
  variables {
    broker = { url = "mqtt://broker.example" }
  }
  expect_failures = [var.broker]
}

run "an_image_with_its_repository" {
  command = plan
  variables {
    bridge_version = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/bridge:1"
  }
  expect_failures = [var.bridge_version]
}
