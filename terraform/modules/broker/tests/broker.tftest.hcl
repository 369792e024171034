# What must hold of the broker, checked against a provider that makes nothing.

mock_provider "aws" {
  source = "../../tests/mocks"
}

variables {
  name         = "plant-7"
  network      = { vpc_id = "vpc-1", subnet_ids = ["subnet-1", "subnet-2"], public_addresses = true }
  alarm_topics = ["arn:aws:sns:eu-central-1:123456789012:alarms"]
}

run "nothing_comes_in_but_mqtt_over_tls" {
  variables {
    allowed_cidrs = ["198.51.100.0/24"]
  }
  assert {
    condition     = [for rule in aws_vpc_security_group_ingress_rule.devices : "${rule.cidr_ipv4} ${rule.from_port}-${rule.to_port}"] == ["198.51.100.0/24 8883-8883"]
    error_message = "devices are let in from elsewhere, or to another port"
  }
  assert {
    condition     = toset([for rule in aws_vpc_security_group_egress_rule.out : rule.to_port]) == toset([80, 443])
    error_message = "it may go elsewhere than to Debian and AWS"
  }
  assert {
    condition     = length(aws_vpc_security_group_egress_rule.dns) == 0
    error_message = "it may ask name servers that nobody named"
  }
}

run "name_servers_of_the_network_are_reached" {
  variables {
    network = { vpc_id = "vpc-1", subnet_ids = ["subnet-1"], public_addresses = true, dns_cidrs = ["10.0.0.2/32"] }
  }
  assert {
    condition     = toset([for rule in aws_vpc_security_group_egress_rule.dns : "${rule.ip_protocol} ${rule.from_port}-${rule.to_port} ${rule.cidr_ipv4}"]) == toset(["udp 53-53 10.0.0.2/32", "tcp 53-53 10.0.0.2/32"])
    error_message = "neither Debian nor AWS can be resolved"
  }
}

run "name_servers_by_name" {
  command = plan
  variables {
    network = { vpc_id = "vpc-1", subnet_ids = ["subnet-1"], public_addresses = true, dns_cidrs = ["dns.example"] }
  }
  expect_failures = [var.network]
}

run "devices_have_the_access_list_that_is_given" {
  variables {
    devices_acl = "user C-Client-01\ntopic write sensor/data"
  }
  assert {
    condition     = strcontains(aws_instance.broker.user_data, "user C-Client-01\ntopic write sensor/data\nCONF") && !strcontains(aws_instance.broker.user_data, "pattern write")
    error_message = "the list of the module is used, or both are"
  }
}

run "without_one_they_have_that_of_the_module" {
  assert {
    condition     = strcontains(aws_instance.broker.user_data, "pattern write devices/%u/data\n")
    error_message = "devices have no access list"
  }
}

run "it_is_encrypted_and_its_role_is_its_own" {
  assert {
    condition     = aws_ebs_volume.broker.encrypted && aws_instance.broker.root_block_device[0].encrypted && aws_instance.broker.metadata_options[0].http_tokens == "required"
    error_message = "a disk is not encrypted, or the role can be had without a token"
  }
  # The log streams are below one group; Systems Manager's actions know no resources.
  assert {
    condition = alltrue(flatten([for statement in jsondecode(aws_iam_role_policy.broker.policy).Statement : concat(
      [for action in flatten([statement.Action]) : !strcontains(action, "*")],
      [for resource in flatten([statement.Resource]) :
        !strcontains(trimsuffix(resource, ":log-stream:*"), "*") || alltrue([for action in flatten([statement.Action]) : startswith(action, "ssm")])
      ],
    )]))
    error_message = "an action or a resource has a wildcard"
  }
  assert {
    condition     = !anytrue([for statement in jsondecode(aws_iam_role_policy.broker.policy).Statement : contains(flatten([statement.Action]), "ssm:GetParameter")])
    error_message = "a session may read parameters"
  }
}

run "replacing_it_is_never_refused_and_the_disk_leaves_a_snapshot" {
  assert {
    condition     = aws_instance.broker.disable_api_termination != true
    error_message = "a provider that takes protection seriously refuses -replace"
  }
  assert {
    condition     = aws_ebs_volume.broker.final_snapshot && aws_secretsmanager_secret.tls.recovery_window_in_days == 30
    error_message = "what the broker has promised goes with it"
  }
}

run "everything_can_be_removed" {
  variables {
    deletion_protection = false
  }
  assert {
    condition     = !aws_ebs_volume.broker.final_snapshot && aws_secretsmanager_secret.tls.recovery_window_in_days == 0
    error_message = "something stays"
  }
}

run "its_log_goes_to_cloudwatch" {
  assert {
    condition     = strcontains(aws_instance.broker.user_data, "\"log_group_name\": \"/ec2/plant-7-broker\"") && aws_cloudwatch_log_group.broker.name == "/ec2/plant-7-broker"
    error_message = "the log goes elsewhere"
  }
  assert {
    condition     = strcontains(aws_instance.broker.user_data, "resize2fs") && strcontains(aws_instance.broker.user_data, "$${MOSQUITTO_TLS:-") && length(aws_instance.broker.user_data) < 16384
    error_message = "a larger disk is not taken up, a shell's variable was taken for Terraform's, or the script is longer than EC2 allows"
  }
}

run "every_alarm_is_there_and_is_heard" {
  assert {
    condition     = toset(keys(aws_cloudwatch_metric_alarm.alarm)) == toset(["broker-down", "broker-credits"]) && alltrue([for alarm in aws_cloudwatch_metric_alarm.alarm : alarm.alarm_actions == toset(var.alarm_topics)])
    error_message = "an alarm is missing, or nobody hears it"
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.alarm["broker-credits"].period == 300 && aws_cloudwatch_metric_alarm.alarm["broker-down"].treat_missing_data == "breaching"
    error_message = "an alarm looks more often than its metric is counted, or a machine that is gone is no trouble"
  }
}

run "a_subnet_that_is_not_there" {
  command = plan
  variables {
    subnet = 2
  }
  expect_failures = [var.subnet]
}

run "an_address_that_is_none" {
  command = plan
  variables {
    allowed_cidrs = ["everywhere"]
  }
  expect_failures = [var.allowed_cidrs]
}
