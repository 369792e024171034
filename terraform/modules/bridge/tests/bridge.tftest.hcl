# What must hold of the bridge, checked against a provider that makes nothing.

mock_provider "aws" {
  source = "../../tests/mocks"
}

variables {
  name          = "plant-7"
  functions     = { a = { arn = "arn:aws:lambda:eu-central-1:123456789012:function:a:live" } }
  mappings_file = "tests/mappings/shared.toml.tftpl"
  broker        = { urls = ["mqtts://broker.example:18883"] }
  image         = { reference = "ghcr.io/example/bridge:0.1.0" }
  network       = { vpc_id = "vpc-1", subnet_ids = ["subnet-1", "subnet-2"], public_addresses = false }
  replicas      = { count = 2 }
  alarms        = { topics = ["arn:aws:sns:eu-central-1:123456789012:alarms"] }
}

run "it_may_invoke_its_functions_and_keep_letters_and_nothing_else" {
  variables {
    functions = {
      a = { arn = "arn:aws:lambda:eu-central-1:123456789012:function:a:live" }
      b = { arn = "arn:aws:lambda:eu-central-1:123456789012:function:b" }
    }
  }
  assert {
    condition = toset([for statement in jsondecode(aws_iam_role_policy.bridge.policy).Statement : join(" ", [statement.Effect, jsonencode(statement.Action), jsonencode(statement.Resource)])]) == toset([
      "Allow \"lambda:InvokeFunction\" [\"arn:aws:lambda:eu-central-1:123456789012:function:a:live\",\"arn:aws:lambda:eu-central-1:123456789012:function:b\"]",
      "Allow [\"sqs:SendMessage\",\"sqs:GetQueueAttributes\"] \"arn:aws:sqs:eu-central-1:123456789012:mocked\"",
      "Allow \"s3:PutObject\" \"arn:aws:s3:::mocked-failures-0/dead-letters/*\"",
    ])
    error_message = "the task role has more or less than invoking its functions, sending to the queue, asking for its limit, and putting letters into the bucket"
  }
  assert {
    condition     = alltrue([for task in aws_ecs_task_definition.bridge : task.task_role_arn == aws_iam_role.bridge.arn && task.execution_role_arn == aws_iam_role.bridge_start.arn])
    error_message = "the tasks do not run as the bridge's role"
  }
}

