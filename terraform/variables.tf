# Everything that can be chosen. What is not here is decided where it stands, with its reason.

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

variable "emulator" {
  description = "For an emulator of AWS such as LocalStack: leaves out what it lacks (the bridge on ECS, its image repository, the broker on EC2)."
  type        = bool
  default     = false
  nullable    = false
}

variable "deletion_protection" {
  description = "Whether `destroy` refuses the table, the broker's disk and its instance, and keeps deleted secrets for 30 days. Set it to false, and apply, before removing everything."
  type        = bool
  default     = true
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

variable "alarm_email" {
  description = "Who gets the alarms by mail, once the subscription is confirmed; null for nobody. The output `alarm_topic` takes other subscribers."
  type        = string
  default     = null

  validation {
    condition     = var.alarm_email == null || can(regex("^[^@[:space:]]+@[^@[:space:]]+$", var.alarm_email))
    error_message = "alarm_email: not an address."
  }
}

# The function

variable "function_zip" {
  description = "The zip of the function's first version, with its `bootstrap`. Later ones are deployed with cargo lambda, and a change of this file does nothing."
  type        = string
  default     = "../target/lambda/lambda-handler/bootstrap.zip"
  nullable    = false
}

variable "function_memory_mb" {
  description = "Memory of the function in MB; processor time grows with it."
  type        = number
  default     = 256
  nullable    = false

  validation {
    condition     = var.function_memory_mb >= 128 && var.function_memory_mb <= 10240 && floor(var.function_memory_mb) == var.function_memory_mb
    error_message = "function_memory_mb: a whole number from 128 to 10240."
  }
}

variable "function_timeout_seconds" {
  description = "How long the function may take. The mappings' own `timeout` must be a little longer."
  type        = number
  default     = 25
  nullable    = false

  validation {
    condition     = var.function_timeout_seconds >= 1 && var.function_timeout_seconds <= 900 && floor(var.function_timeout_seconds) == var.function_timeout_seconds
    error_message = "function_timeout_seconds: a whole number from 1 to 900."
  }
}

variable "function_reserved_concurrency" {
  description = "The most executions of the function at once, kept free for it: at least the mappings' `concurrency` times the replicas. -1 reserves none, which a new account with a limit of 10 needs."
  type        = number
  default     = 100
  nullable    = false

  validation {
    condition     = var.function_reserved_concurrency == -1 || (var.function_reserved_concurrency >= 1 && floor(var.function_reserved_concurrency) == var.function_reserved_concurrency)
    error_message = "function_reserved_concurrency: -1, or a whole number of at least 1 (0 would throttle everything)."
  }
}

variable "function_tracing" {
  description = "X-Ray: `Active` samples by itself, `PassThrough` follows the caller alone. Far above 1,000 invocations a second traces cost more than the function."
  type        = string
  default     = "Active"
  nullable    = false

  validation {
    condition     = contains(["Active", "PassThrough"], var.function_tracing)
    error_message = "function_tracing: write `Active` or `PassThrough`."
  }
}

variable "temperature_range" {
  description = "Temperatures in degrees Celsius outside of which the function flags a reading."
  type        = object({ min = number, max = number })
  default     = { min = -20, max = 60 }
  nullable    = false

  validation {
    condition     = var.temperature_range.min < var.temperature_range.max
    error_message = "temperature_range: min must be below max."
  }
}

variable "device_topics" {
  description = "Topics that belong to one device, its id being the level `{device_id}`: a reading there that names another device is refused. Several with spaces between them, or `none`."
  type        = string
  default     = "devices/{device_id}/#"
  nullable    = false

  validation {
    condition = var.device_topics == "none" || can(regex("^[^[:space:]]+( [^[:space:]]+)*$", var.device_topics)) && alltrue([
      for pattern in split(" ", var.device_topics) : length([for level in split("/", pattern) : level if level == "{device_id}"]) == 1
    ])
    error_message = "device_topics: patterns with one space between them, each with the level `{device_id}` once; or `none`."
  }
}

variable "readings_ttl" {
  description = "How long a reading stays in the table, as the function reads it: `30d`, `12h`."
  type        = string
  default     = "30d"
  nullable    = false

  validation {
    condition     = can(regex("^[1-9][0-9]*(s|m|h|d|w)$", var.readings_ttl))
    error_message = "readings_ttl: a number with s, m, h, d or w."
  }
}

# The bridge

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
  description = "How many bridges share the subscriptions. More than one needs shared subscriptions in the mappings, and these a broker that refuses `$share/#` to devices, which the Mosquitto made here cannot: a device that joins the group destroys the messages it is given. Retire a replica before lowering it: docs/deploy.md."
  type        = number
  default     = 1
  nullable    = false

  validation {
    condition     = var.bridge_replicas >= 0 && var.bridge_replicas <= 16 && floor(var.bridge_replicas) == var.bridge_replicas
    error_message = "bridge_replicas: a whole number from 0 to 16."
  }
}

