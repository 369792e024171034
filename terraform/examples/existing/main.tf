# A function, a broker and a network that are there already: only the bridge between them is made.

variable "function_arn" {
  description = "The function to invoke, or better one of its aliases."
  type        = string
}

variable "broker_url" {
  description = "The broker: `mqtts://broker.example:8883`."
  type        = string
}

variable "network" {
  description = "Where the bridge runs: subnets from which broker and AWS can be reached."
  type        = object({ vpc_id = string, subnet_ids = list(string), public_addresses = bool, dns_cidrs = optional(list(string), []) })
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

variable "cluster_arn" {
  description = "An ECS cluster of yours; null makes one."
  type        = string
  default     = null
}

module "bridge" {
  source        = "../../modules/bridge"
  name          = "plant-bridge"
  functions     = { main = { arn = var.function_arn } }
  mappings_file = "${path.module}/mappings.toml.tftpl"
  broker        = { urls = [var.broker_url], username = "bridge" }
  # The user's password, and the authority that the broker's certificate is of.
  secret_files = ["ca.crt", "bridge.password"]
  image        = var.image == null ? null : { reference = var.image, repository_arn = var.image_repository_arn }
  cluster_arn  = var.cluster_arn
  network      = var.network
  emulator     = var.emulator
}

variable "emulator" {
  description = "For an emulator of AWS without TLS."
  type        = bool
  default     = false
}

output "secret_name" {
  description = "The secret to fill: {\"ca.crt\": \"-----BEGIN…\", \"bridge.password\": \"…\"}."
  value       = module.bridge.secret_name
}

output "config" {
  description = "What the bridge reads."
  value       = module.bridge.config
}
