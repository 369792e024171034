# Mosquitto on EC2, for those who bring no broker: one instance, its data on a disk that outlives it. EC2 and not Fargate,
# because a broker writes what it promises to a disk, has one address that devices know, and is one; a disk of EBS is
# cheaper and quicker to sync than a network file system, an elastic address cheaper than a load balancer. Debian 13,
# because it keeps Mosquitto 2.0.21 up to date; those before 2.0.13 exceed the Receive Maximum.

locals {
  broker_count = var.broker_url == null ? 1 : 0
  broker_name  = "broker.${var.name}.internal"
  broker_url   = coalesce(var.broker_url, "mqtts://${local.broker_name}:8884")
  broker_port  = tonumber(try(regex(":([0-9]+)$", local.broker_url)[0], 8883))

  broker_instance_type = "${var.architecture == "arm64" ? "t4g" : "t3"}.${var.broker_size.instance}"
}

data "aws_ami" "debian" {
  count       = local.broker_count
  owners      = ["136693071363"] # Debian, https://wiki.debian.org/Cloud/AmazonEC2Image
  most_recent = true

  filter {
    name   = "name"
    values = ["debian-13-${var.architecture == "arm64" ? "arm64" : "amd64"}-*"]
  }
}

data "aws_subnet" "broker" {
  count = local.broker_count
  id    = local.network.subnet_ids[0]
}

resource "aws_instance" "broker" {
  #checkov:skip=CKV_AWS_126:Five-minute metrics are enough for its two alarms.
  count                   = local.broker_count
  ami                     = data.aws_ami.debian[0].id
  instance_type           = local.broker_instance_type
  subnet_id               = data.aws_subnet.broker[0].id
  vpc_security_group_ids  = [aws_security_group.broker[0].id]
  iam_instance_profile    = aws_iam_instance_profile.broker[0].name
  ebs_optimized           = true
  disable_api_termination = var.deletion_protection
  # Until the elastic address is there it already has to fetch its packages.
  associate_public_ip_address = local.network.public_addresses
  user_data_replace_on_change = true
  user_data = templatefile("${path.module}/templates/broker.sh.tftpl", {
    mosquitto_conf = file("${path.module}/templates/mosquitto.conf")
    devices_acl    = file("${path.module}/templates/devices.acl")
    bridge_acl     = file("${path.module}/templates/bridge.acl")
    volume_id      = aws_ebs_volume.broker[0].id
    secret_arn     = aws_secretsmanager_secret.broker_tls[0].arn
    region         = data.aws_region.here.id
  })

  metadata_options {
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  root_block_device {
    encrypted   = true
    volume_type = "gp3"
  }

  tags = { Name = "${var.name}-broker" }

  lifecycle {
    ignore_changes = [ami] # A new image is a new broker; `apply -replace='aws_instance.broker[0]'` says when.
  }
}

# What the broker has promised. Every message it holds is here, whatever becomes of the instance.
resource "aws_ebs_volume" "broker" {
  #checkov:skip=CKV_AWS_189:Encrypted with the account's key for EBS.
  count             = local.broker_count
  availability_zone = data.aws_subnet.broker[0].availability_zone
  size              = var.broker_size.disk_gb
  type              = "gp3"
  encrypted         = true
  final_snapshot    = var.deletion_protection
  tags              = { Name = "${var.name}-broker" }
}

resource "aws_volume_attachment" "broker" {
  count                          = local.broker_count
  device_name                    = "/dev/sdf"
  instance_id                    = aws_instance.broker[0].id
  volume_id                      = aws_ebs_volume.broker[0].id
  stop_instance_before_detaching = true # Mosquitto writes its database when it stops.
}

resource "aws_eip" "broker" {
  count    = local.network.public_addresses ? local.broker_count : 0
  domain   = "vpc"
  instance = aws_instance.broker[0].id
  tags     = { Name = "${var.name}-broker" }
}

# The name by which the bridge knows it, and which its certificate has to hold.
resource "aws_route53_zone" "internal" {
  count = local.broker_count
  name  = "${var.name}.internal"

  vpc {
    vpc_id = local.network.vpc_id
  }
}

resource "aws_route53_record" "broker" {
  count   = local.broker_count
  zone_id = aws_route53_zone.internal[0].zone_id
  name    = local.broker_name
  type    = "A"
  ttl     = 60
  records = [aws_instance.broker[0].private_ip]
}

resource "aws_security_group" "broker" {
  count       = local.broker_count
  name        = "${var.name}-broker"
  description = "MQTT broker: MQTT over TLS in; out to AWS and to Debian"
  vpc_id      = local.network.vpc_id
}

resource "aws_vpc_security_group_ingress_rule" "bridge_to_broker" {
  count                        = local.broker_count
  security_group_id            = aws_security_group.broker[0].id
  description                  = "the bridge, on a listener that devices do not reach"
  referenced_security_group_id = aws_security_group.bridge[0].id
  ip_protocol                  = "tcp"
  from_port                    = 8884
  to_port                      = 8884
}

resource "aws_vpc_security_group_ingress_rule" "devices_to_broker" {
  for_each          = local.broker_count == 0 ? toset([]) : var.broker_allowed_cidrs
  security_group_id = aws_security_group.broker[0].id
  description       = "devices"
  cidr_ipv4         = each.key
  ip_protocol       = "tcp"
  from_port         = 8883
  to_port           = 8883
}

resource "aws_vpc_security_group_egress_rule" "broker_out" {
  for_each          = local.broker_count == 0 ? {} : { packages = 80, secrets = 443 }
  security_group_id = aws_security_group.broker[0].id
  description       = each.key
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = each.value
  to_port           = each.value
}

resource "aws_iam_role" "broker" {
  count              = local.broker_count
  name               = "${var.name}-broker"
  assume_role_policy = local.assumed_by["ec2"]
}

resource "aws_iam_role_policy" "broker" {
  count = local.broker_count
  name  = "broker"
  role  = aws_iam_role.broker[0].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid      = "ReadSecret"
      Effect   = "Allow"
      Action   = "secretsmanager:GetSecretValue"
      Resource = aws_secretsmanager_secret.broker_tls[0].arn
    }]
  })
}

resource "aws_iam_instance_profile" "broker" {
  count = local.broker_count
  name  = "${var.name}-broker"
  role  = aws_iam_role.broker[0].name
}
