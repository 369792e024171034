# The bridge: one ECS service on Fargate for each replica.
#
# A service for each replica, because each needs a client id of its own that stays: it names the session at the broker, and
# what waits there comes back to no other id. Tasks of one service are alike and have no number. With one task each, and
# never more than one (minimum 0, maximum 100 percent), an update stops the old bridge, which drains, before it starts the
# new one under the same id; meanwhile the broker keeps what comes.

data "aws_region" "here" {}

locals {
  # What needs ECS waits for an image.
  runs     = var.image != null
  replicas = toset([for index in range(local.runs ? var.replicas.count : 0) : tostring(index)])

  # A bridge that stops has this much longer than it asks for, to say goodbye to the broker and end its log.
  stop_timeout_seconds = var.drain_timeout_seconds + 10

  # The user `nonroot` of distroless images.
  bridge_user  = "65532:65532"
  bridge_files = "/run/bridge"

  cluster_arn  = coalesce(var.cluster_arn, one(aws_ecs_cluster.main[*].arn), "none")
  cluster_name = element(split("/", local.cluster_arn), -1)
  client_ids   = [for index in range(var.replicas.count) : "bridge-${var.name}-${index}"]
}

resource "aws_ecs_cluster" "main" {
  #checkov:skip=CKV_AWS_65:Container Insights is billed by the metric; what the alarms and the dashboard need is free without it.
  count = local.runs && var.cluster_arn == null ? 1 : 0
  name  = var.name
}

resource "aws_ecs_task_definition" "bridge" {
  for_each                 = local.replicas
  family                   = "${var.name}-bridge-${each.key}"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = var.size.cpu
  memory                   = var.size.memory
  execution_role_arn       = aws_iam_role.bridge_start.arn
  task_role_arn            = aws_iam_role.bridge.arn

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = upper(var.size.architecture)
  }

  # Lives and dies with the task, and only its own containers see it.
  volume {
    name = "files"
  }

  container_definitions = jsonencode([local.container_files, merge(local.container_bridge, {
    environment = [{ name = "BRIDGE_CONFIG", value = "${local.bridge_files}/bridge.toml" },
    { name = "BRIDGE_MQTT_CLIENT_ID", value = local.client_ids[each.key] }]
  })])

  lifecycle {
    precondition {
      condition     = length(local.topic_filters) > 0
      error_message = "mappings_file: holds no topic_filter."
    }
    precondition {
      condition     = var.replicas.count == 1 || alltrue([for filter in local.topic_filters : startswith(filter, "$share/")])
      error_message = "replicas: with several replicas each would get every message; write each topic_filter as `$share/group/filter`."
    }
    precondition {
      condition     = length(local.too_few) == 0
      error_message = "concurrency: ${join("; ", local.too_few)}. Lower the mappings' concurrency or the replicas, or reserve more."
    }
  }
}