run "no_role_has_a_wildcard" {
  variables {
    image = { reference = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/b:1", repository_arn = "arn:aws:ecr:eu-central-1:123456789012:repository/b" }
  }
  # The log streams are below one group, the letters below one prefix, and one action knows no resources.
  assert {
    condition = alltrue(flatten([
      for policy in [aws_iam_role_policy.bridge.policy, aws_iam_role_policy.bridge_start.policy] :
      [for statement in jsondecode(policy).Statement : concat(
        [for action in flatten([statement.Action]) : !strcontains(action, "*")],
        [for resource in flatten([statement.Resource]) :
          !strcontains(trimsuffix(trimsuffix(resource, ":log-stream:*"), "/dead-letters/*"), "*")
          || join(",", flatten([statement.Action])) == "ecr:GetAuthorizationToken"
        ],
      )]
    ]))
    error_message = "an action or a resource has a wildcard"
  }
  assert {
    condition = alltrue([
      for role in [aws_iam_role.bridge, aws_iam_role.bridge_start] :
      [for statement in jsondecode(role.assume_role_policy).Statement : statement.Principal.Service] == ["ecs-tasks.amazonaws.com"]
    ])
    error_message = "a role may be taken by somebody else than ECS"
  }
  assert {
    condition     = length([for statement in jsondecode(aws_iam_role_policy.bridge_start.policy).Statement : statement if statement.Sid == "PullImage"]) == 1
    error_message = "ECS may not pull the image"
  }
}

run "an_image_of_a_public_registry_needs_no_rights" {
  assert {
    condition     = toset([for statement in jsondecode(aws_iam_role_policy.bridge_start.policy).Statement : statement.Sid]) == toset(["ReadSecret", "Log"])
    error_message = "ECS has rights at a registry that nobody uses"
  }
  assert {
    condition     = alltrue(flatten([for task in aws_ecs_task_definition.bridge : [for container in jsondecode(task.container_definitions) : container.image == "ghcr.io/example/bridge:0.1.0"]]))
    error_message = "another image runs"
  }
}

run "letters_are_encrypted_private_and_only_over_tls" {
  assert {
    condition     = alltrue([for rule in aws_s3_bucket_server_side_encryption_configuration.failures.rule : rule.apply_server_side_encryption_by_default[0].sse_algorithm == "AES256"])
    error_message = "the bucket is not encrypted"
  }
  assert {
    condition     = alltrue([for block in [aws_s3_bucket_public_access_block.failures] : block.block_public_acls && block.block_public_policy && block.ignore_public_acls && block.restrict_public_buckets])
    error_message = "the bucket of letters may be made public"
  }
  assert {
    condition = [for statement in jsondecode(aws_s3_bucket_policy.only_tls[0].policy).Statement : "${statement.Effect} ${jsonencode(statement.Condition)}"] == [
      "Deny {\"Bool\":{\"aws:SecureTransport\":\"false\"}}"
    ]
    error_message = "the bucket takes letters in the clear"
  }
  assert {
    condition     = strcontains(output.config, "on_failure = [{ sqs = \"https://sqs.eu-central-1.amazonaws.com/123456789012/mocked\" }, { s3 = \"s3://mocked-failures-0/dead-letters/\" }]")
    error_message = "a letter above SQS's limit would have no place"
  }
}

run "fargate_waits_longer_than_the_bridge_drains" {
  variables {
    drain_timeout_seconds = 110
  }
  assert {
    condition     = alltrue([for task in aws_ecs_task_definition.bridge : one([for container in jsondecode(task.container_definitions) : container.stopTimeout if container.name == "bridge"]) == 120])
    error_message = "the stop timeout is not ten seconds above the drain timeout, or above what Fargate takes"
  }
  assert {
    condition     = strcontains(output.config, "drain_timeout = \"110s\"\n")
    error_message = "the bridge is told another drain timeout"
  }
}

run "each_replica_has_its_own_client_id_and_is_never_two" {
  assert {
    condition     = output.services == tolist(["plant-7-bridge-0", "plant-7-bridge-1"])
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
    ] == ["bridge-plant-7-0", "bridge-plant-7-1"]
    error_message = "the client ids are not stable, or not different"
  }
  assert {
    condition     = alltrue([for service in aws_ecs_service.bridge : service.deployment_circuit_breaker[0].enable && service.deployment_circuit_breaker[0].rollback])
    error_message = "a deployment that fails is not rolled back"
  }
}

run "a_rollback_is_no_success" {
  variables {
    image = { reference = "ghcr.io/example/bridge:0.2.0" }
  }
  override_data {
    target = data.aws_ecs_service.bridge["1"]
    values = { task_definition = "arn:aws:ecs:eu-central-1:123456789012:task-definition/mocked:0" }
  }
  expect_failures = [data.aws_ecs_service.bridge["1"]]
}

run "it_runs_unprivileged_and_reads_its_secrets_from_files" {
  assert {
    condition     = alltrue(flatten([for task in aws_ecs_task_definition.bridge : [for container in jsondecode(task.container_definitions) : container.readonlyRootFilesystem]]))
    error_message = "a root file system can be written to"
  }
  assert {
    condition = alltrue([for task in aws_ecs_task_definition.bridge : alltrue([for container in jsondecode(task.container_definitions) :
      container.user == "65532:65532" && container.linuxParameters.capabilities.drop == ["ALL"] && container.mountPoints[0].readOnly if container.name == "bridge"
    ])])
    error_message = "the bridge is privileged, or may write to its files"
  }
  assert {
    condition = alltrue([for task in aws_ecs_task_definition.bridge :
      [for container in jsondecode(task.container_definitions) : [container.dependsOn, can(container.secrets)] if container.name == "bridge"]
    == [[[{ condition = "SUCCESS", containerName = "files" }], false]]])
    error_message = "the bridge has secrets among its variables, or starts before its files are there"
  }
  assert {
    condition = alltrue([for task in aws_ecs_task_definition.bridge :
      [for container in jsondecode(task.container_definitions) : container.secrets if container.name == "files"] == [[{ name = "SECRET_FILES", valueFrom = aws_secretsmanager_secret.bridge.arn }]]
    ])
    error_message = "the files are not those of the secret"
  }
  assert {
    condition     = alltrue([for task in aws_ecs_task_definition.bridge : one([for container in jsondecode(task.container_definitions) : container.healthCheck.command if container.name == "bridge"]) == ["CMD", "mqtt-lambda-bridge", "health", "--started"]])
    error_message = "no health check that works without a shell and is about having been ready once"
  }
}

