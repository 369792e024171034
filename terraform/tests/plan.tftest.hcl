# What must hold of everything that is made, checked against a provider that makes nothing.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  bridge_version  = "0.1.0"
  bridge_replicas = 2
  mappings_file   = "tests/shared.toml.tftpl"
}

run "the_bridge_may_invoke_the_alias_and_keep_letters_and_nothing_else" {
  assert {
    condition = toset([for statement in jsondecode(aws_iam_role_policy.bridge.policy).Statement : join(" ", [statement.Effect, jsonencode(statement.Action), jsonencode(statement.Resource)])]) == toset([
      "Allow \"lambda:InvokeFunction\" \"arn:aws:lambda:eu-central-1:123456789012:function:mqtt-lambda-sensor-handler:live\"",
      "Allow [\"sqs:SendMessage\",\"sqs:GetQueueAttributes\"] \"arn:aws:sqs:eu-central-1:123456789012:mqtt-lambda-failures\"",
      "Allow \"s3:PutObject\" \"arn:aws:s3:::mqtt-lambda-failures-0/dead-letters/*\"",
    ])
    error_message = "the task role has more or less than invoking the alias, sending to the queue, asking for its limit, and putting letters into the bucket"
  }
  assert {
    condition     = alltrue([for task in aws_ecs_task_definition.bridge : task.task_role_arn == aws_iam_role.bridge.arn && task.execution_role_arn == aws_iam_role.bridge_start.arn])
    error_message = "the tasks do not run as the bridge's role"
  }
}

run "no_role_has_a_wildcard" {
  variables {
    broker_allowed_cidrs = ["0.0.0.0/0"]
  }
  assert {
    condition = alltrue(flatten([
      for policy in [aws_iam_role_policy.function.policy, aws_iam_role_policy.bridge.policy, aws_iam_role_policy.bridge_start.policy, aws_iam_role_policy.broker[0].policy] :
      [for statement in jsondecode(policy).Statement : [for action in flatten([statement.Action]) : !strcontains(action, "*")]]
    ]))
    error_message = "an action has a wildcard"
  }
  # These actions know no resources; the log streams are below one group, the letters below one prefix.
  assert {
    condition = alltrue(flatten([
      for policy in [aws_iam_role_policy.function.policy, aws_iam_role_policy.bridge.policy, aws_iam_role_policy.bridge_start.policy, aws_iam_role_policy.broker[0].policy] :
      [for statement in jsondecode(policy).Statement : [for resource in flatten([statement.Resource]) :
        !strcontains(trimsuffix(trimsuffix(resource, ":log-stream:*"), "/dead-letters/*"), "*")
        || length(setsubtract(flatten([statement.Action]), ["ecr:GetAuthorizationToken", "xray:PutTraceSegments", "xray:PutTelemetryRecords"])) == 0
      ]]
    ]))
    error_message = "a resource has a wildcard"
  }
  assert {
    condition = alltrue([
      for role in [aws_iam_role.function, aws_iam_role.bridge, aws_iam_role.bridge_start, aws_iam_role.broker[0]] :
      length(jsondecode(role.assume_role_policy).Statement) == 1 && endswith(jsondecode(role.assume_role_policy).Statement[0].Principal.Service, ".amazonaws.com")
    ])
    error_message = "a role may be taken by somebody else than one service"
  }
}

run "everything_at_rest_is_encrypted" {
  assert {
    condition     = aws_dynamodb_table.readings.server_side_encryption[0].enabled
    error_message = "the table is not encrypted with a key of the account"
  }
  assert {
    condition     = aws_sqs_queue.failures.sqs_managed_sse_enabled && aws_sqs_queue.function_failures.sqs_managed_sse_enabled
    error_message = "a queue is not encrypted"
  }
  assert {
    condition     = alltrue([for rule in aws_s3_bucket_server_side_encryption_configuration.failures.rule : rule.apply_server_side_encryption_by_default[0].sse_algorithm == "AES256"])
    error_message = "the bucket of letters is not encrypted"
  }
  assert {
    condition     = aws_ebs_volume.broker[0].encrypted && aws_instance.broker[0].root_block_device[0].encrypted
    error_message = "a disk of the broker is not encrypted"
  }
  assert {
    condition     = aws_instance.broker[0].metadata_options[0].http_tokens == "required"
    error_message = "the broker's role can be had without a token"
  }
}

