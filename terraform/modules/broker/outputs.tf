output "url" {
  description = "Where the bridge reaches it: a listener of its own, that devices do not reach."
  value       = "mqtts://${local.domain_name}:8884"
}

output "domain_name" {
  description = "The name by which the bridge knows it, for its certificate."
  value       = local.domain_name
}

output "address" {
  description = "The address at which devices reach it, for its certificate; null without public addresses."
  value       = one(aws_eip.broker[*].public_ip)
}

output "secret_name" {
  description = "The secret to fill with its files."
  value       = aws_secretsmanager_secret.tls.name
}

output "security_group_id" {
  description = "Its security group; whoever is to reach port 8884 needs a rule in it."
  value       = aws_security_group.broker.id
}

output "dropped_topic" {
  description = "Where it counts the messages that it has dropped."
  value       = "$SYS/broker/publish/messages/dropped"
}

output "instance_id" {
  description = "For `aws ssm start-session --target`."
  value       = aws_instance.broker.id
}

output "panels" {
  description = "For a dashboard: title, and lines of namespace, metric, statistic and dimensions."
  value = [
    { title = "Broker: processor, %, and network", lines = [for metric, statistic in { CPUUtilization = "Average", NetworkIn = "Sum", NetworkOut = "Sum" } :
      { namespace = "AWS/EC2", metric = metric, statistic = statistic, dimensions = { InstanceId = aws_instance.broker.id } }
    ] },
  ]
}
