# The bridge: its image repository, and one ECS service on Fargate for each replica.
#
# A service for each replica, because each needs a client id of its own that stays: it names the session at the broker, and
# what waits there comes back to no other id. Tasks of one service are alike and have no number. With one task each, and
# never more than one (minimum 0, maximum 100 percent), an update stops the old bridge, which drains, before it starts the
# new one under the same id; meanwhile the broker keeps what comes.

locals {
  # What needs ECS waits for an image, and is left out where there is no ECS.
  replicas = toset([
    for index in range(var.emulator || var.bridge_version == null ? 0 : var.bridge_replicas) : tostring(index)
  ])

  # A bridge that stops has this much longer than it asks for, to say goodbye to the broker and end its log.
  stop_timeout_seconds = var.bridge_drain_timeout_seconds + 10

  # The user `nonroot` of distroless images.
  bridge_user  = "65532:65532"
  bridge_files = "/run/bridge"

  tls_keys = { "ca.crt" = "ca_file", "bridge.crt" = "cert_file", "bridge.key" = "key_file", "ca.crl" = "crl_file" }

  mappings_file = coalesce(var.mappings_file, "${path.module}/mappings.toml.tftpl")
  mappings = templatefile(local.mappings_file, {
    function       = aws_lambda_alias.live.arn
    failure_queue  = aws_sqs_queue.failures.url
    failure_bucket = "s3://${aws_s3_bucket.failures.bucket}/${local.letters_prefix}"
  })
  # Of the file itself, which a plan knows before the function is there.
  topic_filters = flatten(regexall("(?m)^\\s*topic_filter\\s*=\\s*[\"']([^\"']*)[\"']", file(local.mappings_file)))

  bridge_config = templatefile("${path.module}/templates/bridge.toml.tftpl", {
    broker_url            = local.broker_url
    drain_timeout_seconds = var.bridge_drain_timeout_seconds
    session_expiry        = var.session_expiry
    # A broker of your own may count elsewhere, or not let the bridge read it.
    dropped_topic = local.broker_count == 0 ? null : "$SYS/broker/publish/messages/dropped"
    tls           = join(", ", [for file in sort(var.bridge_tls_files) : "${local.tls_keys[file]} = \"${local.bridge_files}/${file}\""])
    mappings      = local.mappings
  })
}

resource "aws_ecr_repository" "bridge" {
  #checkov:skip=CKV_AWS_136:The image holds nothing secret; ECR encrypts it with its own key.
  count                = var.emulator ? 0 : 1
  name                 = "${var.name}-bridge"
  image_tag_mutability = "IMMUTABLE" # A tag is what was rolled out, also tomorrow.
  force_delete         = !var.deletion_protection

  image_scanning_configuration {
    scan_on_push = true
  }
}

resource "aws_ecr_lifecycle_policy" "bridge" {
  count      = var.emulator ? 0 : 1
  repository = aws_ecr_repository.bridge[0].name
  policy = jsonencode({
    rules = [{
      rulePriority = 1
      description  = "the last ten images, to go back to"
      selection    = { tagStatus = "any", countType = "imageCountMoreThan", countNumber = 10 }
      action       = { type = "expire" }
    }]
  })
}

resource "aws_ecs_cluster" "main" {
  #checkov:skip=CKV_AWS_65:Container Insights is billed by the metric; what the alarms and the dashboard need is free without it.
  count = var.emulator ? 0 : 1
  name  = var.name
}

resource "aws_ecs_task_definition" "bridge" {
  for_each                 = local.replicas
  family                   = "${var.name}-bridge-${each.key}"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = var.bridge_size.cpu
  memory                   = var.bridge_size.memory
  execution_role_arn       = aws_iam_role.bridge_start.arn
  task_role_arn            = aws_iam_role.bridge.arn

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = upper(var.architecture)
  }

  # Lives and dies with the task, and only its own containers see it.
  volume {
    name = "files"
  }

  container_definitions = jsonencode([local.container_files, merge(local.container_bridge, {
    environment = [{ name = "BRIDGE_CONFIG", value = "${local.bridge_files}/bridge.toml" },
    { name = "BRIDGE_MQTT_CLIENT_ID", value = "bridge-${var.name}-${each.key}" }]
  })])

  lifecycle {
    precondition {
      condition     = var.bridge_replicas == 1 || alltrue([for filter in local.topic_filters : startswith(filter, "$share/")])
      error_message = "bridge_replicas: with several replicas each would get every message; write each topic_filter as `$share/group/filter`."
    }
    precondition {
      condition     = length(local.topic_filters) > 0
      error_message = "mappings_file: holds no topic_filter."
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
    length(var.bridge_tls_files) == 0 ? [] : ["--json", "TLS_FILES"], ["bridge.toml=CONFIG"])
    environment            = [{ name = "CONFIG", value = local.bridge_config }]
    secrets                = length(var.bridge_tls_files) == 0 ? [] : [{ name = "TLS_FILES", valueFrom = aws_secretsmanager_secret.bridge_tls.arn }]
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
    # and a broker that is away later restarts nothing, which would not mend it. Readiness has an alarm. The start period leaves a
    # broker that starts at the same time its minutes.
    healthCheck = {
      command     = ["CMD", "mqtt-lambda-bridge", "health", "--started"]
      interval    = 15
      timeout     = 5
      retries     = 3
      startPeriod = 180
    }
  }

  bridge_image = var.emulator ? "" : "${aws_ecr_repository.bridge[0].repository_url}:${coalesce(var.bridge_version, "none")}"

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
  name                               = "bridge-${each.key}"
  cluster                            = aws_ecs_cluster.main[0].id
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
    subnets          = local.network.subnet_ids
    security_groups  = [aws_security_group.bridge[0].id]
    assign_public_ip = local.network.public_addresses
  }

  depends_on = [aws_iam_role_policy.bridge, aws_iam_role_policy.bridge_start]
}

resource "aws_cloudwatch_log_group" "bridge" {
  #checkov:skip=CKV_AWS_158:Encrypted by CloudWatch Logs' own key, and never with a payload in it.
  #checkov:skip=CKV_AWS_338:How long is a variable.
  name              = "/ecs/${var.name}-bridge"
  retention_in_days = var.log_retention_days
}

# What the bridge itself may do: invoke, and keep what cannot be invoked. It reads no letter.
resource "aws_iam_role" "bridge" {
  name               = "${var.name}-bridge"
  assume_role_policy = local.assumed_by["ecs-tasks"]
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
        Resource = aws_lambda_alias.live.arn
      },
      {
        Sid      = "KeepDeadLetters"
        Effect   = "Allow"
        Action   = ["sqs:SendMessage", "sqs:GetQueueAttributes"] # The second for the queue's limit of a message's size.
        Resource = aws_sqs_queue.failures.arn
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
  assume_role_policy = local.assumed_by["ecs-tasks"]
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
          Resource = aws_secretsmanager_secret.bridge_tls.arn
        },
        {
          Sid      = "Log"
          Effect   = "Allow"
          Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
          Resource = "${aws_cloudwatch_log_group.bridge.arn}:log-stream:*"
        },
        {
          Sid      = "EnterRegistry" # An action that knows no resources.
          Effect   = "Allow"
          Action   = ["ecr:GetAuthorizationToken"]
          Resource = "*"
        },
      ],
      [for repository in aws_ecr_repository.bridge : {
        Sid      = "PullImage"
        Effect   = "Allow"
        Action   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
        Resource = repository.arn
      }],
    )
  })
}
