# What must hold of the network, checked against a provider that makes nothing.

mock_provider "aws" {
  source = "../../tests/mocks"
}

variables {
  name = "plant-7"
}

run "two_subnets_in_two_zones_with_a_way_out" {
  assert {
    condition     = aws_subnet.public[*].cidr_block == ["10.42.0.0/26", "10.42.0.64/26"] && aws_subnet.public[*].availability_zone == ["eu-central-1a", "eu-central-1b"]
    error_message = "not two subnets in two zones"
  }
  assert {
    condition     = output.network.subnet_ids == aws_subnet.public[*].id && output.network.public_addresses && length(aws_default_security_group.closed.ingress) == 0
    error_message = "not what bridge and broker take, or the default group lets something in"
  }
}

run "a_range_that_is_none" {
  command = plan
  variables {
    cidr = "10.42.0.0/31"
  }
  expect_failures = [var.cidr]
}