locals {
  # ECS hands secrets over as variables, and the bridge reads files that it alone may read. So the same image, as root, runs
  # first: it writes them where the bridge finds them, and is gone. No second image, no shell, and no secret among the
  # variables of the process that talks to the network.
  container_files = {
    name       = "files"
    image      = local.bridge_image
    essential  = false
    user       = "0:0"
    entryPoint = ["mqtt-lambda-bridge"]
    command = concat(["write-files", "--into", local.bridge_files, "--owner", local.bridge_user],
    length(var.secret_files) == 0 ? [] : ["--json", "SECRET_FILES"], ["bridge.toml=CONFIG"])
    environment            = [{ name = "CONFIG", value = local.bridge_config }]
    secrets                = length(var.secret_files) == 0 ? [] : [{ name = "SECRET_FILES", valueFrom = aws_secretsmanager_secret.bridge.arn }]
    mountPoints            = [{ sourceVolume = "files", containerPath = local.bridge_files, readOnly = false }]
    readonlyRootFilesystem = true
    logConfiguration       = local.bridge_log
  }

  container_bridge = {
    name                   = "bridge"
    image                  = local.bridge_image
    essential              = true
    user                   = local.bridge_user
    entryPoint             = ["mqtt-lambda-bridge"]
    command                = ["run"]
    dependsOn              = [{ containerName = "files", condition = "SUCCESS" }]
    mountPoints            = [{ sourceVolume = "files", containerPath = local.bridge_files, readOnly = true }]
    readonlyRootFilesystem = true
    linuxParameters        = { capabilities = { drop = ["ALL"] } }
    stopTimeout            = local.stop_timeout_seconds
    logConfiguration       = local.bridge_log

    # Whether it was ready once, and from then on whether it lives. So a deployment that never gets to work fails and is rolled back,
    # and a broker that is away later restarts nothing, which would not help. Readiness has an alarm. The start period leaves a
    # broker that starts at the same time its minutes.
    healthCheck = {
      command     = ["CMD", "mqtt-lambda-bridge", "health", "--started"]
      interval    = 15
      timeout     = 5
      retries     = 3
      startPeriod = 180
    }
  }

  bridge_image = try(var.image.reference, "")

  bridge_log = {
    logDriver = "awslogs"
    options = {
      awslogs-group         = aws_cloudwatch_log_group.bridge.name
      awslogs-region        = data.aws_region.here.id
      awslogs-stream-prefix = "replica"
      # A log that cannot be written must not hold messages.
      mode            = "non-blocking"
      max-buffer-size = "4m"
    }
  }
}

resource "aws_ecs_service" "bridge" {
  for_each                           = local.replicas
  name                               = "${var.name}-bridge-${each.key}"
  cluster                            = local.cluster_arn
  task_definition                    = aws_ecs_task_definition.bridge[each.key].arn
  launch_type                        = "FARGATE"
  platform_version                   = "LATEST"
  desired_count                      = 1
  deployment_minimum_healthy_percent = 0
  deployment_maximum_percent         = 100
  propagate_tags                     = "SERVICE"
  wait_for_steady_state              = true # `apply` fails when the new bridge never gets ready.

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  network_configuration {
    # A public address is the way to AWS and to a broker outside: a NAT gateway costs more than the rest of a small
    # installation. Nothing may come in: the security group has no ingress.
    subnets          = var.network.subnet_ids
    security_groups  = [aws_security_group.bridge[0].id]
    assign_public_ip = var.network.public_addresses
  }

  depends_on = [aws_iam_role_policy.bridge, aws_iam_role_policy.bridge_start]
}

# When a new version never gets ready, ECS goes back to the one before, and the service is steady again: for the provider that is
# a success. So it is asked again which version runs.
data "aws_ecs_service" "bridge" {
  for_each     = local.replicas
  service_name = aws_ecs_service.bridge[each.key].name
  cluster_arn  = local.cluster_arn

  lifecycle {
    postcondition {
      condition     = self.task_definition == aws_ecs_task_definition.bridge[each.key].arn
      error_message = "Replica ${each.key}: the new version never got ready, and ECS went back to ${self.task_definition}. The log ${aws_cloudwatch_log_group.bridge.name} says why; fix it, and apply again."
    }
  }

  depends_on = [aws_ecs_service.bridge]
}

resource "aws_cloudwatch_log_group" "bridge" {
  #checkov:skip=CKV_AWS_158:Encrypted by CloudWatch Logs' own key, and never with a payload in it.
  #checkov:skip=CKV_AWS_338:How long is a variable.
  name              = "/ecs/${var.name}-bridge"
  retention_in_days = var.log_retention_days
}

locals {
  assumed_by_tasks = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "ecs-tasks.amazonaws.com" }
    }]
  })
}

# What the bridge itself may do: invoke, and keep what cannot be invoked. It reads no letter.
resource "aws_iam_role" "bridge" {
  name               = "${var.name}-bridge"
  assume_role_policy = local.assumed_by_tasks
}

