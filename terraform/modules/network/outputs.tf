output "network" {
  description = "What the modules `bridge` and `broker` take as `network`."
  value       = { vpc_id = aws_vpc.main.id, subnet_ids = aws_subnet.public[*].id, public_addresses = true }
}