variable "bridge_size" {
  description = "What each replica has: CPU units (1024 are one core, of which a bridge uses one at most) and memory in MiB, in a combination that Fargate knows."
  type        = object({ cpu = number, memory = number })
  default     = { cpu = 256, memory = 512 }
  nullable    = false

  validation {
    condition = contains(concat(
      [for memory in [512, 1024, 2048] : "256/${memory}"],
      [for memory in [1024, 2048, 3072, 4096] : "512/${memory}"],
      [for memory in range(2048, 8193, 1024) : "1024/${memory}"],
      [for memory in range(4096, 16385, 1024) : "2048/${memory}"],
    ), "${var.bridge_size.cpu}/${var.bridge_size.memory}")
    error_message = "bridge_size: not a combination of Fargate: 256 with 512 to 2048, 512 with 1024 to 4096, 1024 with 2048 to 8192, 2048 with 4096 to 16384."
  }
}

variable "bridge_drain_timeout_seconds" {
  description = "How long a bridge that stops may finish what it has; Fargate kills it 10 seconds later. Longer than an invocation may take, and 110 at most, for Fargate waits 120."
  type        = number
  default     = 60
  nullable    = false

  validation {
    condition     = var.bridge_drain_timeout_seconds >= 5 && var.bridge_drain_timeout_seconds <= 110 && floor(var.bridge_drain_timeout_seconds) == var.bridge_drain_timeout_seconds
    error_message = "bridge_drain_timeout_seconds: a whole number from 5 to 110."
  }
  validation {
    condition     = var.bridge_drain_timeout_seconds > min(var.function_timeout_seconds, 109)
    error_message = "bridge_drain_timeout_seconds: must be longer than function_timeout_seconds, or every update would invoke twice."
  }
}

variable "bridge_tls_files" {
  description = "Which of these files the bridge's secret holds: ca.crt, bridge.crt, bridge.key, ca.crl. Without ca.crt the system's authorities are trusted."
  type        = set(string)
  default     = ["ca.crt", "bridge.crt", "bridge.key", "ca.crl"]
  nullable    = false

  validation {
    condition     = length(setsubtract(var.bridge_tls_files, ["ca.crt", "bridge.crt", "bridge.key", "ca.crl"])) == 0
    error_message = "bridge_tls_files: the names are ca.crt, bridge.crt, bridge.key and ca.crl."
  }
  validation {
    condition     = contains(var.bridge_tls_files, "bridge.crt") == contains(var.bridge_tls_files, "bridge.key")
    error_message = "bridge_tls_files: bridge.crt and bridge.key come together."
  }
}

variable "mappings_file" {
  description = "The bridge's `[[mapping]]` tables, in which $${function} is the function's alias and $${failure_queue} the URL of the failure queue and $${failure_bucket} the place in the bucket behind it; null takes mappings.toml.tftpl."
  type        = string
  default     = null

  validation {
    condition     = var.mappings_file == null || try(fileexists(var.mappings_file), false)
    error_message = "mappings_file: no such file."
  }
}

variable "session_expiry" {
  description = "How long the broker keeps messages for a bridge that is away; longer than the worst outage."
  type        = string
  default     = "1d"
  nullable    = false

  validation {
    condition     = can(regex("^[1-9][0-9]*(s|m|h|d)$", var.session_expiry))
    error_message = "session_expiry: a number with s, m, h or d."
  }
}

# The broker

variable "broker_url" {
  description = "Your own broker, `mqtts://host:port`; null makes a Mosquitto on EC2."
  type        = string
  default     = null

  validation {
    condition     = var.broker_url == null || can(regex("^mqtts://[A-Za-z0-9.-]+(:[0-9]{1,5})?$", var.broker_url))
    error_message = "broker_url: write `mqtts://host` or `mqtts://host:port`, without user, password and path."
  }
  validation {
    condition     = !var.emulator || var.broker_url != null
    error_message = "broker_url: an emulator runs no broker; name one."
  }
}

variable "broker_allowed_cidrs" {
  description = "From where devices may reach the Mosquitto made here, beside the bridge; `0.0.0.0/0` lets its certificates alone decide."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for cidr in var.broker_allowed_cidrs : can(cidrnetmask(cidr))])
    error_message = "broker_allowed_cidrs: IPv4 ranges such as 198.51.100.0/24."
  }
}

variable "broker_size" {
  description = "The Mosquitto made here: the size of its t4g or t3 instance, and of its disk in GiB."
  type        = object({ instance = string, disk_gb = number })
  default     = { instance = "small", disk_gb = 10 }
  nullable    = false

  validation {
    condition     = contains(["nano", "micro", "small", "medium", "large", "xlarge", "2xlarge"], var.broker_size.instance) && var.broker_size.disk_gb >= 1
    error_message = "broker_size: instance is nano, micro, small, medium, large, xlarge or 2xlarge; disk_gb at least 1."
  }
}

variable "network" {
  description = "Your own network: its VPC, subnets from which AWS and the broker can be reached, and whether they need public addresses for that; null makes a VPC with two public subnets."
  type        = object({ vpc_id = string, subnet_ids = list(string), public_addresses = bool })
  default     = null

  validation {
    condition     = var.network == null || try(length(var.network.subnet_ids) > 0, false)
    error_message = "network: at least one subnet."
  }
}
