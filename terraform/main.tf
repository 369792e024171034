# Everything in one region of one account: a network, the function, a broker unless there is one, and the bridge between
# them. What each part is stands in its module; here they are put together.

locals {
  # What needs ECS waits for an image.
  image = var.bridge_version == null ? null : {
    reference      = "${aws_ecr_repository.bridge[0].repository_url}:${var.bridge_version}"
    repository_arn = aws_ecr_repository.bridge[0].arn
  }

  makes_broker = var.broker.url == null
  # Few emulators have machines, containers and registries: one is asked for them only if something of it is to run there.
  has_machines  = !var.emulator || local.makes_broker || var.bridge_version != null
  makes_network = var.network == null && local.has_machines
  # That which is made, or that which is given, or none where nothing has a use for one.
  network = {
    vpc_id           = local.makes_network ? module.network[0].network.vpc_id : try(var.network.vpc_id, "none")
    subnet_ids       = local.makes_network ? module.network[0].network.subnet_ids : try(var.network.subnet_ids, ["none"])
    public_addresses = try(var.network.public_addresses, true)
    dns_cidrs        = try(var.network.dns_cidrs, [])
  }
}

module "network" {
  source = "./modules/network"
  count  = local.makes_network ? 1 : 0
  name   = var.name
}

module "function" {
  source               = "./modules/function"
  name                 = var.name
  zip                  = var.function.zip
  architecture         = var.architecture
  memory_mb            = var.function.memory_mb
  timeout_seconds      = var.function.timeout_seconds
  reserved_concurrency = var.function.reserved_concurrency
  tracing              = var.function.tracing
  readings             = var.readings
  log_retention_days   = var.log_retention_days
  deletion_protection  = var.deletion_protection
  alarm_topics         = [aws_sns_topic.alarms.arn]
  emulator             = var.emulator
}

module "broker" {
  source              = "./modules/broker"
  count               = local.makes_broker ? 1 : 0
  name                = var.name
  network             = local.network
  subnet              = var.broker.subnet
  allowed_cidrs       = var.broker.allowed_cidrs
  size                = merge(var.broker.size, { architecture = var.architecture })
  log_retention_days  = var.log_retention_days
  deletion_protection = var.deletion_protection
  alarm_topics        = [aws_sns_topic.alarms.arn]
}

# Here, because neither of the two modules can have both groups.
resource "aws_vpc_security_group_ingress_rule" "bridge_to_broker" {
  count                        = local.makes_broker && local.image != null ? 1 : 0
  security_group_id            = module.broker[0].security_group_id
  description                  = "the bridge, on a listener that devices do not reach"
  referenced_security_group_id = module.bridge.security_group_id
  ip_protocol                  = "tcp"
  from_port                    = 8884
  to_port                      = 8884
}

module "bridge" {
  source = "./modules/bridge"
  name   = var.name
  functions = { sensor = {
    arn                  = module.function.alias_arn
    reserved_concurrency = module.function.reserved_concurrency
  } }
  mappings_file = coalesce(var.mappings_file, "${path.module}/mappings.toml.tftpl")
  broker = {
    urls           = [local.makes_broker ? module.broker[0].url : var.broker.url]
    session_expiry = var.bridge.session_expiry
    # A broker of your own may count elsewhere, or not let the bridge read it.
    dropped_topic     = local.makes_broker ? module.broker[0].dropped_topic : null
    security_group_id = local.makes_broker ? module.broker[0].security_group_id : null
  }
  secret_files          = var.bridge.secret_files
  image                 = local.image
  network               = local.network
  replicas              = var.bridge_replicas
  size                  = { cpu = var.bridge.cpu, memory = var.bridge.memory, architecture = var.architecture }
  drain_timeout_seconds = var.bridge.drain_timeout_seconds
  alarms                = { topics = [aws_sns_topic.alarms.arn] }
  log_retention_days    = var.log_retention_days
  deletion_protection   = var.deletion_protection
  emulator              = var.emulator
}

# The bridge's image. Its first push comes before its first task.
resource "aws_ecr_repository" "bridge" {
  #checkov:skip=CKV_AWS_136:The image holds nothing secret; ECR encrypts it with its own key.
  count                = local.has_machines ? 1 : 0
  name                 = "${var.name}-bridge"
  image_tag_mutability = "IMMUTABLE" # A tag is what was rolled out, also tomorrow.
  force_delete         = !var.deletion_protection

  image_scanning_configuration {
    scan_on_push = true
  }
}

resource "aws_ecr_lifecycle_policy" "bridge" {
  count      = local.has_machines ? 1 : 0
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

# Who hears the alarms.
resource "aws_sns_topic" "alarms" {
  #checkov:skip=CKV_AWS_26:It carries names of alarms and numbers. Alarms cannot be published with the account's key for SNS, and a key of one's own would be for this alone.
  name = "${var.name}-alarms"
}

resource "aws_sns_topic_subscription" "mail" {
  count     = var.alarm_email == null ? 0 : 1
  topic_arn = aws_sns_topic.alarms.arn
  protocol  = "email"
  endpoint  = var.alarm_email
}

locals {
  panels = concat(module.bridge.panels, module.function.panels, flatten(module.broker[*].panels))
}

resource "aws_cloudwatch_dashboard" "main" {
  dashboard_name = var.name
  dashboard_body = jsonencode({
    widgets = [for index, panel in local.panels : {
      type   = "metric"
      x      = index % 2 * 12
      y      = floor(index / 2) * 6
      width  = 12
      height = 6
      properties = {
        title  = panel.title
        region = data.aws_region.here.id
        period = 60
        view   = "timeSeries"
        metrics = [for line in panel.lines :
          concat([line.namespace, line.metric], flatten([for name, value in line.dimensions : [name, value]]), [{ stat = line.statistic }])
        ]
      }
    }]
  })
}
