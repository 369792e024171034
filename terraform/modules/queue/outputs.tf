output "name" {
  description = "Its name, by which metrics know it."
  value       = aws_sqs_queue.main.name
}

output "arn" {
  description = "Its ARN, for rights."
  value       = aws_sqs_queue.main.arn
}

output "url" {
  description = "Its URL, for those who write and read."
  value       = aws_sqs_queue.main.url
}
