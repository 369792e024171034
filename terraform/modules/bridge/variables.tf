variable "name" {
  description = "What all names begin with, the client ids among them, and the namespace of the metrics; two installations in one account and region need two names."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,22}[a-z0-9]$", var.name))
    error_message = "name: 3 to 24 lower-case letters, digits and hyphens, from a letter to a letter or digit."
  }
}

variable "functions" {
  description = "What may be invoked, by the names that the mappings use: the ARN of a function, or better of an alias, and how many executions at once it reserves, where it does."
  type        = map(object({ arn = string, reserved_concurrency = optional(number) }))
  nullable    = false

  validation {
    condition     = length(var.functions) > 0
    error_message = "functions: at least one."
  }
}

variable "mappings_file" {
  description = "The bridge's `[[mapping]]` tables, in which $${functions.NAME} is an ARN of `functions`, $${failure_queue} the URL of the failure queue and $${failure_bucket} the place in the bucket behind it."
  type        = string
  nullable    = false

  validation {
    condition     = try(fileexists(var.mappings_file), false)
    error_message = "mappings_file: no such file."
  }
}

variable "broker" {
  description = "The broker: `mqtts://` or `wss://` URLs by name or IPv4 address (tasks have no way out by IPv6), the first preferred; how long it keeps messages for a bridge that is away; the version of MQTT; user name and ALPN where it asks for them; where it counts what it drops; its security group, if egress is to go there alone; its ports, where the URLs are not known before they are made."
  type = object({
    urls              = list(string)
    session_expiry    = optional(string, "1d")
    protocol          = optional(string, "5")
    username          = optional(string)
    alpn              = optional(list(string), [])
    dropped_topic     = optional(string)
    security_group_id = optional(string)
    ports             = optional(list(number))
  })
  nullable = false

  validation {
    condition     = length(var.broker.urls) > 0 && alltrue([for url in var.broker.urls : can(regex("^(mqtts://[A-Za-z0-9.-]+(:[0-9]{1,5})?|wss://[A-Za-z0-9.-]+(:[0-9]{1,5})?/[^[:space:]]*)$", url))])
    error_message = "broker: urls are `mqtts://host`, `mqtts://host:port` or `wss://host/path`, without user and password; the host is a name or an IPv4 address."
  }
  validation {
    condition     = can(regex("^[1-9][0-9]*(s|m|h|d)$", var.broker.session_expiry)) && contains(["5", "3.1.1"], var.broker.protocol)
    error_message = "broker: session_expiry is a number with s, m, h or d; protocol is `5` or `3.1.1`."
  }
}

variable "secret_files" {
  description = "Which files the bridge's secret holds: ca.crt, bridge.crt, bridge.key, ca.crl, bridge.password. Without ca.crt the system's authorities are trusted."
  type        = set(string)
  default     = ["ca.crt", "bridge.crt", "bridge.key", "ca.crl"]
  nullable    = false

  validation {
    condition     = length(setsubtract(var.secret_files, ["ca.crt", "bridge.crt", "bridge.key", "ca.crl", "bridge.password"])) == 0
    error_message = "secret_files: the names are ca.crt, bridge.crt, bridge.key, ca.crl and bridge.password."
  }
  validation {
    condition     = contains(var.secret_files, "bridge.crt") == contains(var.secret_files, "bridge.key")
    error_message = "secret_files: bridge.crt and bridge.key come together."
  }
}

variable "image" {
  description = "The bridge's image with its tag or digest, and the ARN of its ECR repository if it is a private one of this account; null leaves the tasks out, as long as there is no image."
  type        = object({ reference = string, repository_arn = optional(string) })
  default     = null

  validation {
    condition     = var.image == null || can(regex("^[^[:space:]]+(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}|@sha256:[0-9a-f]{64})$", var.image.reference))
    error_message = "image: a reference with a tag or a digest: `ghcr.io/owner/bridge:0.1.0`."
  }
}

variable "cluster_arn" {
  description = "An ECS cluster of yours; null makes one."
  type        = string
  default     = null
}

