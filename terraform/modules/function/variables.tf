variable "name" {
  description = "What all names begin with, and the namespace of the function's metrics."
  type        = string
  nullable    = false
}

variable "zip" {
  description = "The zip of the function's first version, with its `bootstrap`. Later ones are deployed with cargo lambda, and a change of this file does nothing."
  type        = string
  nullable    = false
}

variable "architecture" {
  description = "The processor that the zip is built for: `arm64`, which is cheaper, or `x86_64`."
  type        = string
  default     = "arm64"
  nullable    = false

  validation {
    condition     = contains(["arm64", "x86_64"], var.architecture)
    error_message = "architecture: write `arm64` or `x86_64`."
  }
}

variable "memory_mb" {
  description = "Memory in MB; processor time grows with it."
  type        = number
  default     = 256
  nullable    = false

  validation {
    condition     = var.memory_mb >= 128 && var.memory_mb <= 10240 && floor(var.memory_mb) == var.memory_mb
    error_message = "memory_mb: a whole number from 128 to 10240."
  }
}

variable "timeout_seconds" {
  description = "How long an invocation may take. The mappings' own `timeout` must be a little longer."
  type        = number
  default     = 25
  nullable    = false

  validation {
    condition     = var.timeout_seconds >= 1 && var.timeout_seconds <= 900 && floor(var.timeout_seconds) == var.timeout_seconds
    error_message = "timeout_seconds: a whole number from 1 to 900."
  }
}

variable "reserved_concurrency" {
  description = "The most executions at once, kept free for this function. -1 reserves none, which a new account with a limit of 10 needs."
  type        = number
  default     = 100
  nullable    = false

  validation {
    condition     = var.reserved_concurrency == -1 || (var.reserved_concurrency >= 1 && floor(var.reserved_concurrency) == var.reserved_concurrency)
    error_message = "reserved_concurrency: -1, or a whole number of at least 1 (0 would throttle everything)."
  }
}

variable "tracing" {
  description = "X-Ray: `PassThrough` follows the caller's decision, and the bridge makes none, so nothing is traced and nothing costs; `Active` samples by itself, 5 % of everything."
  type        = string
  default     = "PassThrough"
  nullable    = false

  validation {
    condition     = contains(["Active", "PassThrough"], var.tracing)
    error_message = "tracing: write `Active` or `PassThrough`."
  }
}

variable "readings" {
  description = "What the function makes of readings: how long one stays in the table (`30d`, `52w`; a day at least), outside of which temperatures in degrees Celsius it is flagged, and which topics belong to one device, its id being the level `{device_id}`: a reading there that names another device is refused. Several topics with spaces between them, or `none`."
  type = object({
    ttl             = optional(string, "30d")
    temperature_min = optional(number, -20)
    temperature_max = optional(number, 60)
    device_topics   = optional(string, "devices/{device_id}/#")
  })
  default  = {}
  nullable = false

  validation {
    condition = try(alltrue([
      for part in [regex("^([1-9][0-9]*)([hdw])$", var.readings.ttl)] :
      tonumber(part[0]) * { h = 1, d = 24, w = 168 }[part[1]] >= 24 && tonumber(part[0]) * { h = 1, d = 24, w = 168 }[part[1]] <= 24 * 365 * 100
    ]), false)
    error_message = "readings: ttl is a number with h, d or w, from a day to 100 years: the function starts with no other."
  }
  validation {
    condition     = var.readings.temperature_min < var.readings.temperature_max
    error_message = "readings: temperature_min must be below temperature_max."
  }
  validation {
    condition     = var.readings.temperature_min >= -55 && var.readings.temperature_max <= 125
    error_message = "readings: temperature_min and temperature_max lie between -55 and 125 °C, which no reading leaves."
  }
  validation {
    condition = var.readings.device_topics == "none" || can(regex("^[^[:space:]]+( [^[:space:]]+)*$", var.readings.device_topics)) && alltrue([
      for pattern in split(" ", var.readings.device_topics) : length([for level in split("/", pattern) : level if level == "{device_id}"]) == 1
    ])
    error_message = "readings: device_topics are patterns with one space between them, each with the level `{device_id}` once; or `none`."
  }
}

variable "log_retention_days" {
  description = "How many days the log is kept."
  type        = number
  default     = 30
  nullable    = false
}

variable "deletion_protection" {
  description = "Whether `destroy` refuses the table."
  type        = bool
  default     = true
  nullable    = false
}

variable "alarm_topics" {
  description = "ARNs of the SNS topics that hear the alarms; without any the alarms are there and nobody is told."
  type        = list(string)
  default     = []
  nullable    = false
}

variable "emulator" {
  description = "For an emulator of AWS without TLS."
  type        = bool
  default     = false
  nullable    = false
}