run "a_broker_with_a_certificate" {
  variables {
    secret_files = ["bridge.key", "bridge.crt"]
  }
  assert {
    condition     = [for rule in aws_vpc_security_group_egress_rule.broker : "${rule.to_port} ${rule.cidr_ipv4}"] == ["18883 0.0.0.0/0"]
    error_message = "the bridge cannot reach its broker"
  }
  assert {
    condition     = strcontains(output.config, "url = [\"mqtts://broker.example:18883\"]") && strcontains(output.config, "tls = { cert_file = \"/run/bridge/bridge.crt\", key_file = \"/run/bridge/bridge.key\" }")
    error_message = "the bridge is told another broker, or other files"
  }
  assert {
    condition     = !strcontains(output.config, "dropped_topic") && !strcontains(output.config, "password_file") && !strcontains(output.config, "username")
    error_message = "the bridge is told what nobody has given"
  }
}

run "a_broker_with_a_password" {
  variables {
    broker       = { urls = ["wss://one.example/mqtt", "mqtts://two.example"], username = "bridge \"7\"", protocol = "3.1.1", alpn = ["mqtt"], dropped_topic = "$SYS/dropped" }
    secret_files = ["bridge.password"]
  }
  assert {
    condition = alltrue([for line in ["url = [\"wss://one.example/mqtt\",\"mqtts://two.example\"]", "username = \"bridge \\\"7\\\"\"", "protocol = \"3.1.1\"",
      "password_file = \"/run/bridge/bridge.password\"", "alpn = [\"mqtt\"]", "dropped_topic = \"$SYS/dropped\"", "tls = {  }",
    ] : strcontains(output.config, "\n${line}\n")])
    error_message = "the bridge does not know how to log in"
  }
  assert {
    condition     = toset(keys(aws_vpc_security_group_egress_rule.broker)) == toset(["8883"]) && aws_vpc_security_group_egress_rule.aws[0].from_port == 443
    error_message = "a port of a broker is closed, or 443 is opened twice, which AWS refuses"
  }
}

run "a_broker_in_a_group_and_name_servers_of_your_own" {
  variables {
    broker  = { urls = ["mqtts://broker.internal:8884"], security_group_id = "sg-broker" }
    network = { vpc_id = "vpc-1", subnet_ids = ["subnet-1"], public_addresses = true, dns_cidrs = ["10.0.0.2/32"] }
  }
  assert {
    condition     = [for rule in aws_vpc_security_group_egress_rule.broker : "${rule.to_port} ${rule.referenced_security_group_id} ${coalesce(rule.cidr_ipv4, "none")}"] == ["8884 sg-broker none"]
    error_message = "the way to the broker is wider than its group, or closed"
  }
  assert {
    condition     = toset([for rule in aws_vpc_security_group_egress_rule.dns : "${rule.ip_protocol} ${rule.from_port} ${rule.cidr_ipv4}"]) == toset(["udp 53 10.0.0.2/32", "tcp 53 10.0.0.2/32"])
    error_message = "the name servers cannot be asked"
  }
  assert {
    condition     = aws_security_group.bridge[0].vpc_id == "vpc-1" && alltrue([for service in aws_ecs_service.bridge : service.network_configuration[0].subnets == toset(["subnet-1"]) && service.network_configuration[0].assign_public_ip])
    error_message = "the bridge is elsewhere"
  }
}

run "a_cluster_of_your_own" {
  variables {
    cluster_arn = "arn:aws:ecs:eu-central-1:123456789012:cluster/mine"
  }
  assert {
    condition     = length(aws_ecs_cluster.main) == 0 && alltrue([for service in aws_ecs_service.bridge : service.cluster == "arn:aws:ecs:eu-central-1:123456789012:cluster/mine"]) && output.cluster_name == "mine"
    error_message = "a cluster is made all the same"
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.alarm["bridge-0-down"].dimensions == tomap({ ClusterName = "mine", ServiceName = "plant-7-bridge-0" })
    error_message = "the alarm looks at another service"
  }
}

run "before_there_is_an_image_nothing_runs" {
  variables {
    image = null
  }
  assert {
    condition     = length(aws_ecs_service.bridge) == 0 && length(aws_ecs_cluster.main) == 0 && length(aws_security_group.bridge) == 0 && length(aws_cloudwatch_log_metric_filter.log) == 0
    error_message = "something waits for a bridge that does not run"
  }
  assert {
    condition     = aws_secretsmanager_secret.bridge.name == "plant-7/bridge" && module.failures.name == "plant-7-failures"
    error_message = "what can be filled before is not there"
  }
}

