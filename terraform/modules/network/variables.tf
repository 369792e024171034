variable "name" {
  description = "What all names begin with."
  type        = string
  nullable    = false
}

variable "cidr" {
  description = "The addresses of the VPC; each subnet gets a quarter."
  type        = string
  default     = "10.42.0.0/24"
  nullable    = false

  validation {
    condition     = can(cidrsubnet(var.cidr, 2, 3))
    error_message = "cidr: not a range of IPv4 addresses such as 10.42.0.0/24."
  }
}