variable "network" {
  description = "The VPC, subnets from which AWS and the broker can be reached, whether tasks need public addresses for that, and name servers beside the VPC's own."
  type = object({
    vpc_id           = string
    subnet_ids       = list(string)
    public_addresses = bool
    dns_cidrs        = optional(list(string), [])
  })
  nullable = false

  validation {
    condition     = length(var.network.subnet_ids) > 0
    error_message = "network: at least one subnet."
  }
  validation {
    condition     = alltrue([for cidr in var.network.dns_cidrs : can(cidrnetmask(cidr))])
    error_message = "network: dns_cidrs are IPv4 ranges such as 10.0.0.2/32."
  }
}

variable "replicas" {
  description = "How many bridges share the subscriptions, and the numbers of those that leave for good before the count falls: always the highest."
  type        = object({ count = optional(number, 1), retiring = optional(list(number), []) })
  default     = {}
  nullable    = false

  validation {
    condition     = var.replicas.count >= 0 && var.replicas.count <= 16 && floor(var.replicas.count) == var.replicas.count
    error_message = "replicas: count is a whole number from 0 to 16."
  }
  validation {
    condition     = toset(var.replicas.retiring) == toset(slice(range(16), var.replicas.count - min(length(var.replicas.retiring), var.replicas.count), var.replicas.count)) || length(var.replicas.retiring) == 0
    error_message = "replicas: retiring names the highest numbers below count, as the count takes them away: of 3 replicas [2], or [1, 2]."
  }
}

variable "size" {
  description = "What each replica has: CPU units (1024 are one core, of which a bridge uses one at most) and memory in MiB, in a combination that Fargate knows; and the processor that the image is built for."
  type = object({
    cpu          = optional(number, 256)
    memory       = optional(number, 512)
    architecture = optional(string, "arm64")
  })
  default  = {}
  nullable = false

  validation {
    condition = contains(concat(
      [for memory in [512, 1024, 2048] : "256/${memory}"],
      [for memory in [1024, 2048, 3072, 4096] : "512/${memory}"],
      [for memory in range(2048, 8193, 1024) : "1024/${memory}"],
      [for memory in range(4096, 16385, 1024) : "2048/${memory}"],
    ), "${var.size.cpu}/${var.size.memory}")
    error_message = "size: not a combination of Fargate: 256 with 512 to 2048, 512 with 1024 to 4096, 1024 with 2048 to 8192, 2048 with 4096 to 16384."
  }
  validation {
    condition     = contains(["arm64", "x86_64"], var.size.architecture)
    error_message = "size: architecture is `arm64` or `x86_64`."
  }
}

variable "drain_timeout_seconds" {
  description = "How long a bridge that stops may finish what it has; Fargate kills it 10 seconds later. Longer than an invocation may take, and 110 at most, for Fargate waits 120."
  type        = number
  default     = 60
  nullable    = false

  validation {
    condition     = var.drain_timeout_seconds >= 5 && var.drain_timeout_seconds <= 110 && floor(var.drain_timeout_seconds) == var.drain_timeout_seconds
    error_message = "drain_timeout_seconds: a whole number from 5 to 110."
  }
}

variable "alarms" {
  description = "ARNs of the SNS topics that hear the alarms, and from where on some of them ring."
  type = object({
    topics                   = optional(list(string), [])
    oldest_in_flight_seconds = optional(number, 300)
    certificate_days         = optional(number, 14)
    revocation_list_days     = optional(number, 2)
  })
  default  = {}
  nullable = false
}

variable "log_retention_days" {
  description = "How many days the log is kept."
  type        = number
  default     = 30
  nullable    = false
}

variable "deletion_protection" {
  description = "Whether `destroy` refuses a bucket that holds dead letters, and keeps the secret for 30 days."
  type        = bool
  default     = true
  nullable    = false
}

variable "emulator" {
  description = "For an emulator of AWS without TLS."
  type        = bool
  default     = false
  nullable    = false
}
