output "failure_queue_url" {
  description = "Where the dead letters are: `mqtt-lambda-bridge redrive --from sqs:URL`."
  value       = module.failures.url
}

output "failure_bucket_url" {
  description = "Where the letters are that the queue did not take: what `--from` of `redrive` takes."
  value       = "s3://${aws_s3_bucket.failures.bucket}/${local.letters_prefix}"
}

output "secret_name" {
  description = "The secret to fill with the bridge's files."
  value       = aws_secretsmanager_secret.bridge.name
}

output "services" {
  description = "The ECS services, one for each replica."
  value       = sort([for service in aws_ecs_service.bridge : service.name])
}

output "cluster_name" {
  description = "The ECS cluster that they are in; null without an image."
  value       = local.runs ? local.cluster_name : null
}

output "security_group_id" {
  description = "The security group of the tasks, for a rule of the broker; null without an image."
  value       = one(aws_security_group.bridge[*].id)
}

output "role_name" {
  description = "The role that the bridge runs as."
  value       = aws_iam_role.bridge.name
}

output "log_group_name" {
  description = "Its log, with its metrics among the lines."
  value       = aws_cloudwatch_log_group.bridge.name
}

output "config" {
  description = "The file that the bridge reads. BRIDGE_MQTT_CLIENT_ID adds each replica's own client id."
  value       = local.bridge_config
}

output "executions" {
  description = "How many executions of each function the mappings may ask for at once, and how many it reserves; more than that is refused."
  value       = { for name, function in var.functions : name => { at_once = local.at_once[name], reserved = function.reserved_concurrency } }
}

output "panels" {
  description = "For a dashboard: title, and lines of namespace, metric, statistic and dimensions."
  value = concat(
    [
      { title = "Messages", lines = [for metric in ["Received", "Delivered", "DeadLettered", "InvocationsFailed"] :
        { namespace = var.name, metric = metric, statistic = "Sum", dimensions = {} }
      ] },
      { title = "Window used, %, and oldest message in flight, s", lines = [for metric in ["WindowUsed", "OldestInFlight"] :
        { namespace = var.name, metric = metric, statistic = "Maximum", dimensions = {} }
      ] },
      { title = "Dead letters in the queue", lines = [
        { namespace = "AWS/SQS", metric = "ApproximateNumberOfMessagesVisible", statistic = "Maximum", dimensions = { QueueName = module.failures.name } }
      ] },
    ],
    [for title in local.runs ? ["Bridge: processor and memory, %"] : [] : { title = title, lines = flatten([
      for index in local.replicas : [for metric in ["CPUUtilization", "MemoryUtilization"] :
        { namespace = "AWS/ECS", metric = metric, statistic = "Average", dimensions = { ClusterName = local.cluster_name, ServiceName = "${var.name}-bridge-${index}" } }
      ]
    ]) }],
  )
}
