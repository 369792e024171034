variable "name" {
  description = "The queue's name."
  type        = string
  nullable    = false
}

variable "emulator" {
  description = "For an emulator of AWS without TLS."
  type        = bool
  default     = false
  nullable    = false
}
