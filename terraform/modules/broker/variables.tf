variable "name" {
  description = "What all names begin with; the broker is `broker.NAME.internal` in its network."
  type        = string
  nullable    = false
}

variable "network" {
  description = "The VPC, subnets of which one holds the broker, whether it needs a public address to reach AWS and Debian, and name servers beside the VPC's own."
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

variable "subnet" {
  description = "Which of the subnets holds the broker, counted from 0: another one is another zone, where its disk begins as `size.snapshot_id` says."
  type        = number
  default     = 0
  nullable    = false

  validation {
    condition     = try(var.network.subnet_ids[var.subnet], null) != null
    error_message = "subnet: there are not that many."
  }
}

variable "allowed_cidrs" {
  description = "From where devices may reach it; `0.0.0.0/0` lets its certificates alone decide."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for cidr in var.allowed_cidrs : can(cidrnetmask(cidr))])
    error_message = "allowed_cidrs: IPv4 ranges such as 198.51.100.0/24."
  }
}

variable "devices_acl" {
  description = "Mosquitto's access list for devices; null takes templates/devices.acl."
  type        = string
  default     = null
}

variable "size" {
  description = "Its t4g or t3 instance, its disk in GiB, the processor, and a snapshot that the disk is made of, to begin again from one."
  type = object({
    instance     = optional(string, "small")
    disk_gb      = optional(number, 10)
    architecture = optional(string, "arm64")
    snapshot_id  = optional(string)
  })
  default  = {}
  nullable = false

  validation {
    condition     = contains(["nano", "micro", "small", "medium", "large", "xlarge", "2xlarge"], var.size.instance) && var.size.disk_gb >= 1
    error_message = "size: instance is nano, micro, small, medium, large, xlarge or 2xlarge; disk_gb at least 1."
  }
  validation {
    condition     = contains(["arm64", "x86_64"], var.size.architecture)
    error_message = "size: architecture is `arm64` or `x86_64`."
  }
}

variable "log_retention_days" {
  description = "How many days the log is kept."
  type        = number
  default     = 30
  nullable    = false
}

variable "deletion_protection" {
  description = "Whether `destroy` leaves a snapshot of the disk, and keeps the secret for 30 days."
  type        = bool
  default     = true
  nullable    = false
}

variable "alarm_topics" {
  description = "ARNs of the SNS topics that hear the alarms."
  type        = list(string)
  default     = []
  nullable    = false
}
