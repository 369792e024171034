# AWS IoT Core as the broker: a thing for the bridge, the policy that lets it have its sessions, and its certificate, made of a
# request whose key never leaves the machine that made it.
#
#     openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout bridge.key -subj /CN=bridge -out bridge.csr
#
# AWS IoT Core keeps a session for an hour unless the account is allowed more, and 100 messages in flight to a client:
# docs/brokers.md.

variable "function_arn" {
  description = "The function to invoke, or better one of its aliases."
  type        = string
}

variable "csr" {
  description = "The request for the bridge's certificate, in PEM."
  type        = string
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
  name = "iot-bridge"
  # Only what the mappings of mappings.toml.tftpl are.
  topic_filter = "plant/+/temperature"
}

data "aws_region" "here" {}
data "aws_caller_identity" "here" {}
data "aws_partition" "here" {}

data "aws_iot_endpoint" "data" {
  endpoint_type = "iot:Data-ATS"
}

resource "aws_iot_thing" "bridge" {
  name = local.name
}

resource "aws_iot_certificate" "bridge" {
  active = true
  csr    = var.csr
}

resource "aws_iot_thing_principal_attachment" "bridge" {
  thing     = aws_iot_thing.bridge.name
  principal = aws_iot_certificate.bridge.arn
}

resource "aws_iot_policy_attachment" "bridge" {
  policy = aws_iot_policy.bridge.name
  target = aws_iot_certificate.bridge.arn
}

resource "aws_iot_policy" "bridge" {
  name = local.name
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [for action, resource in {
      # A client id for each mapping and replica: bridge-iot-bridge-0-sensors.
      "iot:Connect"   = "client/bridge-${local.name}-*"
      "iot:Subscribe" = "topicfilter/${local.topic_filter}"
      # In a resource of Receive the wildcard of IAM stands for that of MQTT.
      "iot:Receive" = "topic/${replace(local.topic_filter, "+", "*")}"
      } : {
      Effect   = "Allow"
      Action   = action
      Resource = "arn:${data.aws_partition.here.partition}:iot:${data.aws_region.here.id}:${data.aws_caller_identity.here.account_id}:${resource}"
    }]
  })
}

module "network" {
  source = "../../modules/network"
  name   = local.name
}

module "bridge" {
  source        = "../../modules/bridge"
  name          = local.name
  functions     = { main = { arn = var.function_arn } }
  mappings_file = "${path.module}/mappings.toml.tftpl"
  broker = {
    urls           = ["mqtts://${data.aws_iot_endpoint.data.endpoint_address}:8883"]
    session_expiry = "1h"
  }
  # Amazon's authorities are among those of the system.
  secret_files = ["bridge.crt", "bridge.key"]
  image        = var.image == null ? null : { reference = var.image, repository_arn = var.image_repository_arn }
  network      = module.network.network
}

output "certificate" {
  description = "The bridge's certificate, for the secret: {\"bridge.crt\": this, \"bridge.key\": the key of the request}."
  value       = aws_iot_certificate.bridge.certificate_pem
  sensitive   = true
}

output "secret_name" {
  description = "The secret to fill."
  value       = module.bridge.secret_name
}

output "config" {
  description = "What the bridge reads."
  value       = module.bridge.config
}
