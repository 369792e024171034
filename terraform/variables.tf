# Everything that can be chosen. What is not here is decided where it stands, with its reason; a part that is to be different is
# a module of its own: see examples/.

variable "name" {
  description = "What all names begin with; two installations in one account and region need two names."
  type        = string
  default     = "mqtt-lambda"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,22}[a-z0-9]$", var.name))
    error_message = "name: 3 to 24 lower-case letters, digits and hyphens, from a letter to a letter or digit."
  }
}

variable "tags" {
  description = "Tags on everything, beside Project."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "architecture" {
  description = "The processors of function, bridge and broker: `arm64`, which is cheaper, or `x86_64`. Zip and image must be built for it."
  type        = string
  default     = "arm64"
  nullable    = false

  validation {
    condition     = contains(["arm64", "x86_64"], var.architecture)
    error_message = "architecture: write `arm64` or `x86_64`."
  }
}

variable "network" {
  description = "Your own network: its VPC, subnets from which AWS and the broker can be reached, whether they need public addresses for that, and name servers beside the VPC's own; null makes a VPC with two public subnets."
  type = object({
    vpc_id           = string
    subnet_ids       = list(string)
    public_addresses = bool
    dns_cidrs        = optional(list(string), [])
  })
  default = null
}

variable "function" {
  description = "The function: the zip of its first version; memory; how long an invocation may take; the most executions at once (-1 reserves none, which a new account with a limit of 10 needs); X-Ray."
  type = object({
    zip                  = optional(string, "../target/lambda/lambda-handler/bootstrap.zip")
    memory_mb            = optional(number, 256)
    timeout_seconds      = optional(number, 25)
    reserved_concurrency = optional(number, 100)
    tracing              = optional(string, "PassThrough")
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.function.timeout_seconds < 30 || var.mappings_file != null
    error_message = "function: timeout_seconds must be below 30, the `timeout` in mappings.toml.tftpl, or the bridge would invoke again what still runs; for more give a mappings_file with a longer `timeout`."
  }
}

variable "readings" {
  description = "What the function makes of readings: see modules/function."
  type = object({
    ttl             = optional(string, "30d")
    temperature_min = optional(number, -20)
    temperature_max = optional(number, 60)
    device_topics   = optional(string, "devices/{device_id}/#")
  })
  default  = {}
  nullable = false
}

variable "broker" {
  description = "Your own broker as `url`, `mqtts://host:port` or `wss://host/path`; without one a Mosquitto is made on EC2: from where devices may reach it (`0.0.0.0/0` lets its certificates alone decide), which of the subnets holds it, its instance and disk, and a snapshot to begin with."
  type = object({
    url           = optional(string)
    allowed_cidrs = optional(set(string), [])
    subnet        = optional(number, 0)
    size = optional(object({
      instance    = optional(string, "small")
      disk_gb     = optional(number, 10)
      snapshot_id = optional(string)
    }), {})
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.broker.url == null || can(regex("^(mqtts|wss)://", var.broker.url))
    error_message = "broker: url is `mqtts://host`, `mqtts://host:port` or `wss://host/path`."
  }
}

variable "bridge_version" {
  description = "The tag of the bridge's image in the repository made here; null leaves the bridge out, as long as no image has been pushed."
  type        = string
  default     = null

  validation {
    condition     = var.bridge_version == null || can(regex("^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$", var.bridge_version))
    error_message = "bridge_version: not the tag of an image; write the tag alone, without the repository."
  }
}

variable "bridge_replicas" {
  description = "How many bridges share the subscriptions, and the numbers of those that leave before the count falls: docs/deploy.md, Up and down. More than one needs shared subscriptions in the mappings, and these a broker that refuses `$share/#` to devices, which the Mosquitto made here cannot: a device that joins the group destroys the messages it is given."
  type        = object({ count = optional(number, 1), retiring = optional(list(number), []) })
  default     = {}
  nullable    = false
}

variable "bridge" {
  description = "Each bridge: CPU units and memory in MiB, in a combination that Fargate knows; how long a stop may take; which files its secret holds; how long the broker keeps messages for a bridge that is away."
  type = object({
    cpu                   = optional(number, 256)
    memory                = optional(number, 512)
    drain_timeout_seconds = optional(number, 60)
    secret_files          = optional(set(string), ["ca.crt", "bridge.crt", "bridge.key", "ca.crl"])
    session_expiry        = optional(string, "1d")
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.bridge.drain_timeout_seconds > min(var.function.timeout_seconds, 109)
    error_message = "bridge: drain_timeout_seconds must be longer than the function's timeout_seconds, or every update would invoke twice."
  }
}

variable "mappings_file" {
  description = "The bridge's `[[mapping]]` tables, in which $${functions.sensor} is the function's alias and $${failure_queue} the URL of the failure queue and $${failure_bucket} the place in the bucket behind it; null takes mappings.toml.tftpl."
  type        = string
  default     = null
}

variable "alarm_email" {
  description = "Who gets the alarms by mail, once the subscription is confirmed; null for nobody. The output `alarm_topic_arn` takes other subscribers."
  type        = string
  default     = null

  validation {
    condition     = var.alarm_email == null || can(regex("^[^@[:space:]]+@[^@[:space:]]+$", var.alarm_email))
    error_message = "alarm_email: not an address."
  }
}

variable "log_retention_days" {
  description = "How many days logs are kept."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827], var.log_retention_days)
    error_message = "log_retention_days: CloudWatch Logs knows 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096 and 1827."
  }
}

variable "deletion_protection" {
  description = "Whether `destroy` refuses the table and a bucket with dead letters, leaves a snapshot of the broker's disk, and keeps deleted secrets for 30 days. Set it to false, and apply, before removing everything."
  type        = bool
  default     = true
  nullable    = false
}

variable "emulator" {
  description = "For an emulator of AWS without TLS. With a broker of yours and no `bridge_version` it needs neither EC2 nor ECS nor ECR, which few emulators have."
  type        = bool
  default     = false
  nullable    = false
}