run "replicas_that_are_to_go_are_told_so_first" {
  variables {
    replicas = { count = 3, retiring = [1, 2] }
  }
  assert {
    condition     = strcontains(output.config, "\nretiring = [\"bridge-plant-7-1\",\"bridge-plant-7-2\"]\n") && length(output.services) == 3
    error_message = "the bridges do not know that they are to leave, or are gone already"
  }
}

run "every_alarm_is_there_and_is_heard" {
  assert {
    condition = toset(keys(aws_cloudwatch_metric_alarm.alarm)) == toset([
      "bridge-0-down", "bridge-1-down", "dead-letters", "dead-letters-age", "dead-letters-in-bucket",
      "bridge-not-ready", "bridge-degraded", "bridge-window-full", "bridge-oldest-in-flight", "bridge-dead-lettered", "bridge-dead-letters-held",
      "bridge-certificates", "bridge-revocation-list",
      "bridge-session", "bridge-broker-drops", "bridge-tls-refused", "bridge-configuration", "bridge-errors",
    ])
    error_message = "an alarm is missing, or one is new"
  }
  assert {
    condition     = alltrue([for alarm in merge(aws_cloudwatch_metric_alarm.alarm, { band = aws_cloudwatch_metric_alarm.received[0] }) : alarm.alarm_actions == toset(["arn:aws:sns:eu-central-1:123456789012:alarms"])])
    error_message = "nobody hears an alarm"
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.alarm["bridge-0-down"].treat_missing_data == "breaching" && aws_cloudwatch_metric_alarm.alarm["bridge-0-down"].comparison_operator == "LessThanThreshold"
    error_message = "a bridge that is gone raises no alarm"
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.alarm["dead-letters-age"].threshold == 864000 && aws_cloudwatch_metric_alarm.alarm["dead-letters-age"].metric_name == "ApproximateAgeOfOldestMessage"
    error_message = "a letter is deleted before anybody is told"
  }
  # Made of alarms.json: a number, a name, from below and from above.
  assert {
    condition = [for name in ["bridge-window-full", "bridge-oldest-in-flight", "bridge-certificates"] : [
      for alarm in [aws_cloudwatch_metric_alarm.alarm[name]] : "${alarm.namespace} ${alarm.metric_name} ${alarm.statistic} ${alarm.comparison_operator} ${alarm.threshold} ${alarm.period}x${alarm.evaluation_periods}"
      ][0]] == [
      "plant-7 WindowUsed Maximum GreaterThanThreshold 99 60x10",
      "plant-7 OldestInFlight Maximum GreaterThanThreshold 300 60x2",
      "plant-7 CertificateDays Minimum LessThanThreshold 14 60x5",
    ]
    error_message = "an alarm is not what alarms.json says"
  }
  assert {
    condition     = { for name, filter in aws_cloudwatch_log_metric_filter.log : name => filter.pattern } == { for name, alarm in jsondecode(file("alarms.json")).log : name => alarm.pattern } && length(aws_cloudwatch_log_metric_filter.log) == 5
    error_message = "a pattern is not that of alarms.json, which the tests hold against what the bridge writes"
  }
  assert {
    condition     = alltrue([for name, filter in aws_cloudwatch_log_metric_filter.log : filter.metric_transformation[0].name == aws_cloudwatch_metric_alarm.alarm["bridge-${name}"].metric_name && filter.metric_transformation[0].namespace == aws_cloudwatch_metric_alarm.alarm["bridge-${name}"].namespace])
    error_message = "an alarm looks at another metric than its filter makes"
  }
  assert {
    condition     = strcontains(output.config, "[cloudwatch]\nnamespace = \"plant-7\"\n")
    error_message = "the bridge writes no metrics, or into another namespace"
  }
}

run "the_band_is_around_what_was_received" {
  assert {
    condition = {
      for query in aws_cloudwatch_metric_alarm.received[0].metric_query : query.id => try(one(query.metric).metric_name, query.expression)
    } == { usual = "ANOMALY_DETECTION_BAND(received, 3)", received = "Received" }
    error_message = "the band is around something else"
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.received[0].threshold_metric_id == "usual" && aws_cloudwatch_metric_alarm.received[0].comparison_operator == "LessThanLowerOrGreaterThanUpperThreshold"
    error_message = "the band is not what is compared with"
  }
}

run "everything_can_be_removed" {
  variables {
    deletion_protection = false
  }
  assert {
    condition     = aws_s3_bucket.failures.force_destroy && aws_secretsmanager_secret.bridge.recovery_window_in_days == 0
    error_message = "something stays"
  }
}