run "the_table_is_what_the_function_writes_to" {
  variables {
    readings_ttl      = "12h"
    temperature_range = { min = -5, max = 30.5 }
  }
  assert {
    condition     = aws_dynamodb_table.readings.hash_key == "device_id" && aws_dynamodb_table.readings.range_key == "sk" && aws_dynamodb_table.readings.ttl[0].attribute_name == "expires_at" && aws_dynamodb_table.readings.ttl[0].enabled
    error_message = "the keys or the TTL attribute are not those of the function"
  }
  assert {
    condition     = aws_dynamodb_table.readings.billing_mode == "PAY_PER_REQUEST" && aws_dynamodb_table.readings.point_in_time_recovery[0].enabled && aws_dynamodb_table.readings.deletion_protection_enabled
    error_message = "the table is not on demand, without point-in-time recovery, or without protection"
  }
  assert {
    condition = aws_lambda_function.sensor_handler.environment[0].variables == tomap({
      READINGS_TABLE    = "mqtt-lambda-readings"
      READINGS_TTL      = "12h"
      DEVICE_TOPICS     = "devices/{device_id}/#"
      TEMPERATURE_MIN   = "-5"
      TEMPERATURE_MAX   = "30.5"
      METRICS_NAMESPACE = "mqtt-lambda"
    })
    error_message = "the function's variables are not its contract"
  }
}

run "the_function_is_arm64_traced_logged_and_has_a_dead_letter_queue" {
  assert {
    condition     = aws_lambda_function.sensor_handler.runtime == "provided.al2023" && aws_lambda_function.sensor_handler.architectures == tolist(["arm64"])
    error_message = "not provided.al2023 on arm64"
  }
  assert {
    condition     = aws_lambda_alias.live.name == "live" && aws_lambda_alias.live.function_version == "7" && aws_lambda_function.sensor_handler.publish
    error_message = "the alias does not follow the published version"
  }
  assert {
    condition     = aws_lambda_function.sensor_handler.tracing_config[0].mode == "Active" && aws_lambda_function.sensor_handler.reserved_concurrent_executions == 100
    error_message = "not traced, or without the reserved concurrency"
  }
  assert {
    condition     = aws_cloudwatch_log_group.function.retention_in_days == 30 && aws_cloudwatch_log_group.function.name == "/aws/lambda/mqtt-lambda-sensor-handler"
    error_message = "the function's log is kept for ever, or elsewhere"
  }
  assert {
    condition     = aws_lambda_function.sensor_handler.dead_letter_config[0].target_arn == aws_sqs_queue.function_failures.arn
    error_message = "no dead-letter queue"
  }
}

run "fargate_waits_longer_than_the_bridge_drains" {
  variables {
    bridge_drain_timeout_seconds = 110
  }
  assert {
    condition     = alltrue([for task in aws_ecs_task_definition.bridge : one([for container in jsondecode(task.container_definitions) : container.stopTimeout if container.name == "bridge"]) == 120])
    error_message = "the stop timeout is not ten seconds above the drain timeout, or above what Fargate takes"
  }
  assert {
    condition     = strcontains(output.bridge_config, "drain_timeout = \"110s\"\n")
    error_message = "the bridge is told another drain timeout"
  }
}

run "each_replica_has_its_own_client_id_and_is_never_two" {
  assert {
    condition     = output.bridge_services == tolist(["bridge-0", "bridge-1"])
    error_message = "not a service for each replica"
  }
  assert {
    condition     = alltrue([for service in aws_ecs_service.bridge : service.desired_count == 1 && service.deployment_minimum_healthy_percent == 0 && service.deployment_maximum_percent == 100])
    error_message = "an update may run two bridges with one client id"
  }
  assert {
    condition = [for index in ["0", "1"] : {
      for variable in [for container in jsondecode(aws_ecs_task_definition.bridge[index].container_definitions) : container if container.name == "bridge"][0].environment : variable.name => variable.value
      }["BRIDGE_MQTT_CLIENT_ID"]
    ] == ["bridge-mqtt-lambda-0", "bridge-mqtt-lambda-1"]
    error_message = "the client ids are not stable, or not different"
  }
  assert {
    condition     = alltrue([for service in aws_ecs_service.bridge : service.deployment_circuit_breaker[0].enable && service.deployment_circuit_breaker[0].rollback])
    error_message = "a deployment that fails is not rolled back"
  }
}

