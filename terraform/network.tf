# Where bridge and broker live: a small VPC of their own, or the one that is given. Without a NAT gateway: public addresses,
# and security groups that let nothing in but MQTT over TLS to the broker.

locals {
  vpc_count = var.emulator || var.network != null ? 0 : 1

  network = var.network != null ? var.network : {
    vpc_id           = one(aws_vpc.main[*].id)
    subnet_ids       = aws_subnet.public[*].id
    public_addresses = true
  }
}

data "aws_availability_zones" "here" {
  #checkov:skip=CKV_AWS_394:A zone that is new changes nothing: the subnets below keep theirs.
  count = local.vpc_count
  state = "available"
}

resource "aws_vpc" "main" {
  #checkov:skip=CKV2_AWS_11:Flow logs are for networks with something to tell apart; here are two security groups with four rules.
  count                = local.vpc_count
  cidr_block           = "10.42.0.0/24"
  enable_dns_support   = true
  enable_dns_hostnames = true
  tags                 = { Name = var.name }
}

# The group that everything gets which names none: it lets nothing through.
resource "aws_default_security_group" "closed" {
  count  = local.vpc_count
  vpc_id = aws_vpc.main[0].id
}

resource "aws_internet_gateway" "main" {
  count  = local.vpc_count
  vpc_id = aws_vpc.main[0].id
  tags   = { Name = var.name }
}

resource "aws_subnet" "public" {
  count             = 2 * local.vpc_count
  vpc_id            = aws_vpc.main[0].id
  cidr_block        = cidrsubnet(aws_vpc.main[0].cidr_block, 2, count.index)
  availability_zone = data.aws_availability_zones.here[0].names[count.index]
  tags              = { Name = "${var.name}-public-${count.index}" }

  lifecycle {
    ignore_changes = [availability_zone]
  }
}

resource "aws_route_table" "public" {
  count  = local.vpc_count
  vpc_id = aws_vpc.main[0].id
  tags   = { Name = "${var.name}-public" }

  route {
    cidr_block = "0.0.0.0/0"
    gateway_id = aws_internet_gateway.main[0].id
  }
}

resource "aws_route_table_association" "public" {
  count          = 2 * local.vpc_count
  subnet_id      = aws_subnet.public[count.index].id
  route_table_id = aws_route_table.public[0].id
}

resource "aws_security_group" "bridge" {
  count       = var.emulator ? 0 : 1
  name        = "${var.name}-bridge"
  description = "MQTT bridge: nothing in; out to the broker and to AWS"
  vpc_id      = local.network.vpc_id
}

resource "aws_vpc_security_group_egress_rule" "bridge_to_aws" {
  count             = var.emulator ? 0 : 1
  security_group_id = aws_security_group.bridge[0].id
  description       = "the APIs of AWS"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_vpc_security_group_egress_rule" "bridge_to_broker" {
  count                        = var.emulator ? 0 : 1
  security_group_id            = aws_security_group.bridge[0].id
  description                  = "the broker"
  cidr_ipv4                    = local.broker_count == 0 ? "0.0.0.0/0" : null
  referenced_security_group_id = one(aws_security_group.broker[*].id)
  ip_protocol                  = "tcp"
  from_port                    = local.broker_port
  to_port                      = local.broker_port
}
