# The keys of bridge and broker, as JSON objects of file names and contents. Terraform makes the secrets and never sees what is
# in them, so that no key gets into its state: docs/deploy.md says how to fill them. Certificate and key are one secret, so
# that they change together.

locals {
  recovery_days = var.deletion_protection ? 30 : 0
}

resource "aws_secretsmanager_secret" "bridge_tls" {
  #checkov:skip=CKV_AWS_149:Encrypted with the account's key for Secrets Manager; who may read the secret is decided by IAM, where one role may.
  #checkov:skip=CKV2_AWS_57:Rotation is certs/make-certs.sh, for the authority's key is not in AWS.
  name                    = "${var.name}/bridge-tls"
  description             = "${join(", ", sort(var.bridge_tls_files))} of the MQTT bridge"
  recovery_window_in_days = local.recovery_days
}

resource "aws_secretsmanager_secret" "broker_tls" {
  #checkov:skip=CKV_AWS_149:As above.
  #checkov:skip=CKV2_AWS_57:As above.
  count                   = local.broker_count
  name                    = "${var.name}/broker-tls"
  description             = "ca.crt, broker.crt, broker.key, ca.crl of the MQTT broker"
  recovery_window_in_days = local.recovery_days
}