run "the_bridge_runs_unprivileged_and_reads_its_secrets_from_files" {
  assert {
    condition     = alltrue(flatten([for task in aws_ecs_task_definition.bridge : [for container in jsondecode(task.container_definitions) : container.readonlyRootFilesystem]]))
    error_message = "a root file system can be written to"
  }
  assert {
    condition = alltrue([for task in aws_ecs_task_definition.bridge : alltrue([for container in jsondecode(task.container_definitions) :
      container.user == "65532:65532" && container.linuxParameters.capabilities.drop == ["ALL"] && container.mountPoints[0].readOnly if container.name == "bridge"
    ])])
    error_message = "the bridge has more rights than it needs"
  }
  assert {
    condition = alltrue([for task in aws_ecs_task_definition.bridge : [for container in jsondecode(task.container_definitions) :
      [container.dependsOn, can(container.secrets)] if container.name == "bridge"
    ] == [[[{ condition = "SUCCESS", containerName = "files" }], false]]])
    error_message = "the bridge has secrets among its variables, or starts before its files are there"
  }
  assert {
    condition = alltrue([for task in aws_ecs_task_definition.bridge :
      [for container in jsondecode(task.container_definitions) : container.secrets if container.name == "files"] == [[{ name = "TLS_FILES", valueFrom = aws_secretsmanager_secret.bridge_tls.arn }]]
    ])
    error_message = "the files are not those of the secret"
  }
  assert {
    condition     = alltrue([for task in aws_ecs_task_definition.bridge : one([for container in jsondecode(task.container_definitions) : container.healthCheck.command if container.name == "bridge"]) == ["CMD", "mqtt-lambda-bridge", "health", "--started"]])
    error_message = "no health check that works without a shell and is about having been ready once"
  }
  assert {
    condition     = aws_ecr_repository.bridge[0].image_tag_mutability == "IMMUTABLE" && alltrue([for task in aws_ecs_task_definition.bridge : task.runtime_platform[0].cpu_architecture == "ARM64"])
    error_message = "a tag may change its image, or the processor is another one"
  }
}

run "names_begin_with_the_name" {
  variables {
    name = "plant-7"
  }
  assert {
    condition = alltrue([for name in [
      aws_lambda_function.sensor_handler.function_name, aws_dynamodb_table.readings.name, aws_sqs_queue.failures.name, aws_sqs_queue.function_failures.name,
      aws_iam_role.function.name, aws_iam_role.bridge.name, aws_iam_role.bridge_start.name, aws_iam_role.broker[0].name, aws_ecr_repository.bridge[0].name,
      aws_ecs_cluster.main[0].name, aws_secretsmanager_secret.bridge_tls.name, aws_secretsmanager_secret.broker_tls[0].name, aws_sns_topic.alarms.name,
      aws_s3_bucket.failures.bucket_prefix, aws_cloudwatch_dashboard.main.dashboard_name, aws_security_group.bridge[0].name, aws_security_group.broker[0].name, output.broker_name == "broker.plant-7.internal" ? "plant-7" : "",
    ] : startswith(name, "plant-7")])
    error_message = "two installations would fight over a name"
  }
}

run "queues_refuse_whoever_comes_without_tls" {
  assert {
    condition = { for name, policy in aws_sqs_queue_policy.only_tls : jsondecode(policy.policy).Statement[0].Resource => jsondecode(policy.policy).Statement[0].Effect } == {
      (aws_sqs_queue.failures.arn)          = "Deny"
      (aws_sqs_queue.function_failures.arn) = "Deny"
    }
    error_message = "a queue takes messages in the clear"
  }
}