resource "aws_iam_role_policy" "bridge" {
  name = "bridge"
  role = aws_iam_role.bridge.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "Invoke"
        Effect   = "Allow"
        Action   = "lambda:InvokeFunction"
        Resource = [for function in var.functions : function.arn]
      },
      {
        Sid      = "KeepDeadLetters"
        Effect   = "Allow"
        Action   = ["sqs:SendMessage", "sqs:GetQueueAttributes"] # The second for the queue's limit of a message's size.
        Resource = module.failures.arn
      },
      {
        Sid      = "KeepLargeDeadLetters"
        Effect   = "Allow"
        Action   = "s3:PutObject"
        Resource = "${aws_s3_bucket.failures.arn}/${local.letters_prefix}*"
      },
    ]
  })
}

# What ECS may do to start it. The bridge cannot use this role.
resource "aws_iam_role" "bridge_start" {
  name               = "${var.name}-bridge-start"
  assume_role_policy = local.assumed_by_tasks
}

resource "aws_iam_role_policy" "bridge_start" {
  name = "start"
  role = aws_iam_role.bridge_start.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [
        {
          Sid      = "ReadSecret"
          Effect   = "Allow"
          Action   = "secretsmanager:GetSecretValue"
          Resource = aws_secretsmanager_secret.bridge.arn
        },
        {
          Sid      = "Log"
          Effect   = "Allow"
          Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
          Resource = "${aws_cloudwatch_log_group.bridge.arn}:log-stream:*"
        },
      ],
      [for repository in compact([try(var.image.repository_arn, null)]) : {
        Sid      = "PullImage"
        Effect   = "Allow"
        Action   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
        Resource = repository
      }],
      [for repository in compact([try(var.image.repository_arn, null)]) : {
        Sid      = "EnterRegistry" # An action that knows no resources.
        Effect   = "Allow"
        Action   = ["ecr:GetAuthorizationToken"]
        Resource = "*"
      }],
    )
  })
}

resource "aws_security_group" "bridge" {
  count       = local.runs ? 1 : 0
  name        = "${var.name}-bridge"
  description = "MQTT bridge: nothing in; out to the broker and to AWS"
  vpc_id      = var.network.vpc_id
}

resource "aws_vpc_security_group_egress_rule" "aws" {
  count             = local.runs ? 1 : 0
  security_group_id = aws_security_group.bridge[0].id
  description       = "the APIs of AWS"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_vpc_security_group_egress_rule" "broker" {
  # Port 443 is open to everybody already, and no rule may be there twice.
  for_each                     = toset([for port in local.broker_ports : tostring(port) if local.runs && port != 443])
  security_group_id            = aws_security_group.bridge[0].id
  description                  = "the broker"
  cidr_ipv4                    = var.broker.security_group_id == null ? "0.0.0.0/0" : null
  referenced_security_group_id = var.broker.security_group_id
  ip_protocol                  = "tcp"
  from_port                    = each.key
  to_port                      = each.key
}

# The VPC's own resolver needs no rule; others do, over both.
resource "aws_vpc_security_group_egress_rule" "dns" {
  for_each = local.runs ? {
    for pair in setproduct(var.network.dns_cidrs, ["udp", "tcp"]) : "${pair[1]} ${pair[0]}" => { cidr = pair[0], protocol = pair[1] }
  } : {}
  security_group_id = aws_security_group.bridge[0].id
  description       = "name servers"
  cidr_ipv4         = each.value.cidr
  ip_protocol       = each.value.protocol
  from_port         = 53
  to_port           = 53
}

# The files of the bridge, as a JSON object of file names and contents. Terraform makes the secret and never sees what is in it, so
# that no key gets into its state. Certificate and key are one secret, so that they change together.
resource "aws_secretsmanager_secret" "bridge" {
  #checkov:skip=CKV_AWS_149:Encrypted with the account's key for Secrets Manager; who may read the secret is decided by IAM, where one role may.
  #checkov:skip=CKV2_AWS_57:Rotation is certs/make-certs.sh, for the authority's key is not in AWS.
  name                    = "${var.name}/bridge"
  description             = "${join(", ", sort(var.secret_files))} of the MQTT bridge"
  recovery_window_in_days = var.deletion_protection ? 30 : 0
}
