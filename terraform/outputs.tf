# What the next step needs: docs/deploy.md uses each of them.

output "function_name" {
  description = "For `cargo lambda deploy` and `aws lambda invoke`; the bridge invokes its alias `live`."
  value       = module.function.function_name
}

output "function_role_arn" {
  description = "The role that the function runs as."
  value       = module.function.role_arn
}

output "table_name" {
  description = "Where the readings are."
  value       = module.function.table_name
}

output "failure_queue_url" {
  description = "Where the dead letters are: `mqtt-lambda-bridge redrive --from sqs:URL`."
  value       = module.bridge.failure_queue_url
}

output "failure_bucket_url" {
  description = "Where the letters are that the queue did not take: what `--from` of `redrive` takes."
  value       = module.bridge.failure_bucket_url
}

output "alarm_topic_arn" {
  description = "Where alarms are published."
  value       = aws_sns_topic.alarms.arn
}

output "bridge_repository_url" {
  description = "Where the bridge's image is pushed to."
  value       = one(aws_ecr_repository.bridge[*].repository_url)
}

output "bridge_secret_name" {
  description = "The secret to fill with the bridge's files."
  value       = module.bridge.secret_name
}

output "bridge_services" {
  description = "The ECS services, one for each replica."
  value       = module.bridge.services
}

output "bridge_cluster" {
  description = "The ECS cluster that they are in; null without an image."
  value       = module.bridge.cluster_name
}

output "bridge_role_name" {
  description = "The role that the bridge runs as."
  value       = module.bridge.role_name
}

output "bridge_config" {
  description = "The file that the bridge reads. BRIDGE_MQTT_CLIENT_ID adds each replica's own client id."
  value       = module.bridge.config
}

output "broker_secret_name" {
  description = "The secret to fill with the broker's files; null for a broker of your own."
  value       = one(module.broker[*].secret_name)
}

output "broker_name" {
  description = "The name by which the bridge knows the broker, for its certificate; null for a broker of your own."
  value       = one(module.broker[*].domain_name)
}

output "broker_address" {
  description = "The address at which devices reach it, for its certificate; null for a broker of your own."
  value       = one(module.broker[*].address)
}

output "broker_instance_id" {
  description = "For `aws ssm start-session --target`; null for a broker of your own."
  value       = one(module.broker[*].instance_id)
}
