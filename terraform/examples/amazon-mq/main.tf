# Amazon MQ for ActiveMQ as the broker, with MQTT 3.1.1 and a password. ActiveMQ has no shared subscriptions, so there is one
# replica; a durable subscription is kept until the bridge retires: docs/brokers.md.

variable "function_arn" {
  description = "The function to invoke, or better one of its aliases."
  type        = string
}

variable "broker_password" {
  description = "The password of the user `bridge`, which the bridge's secret holds too; it is in Terraform's state, since Amazon MQ takes it from there alone."
  type        = string
  sensitive   = true

  validation {
    condition     = can(regex("^[^,:=[:space:]]{12,250}$", var.broker_password))
    error_message = "broker_password: 12 to 250 characters, without comma, colon, equals sign and space."
  }
}

variable "image" {
  description = "The bridge's image with its tag; null leaves the tasks out, as long as the secret is not filled."
  type        = string
  default     = null
}

variable "image_repository_arn" {
  description = "The ECR repository of the image, which the tasks may then pull from; null for an image that everybody can pull."
  type        = string
  default     = null
}

locals {
  name = "mq-bridge"
}

module "network" {
  source = "../../modules/network"
  name   = local.name
}

resource "aws_mq_broker" "main" {
  broker_name                = local.name
  engine_type                = "ActiveMQ"
  engine_version             = "5.18"
  auto_minor_version_upgrade = true
  host_instance_type         = "mq.t3.micro"
  deployment_mode            = "SINGLE_INSTANCE"
  subnet_ids                 = [module.network.network.subnet_ids[0]]
  security_groups            = [aws_security_group.broker.id]

  user {
    username = "bridge"
    password = var.broker_password
  }
}

resource "aws_security_group" "broker" {
  name        = "${local.name}-broker"
  description = "Amazon MQ: MQTT over TLS in"
  vpc_id      = module.network.network.vpc_id
}

resource "aws_vpc_security_group_ingress_rule" "bridge" {
  count                        = var.image == null ? 0 : 1
  security_group_id            = aws_security_group.broker.id
  description                  = "the bridge"
  referenced_security_group_id = module.bridge.security_group_id
  ip_protocol                  = "tcp"
  from_port                    = 8883
  to_port                      = 8883
}

module "bridge" {
  source        = "../../modules/bridge"
  name          = local.name
  functions     = { main = { arn = var.function_arn } }
  mappings_file = "${path.module}/mappings.toml.tftpl"
  broker = {
    # As Amazon MQ names it: mqtt+ssl://b-….mq.eu-central-1.amazonaws.com:8883.
    urls              = [replace(one([for endpoint in aws_mq_broker.main.instances[0].endpoints : endpoint if startswith(endpoint, "mqtt+ssl://")]), "mqtt+ssl://", "mqtts://")]
    ports             = [8883]
    protocol          = "3.1.1"
    username          = "bridge"
    security_group_id = aws_security_group.broker.id
  }
  secret_files = ["bridge.password"]
  image        = var.image == null ? null : { reference = var.image, repository_arn = var.image_repository_arn }
  network      = module.network.network
}

output "secret_name" {
  description = "The secret to fill: {\"bridge.password\": \"…\"}."
  value       = module.bridge.secret_name
}

output "config" {
  description = "What the bridge reads."
  value       = module.bridge.config
}
