# The queue of the bridge's dead letters: `mqtt-lambda-bridge redrive` takes them from here.

module "failures" {
  source   = "../queue"
  name     = "${var.name}-failures"
  emulator = var.emulator
}