run "the_last_link_of_each_chain_takes_every_letter" {
  variables {
    mappings_file   = null
    bridge_replicas = 1
  }
  assert {
    condition     = [for chain in regexall("(?m)^on_failure = .*$", local.mappings) : endswith(chain, ", { s3 = \"s3://mqtt-lambda-failures-0/dead-letters/\" }]")] == [true, true]
    error_message = "a letter above SQS's limit would have no place"
  }
}

run "nobody_outside_sees_a_letter" {
  assert {
    condition     = alltrue([for block in [aws_s3_bucket_public_access_block.failures] : block.block_public_acls && block.block_public_policy && block.ignore_public_acls && block.restrict_public_buckets])
    error_message = "the bucket of letters may be made public"
  }
  assert {
    condition     = [for statement in jsondecode(aws_s3_bucket_policy.only_tls["failures"].policy).Statement : "${statement.Effect} ${jsonencode(statement.Condition)}"] == ["Deny {\"Bool\":{\"aws:SecureTransport\":\"false\"}}"]
    error_message = "the bucket takes letters in the clear"
  }
}

run "nothing_comes_in_but_mqtt_over_tls" {
  variables {
    broker_allowed_cidrs = ["198.51.100.0/24"]
  }
  assert {
    condition     = [for rule in aws_vpc_security_group_ingress_rule.devices_to_broker : "${rule.cidr_ipv4} ${rule.from_port}-${rule.to_port}"] == ["198.51.100.0/24 8883-8883"]
    error_message = "devices are let in from elsewhere, or to another port"
  }
  assert {
    condition     = aws_vpc_security_group_ingress_rule.bridge_to_broker[0].from_port == 8884 && aws_vpc_security_group_ingress_rule.bridge_to_broker[0].to_port == 8884
    error_message = "the bridge is let in to another port"
  }
}

run "what_must_be_told_is_told" {
  variables {
    alarm_email = "someone@example.com"
  }
  assert {
    condition     = length(setsubtract(["dead-letters", "dead-letters-in-bucket", "function-dead-letters", "function-errors", "function-throttles", "bridge-errors", "bridge-not-ready", "bridge-session", "bridge-broker-drops", "bridge-certificates", "bridge-configuration", "bridge-dead-letters-held", "bridge-0-down", "bridge-1-down", "broker-down"], keys(aws_cloudwatch_metric_alarm.alarm))) == 0
    error_message = "an alarm is missing"
  }
  assert {
    condition     = alltrue([for alarm in aws_cloudwatch_metric_alarm.alarm : alarm.alarm_actions == toset([aws_sns_topic.alarms.arn])]) && aws_sns_topic_subscription.mail[0].endpoint == "someone@example.com"
    error_message = "nobody hears an alarm"
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.alarm["bridge-0-down"].treat_missing_data == "breaching" && aws_cloudwatch_metric_alarm.alarm["bridge-0-down"].comparison_operator == "LessThanThreshold" && aws_cloudwatch_metric_alarm.alarm["dead-letters"].threshold == 0
    error_message = "a bridge that is gone, or a dead letter, raises no alarm"
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.alarm["broker-credits"].period == 300 && aws_cloudwatch_metric_alarm.alarm["broker-credits"].evaluation_periods == 3 && aws_cloudwatch_metric_alarm.alarm["bridge-not-ready"].period == 60 && aws_cloudwatch_metric_alarm.alarm["dead-letters"].period == 300 && aws_cloudwatch_metric_alarm.alarm["dead-letters"].evaluation_periods == 1
    error_message = "an alarm looks more often than its metric is counted, and never fires"
  }
  assert {
    condition     = [for query in aws_cloudwatch_metric_alarm.table_throttles.metric_query : query.expression if query.return_data == true] == ["FILL(throttles, 0)"]
    error_message = "the alarm of the table never returns to OK"
  }
  assert {
    condition     = aws_cloudwatch_log_metric_filter.bridge_events["bridge-session"].pattern == "{ ($.event = \"session.lost\") || ($.event = \"session.taken_over\") || ($.event = \"session.expiry_refused\") || ($.event = \"session.left_behind\") || ($.event = \"session.queue_unproven\") }"
    error_message = "the pattern is not one of CloudWatch's"
  }
  assert {
    condition     = aws_cloudwatch_log_metric_filter.bridge_events["bridge-broker-drops"].pattern == "{ ($.event = \"broker.dropped\") }" && strcontains(output.bridge_config, "\ndropped_topic = \"$SYS/broker/publish/messages/dropped\"\n")
    error_message = "what the broker drops raises no alarm, or is not asked for"
  }
  assert {
    condition     = length(jsondecode(aws_cloudwatch_dashboard.main.dashboard_body).widgets) == 8
    error_message = "the dashboard lacks a panel"
  }
}

