# Everything of this repository, each module by itself: take it apart, and put in what is yours.

variable "image" {
  description = "The bridge's image with its tag; null leaves the tasks out, as long as the secrets are not filled."
  type        = string
  default     = null
}

variable "image_repository_arn" {
  description = "The ECR repository of the image, which the tasks may then pull from; null for an image that everybody can pull."
  type        = string
  default     = null
}

variable "function_zip" {
  description = "The zip of the function's first version."
  type        = string
  default     = "../../../target/lambda/lambda-handler/bootstrap.zip"
}

locals {
  name = "complete"
}

resource "aws_sns_topic" "alarms" {
  name = "${local.name}-alarms"
}

module "network" {
  source = "../../modules/network"
  name   = local.name
}

module "function" {
  source       = "../../modules/function"
  name         = local.name
  zip          = var.function_zip
  alarm_topics = [aws_sns_topic.alarms.arn]
}

module "broker" {
  source        = "../../modules/broker"
  name          = local.name
  network       = module.network.network
  allowed_cidrs = ["198.51.100.0/24"]
  alarm_topics  = [aws_sns_topic.alarms.arn]
}

module "bridge" {
  source        = "../../modules/bridge"
  name          = local.name
  functions     = { sensor = { arn = module.function.alias_arn, reserved_concurrency = module.function.reserved_concurrency } }
  mappings_file = "${path.module}/../../mappings.toml.tftpl"
  broker = {
    urls              = [module.broker.url]
    dropped_topic     = module.broker.dropped_topic
    security_group_id = module.broker.security_group_id
  }
  image   = var.image == null ? null : { reference = var.image, repository_arn = var.image_repository_arn }
  network = module.network.network
  alarms  = { topics = [aws_sns_topic.alarms.arn], oldest_in_flight_seconds = 120 }
}

resource "aws_vpc_security_group_ingress_rule" "bridge_to_broker" {
  count                        = var.image == null ? 0 : 1
  security_group_id            = module.broker.security_group_id
  description                  = "the bridge, on a listener that devices do not reach"
  referenced_security_group_id = module.bridge.security_group_id
  ip_protocol                  = "tcp"
  from_port                    = 8884
  to_port                      = 8884
}

output "secret_names" {
  description = "The secrets to fill: docs/deploy.md, Keys."
  value       = [module.bridge.secret_name, module.broker.secret_name]
}

output "config" {
  description = "What the bridge reads."
  value       = module.bridge.config
}
