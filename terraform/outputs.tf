# What the next step needs: docs/deploy.md uses each of them.

output "function_name" {
  description = "For `cargo lambda deploy` and `aws lambda invoke`; the bridge invokes its alias `live`."
  value       = aws_lambda_function.sensor_handler.function_name
}

output "function_role_arn" {
  description = "The role that the function runs as."
  value       = aws_iam_role.function.arn
}

output "table_name" {
  description = "Where the readings are."
  value       = aws_dynamodb_table.readings.name
}

output "failure_queue_url" {
  description = "Where the dead letters are: `mqtt-lambda-bridge redrive --from sqs:URL`."
  value       = aws_sqs_queue.failures.url
}

output "failure_bucket_url" {
  description = "Where the letters are that the queue did not take: `mqtt-lambda-bridge redrive --from` this."
  value       = "s3://${aws_s3_bucket.failures.bucket}/${local.letters_prefix}"
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
  value       = aws_secretsmanager_secret.bridge_tls.name
}

output "bridge_services" {
  description = "The ECS services, one for each replica, in the cluster that bears the name of all this."
  value       = sort([for service in aws_ecs_service.bridge : service.name])
}

output "bridge_config" {
  description = "The file that the bridge reads. BRIDGE_MQTT_CLIENT_ID adds each replica's own client id."
  value       = local.bridge_config
}

output "broker_secret_name" {
  description = "The secret to fill with the broker's files; null for a broker of your own."
  value       = one(aws_secretsmanager_secret.broker_tls[*].name)
}

output "broker_name" {
  description = "The name by which the bridge knows the broker, for its certificate; null for a broker of your own."
  value       = local.broker_count == 0 ? null : local.broker_name
}

output "broker_address" {
  description = "The address at which devices reach it, for its certificate; null for a broker of your own."
  value       = one(aws_eip.broker[*].public_ip)
}