run "a_broker_of_your_own_makes_none_and_its_port_is_open" {
  variables {
    broker_url       = "mqtts://broker.example:18883"
    bridge_tls_files = ["bridge.key", "bridge.crt"]
  }
  assert {
    condition     = length(aws_instance.broker) == 0 && length(aws_secretsmanager_secret.broker_tls) == 0 && output.broker_name == null
    error_message = "a broker is made all the same"
  }
  assert {
    condition     = aws_vpc_security_group_egress_rule.bridge_to_broker[0].to_port == 18883 && aws_vpc_security_group_egress_rule.bridge_to_broker[0].cidr_ipv4 == "0.0.0.0/0"
    error_message = "the bridge cannot reach its broker"
  }
  assert {
    condition     = strcontains(output.bridge_config, "url = \"mqtts://broker.example:18883\"") && strcontains(output.bridge_config, "tls = { cert_file = \"/run/bridge/bridge.crt\", key_file = \"/run/bridge/bridge.key\" }")
    error_message = "the bridge is told another broker, or other files"
  }
  assert {
    condition     = !strcontains(output.bridge_config, "dropped_topic")
    error_message = "a broker that is not known is asked for a count"
  }
}

run "a_network_of_your_own_is_used" {
  variables {
    network    = { vpc_id = "vpc-1", subnet_ids = ["subnet-1", "subnet-2"], public_addresses = false }
    broker_url = "mqtts://broker.example"
  }
  assert {
    condition     = length(aws_vpc.main) == 0 && aws_security_group.bridge[0].vpc_id == "vpc-1"
    error_message = "a VPC is made all the same"
  }
  assert {
    condition     = alltrue([for service in aws_ecs_service.bridge : service.network_configuration[0].subnets == toset(["subnet-1", "subnet-2"]) && !service.network_configuration[0].assign_public_ip])
    error_message = "the bridge is elsewhere"
  }
  assert {
    condition     = aws_vpc_security_group_egress_rule.bridge_to_broker[0].to_port == 8883
    error_message = "the port is not MQTT's own"
  }
}

run "before_an_image_is_there_all_else_is_made" {
  variables {
    bridge_version = null
  }
  assert {
    condition     = length(aws_ecs_service.bridge) == 0 && length(aws_ecr_repository.bridge) == 1 && length(aws_instance.broker) == 1 && length(aws_ecs_cluster.main) == 1
    error_message = "the first step makes too much or too little"
  }
}

run "an_emulator_gets_what_it_has" {
  variables {
    emulator   = true
    broker_url = "mqtts://localhost:8883"
  }
  assert {
    condition     = length(aws_ecs_service.bridge) == 0 && length(aws_ecs_cluster.main) == 0 && length(aws_ecr_repository.bridge) == 0 && length(aws_instance.broker) == 0 && length(aws_vpc.main) == 0
    error_message = "an emulator is asked for what it lacks"
  }
  assert {
    condition     = aws_lambda_alias.live.name == "live" && aws_dynamodb_table.readings.name == "mqtt-lambda-readings" && strcontains(output.bridge_config, aws_lambda_alias.live.arn)
    error_message = "an emulator is spared what it has"
  }
}

run "everything_can_be_removed" {
  variables {
    deletion_protection = false
  }
  assert {
    condition     = !aws_dynamodb_table.readings.deletion_protection_enabled && !aws_instance.broker[0].disable_api_termination && aws_ecr_repository.bridge[0].force_delete && aws_s3_bucket.failures.force_destroy && aws_secretsmanager_secret.bridge_tls.recovery_window_in_days == 0
    error_message = "something stays"
  }
}
