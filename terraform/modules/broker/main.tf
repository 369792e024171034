# Mosquitto on EC2, for those who bring no broker: one instance, its data on a disk that outlives it. EC2 and not Fargate,
# because a broker writes what it promises to a disk, has one address that devices know, and is one; a disk of EBS is
# cheaper and quicker to sync than a network file system, an elastic address cheaper than a load balancer. Debian 13,
# because it keeps Mosquitto 2.0.21 up to date; those before 2.0.13 exceed the Receive Maximum.

data "aws_region" "here" {}

locals {
  domain_name = "broker.${var.name}.internal"
  subnet_id   = var.network.subnet_ids[var.subnet]
}

data "aws_ami" "debian" {
  owners      = ["136693071363"] # Debian, https://wiki.debian.org/Cloud/AmazonEC2Image
  most_recent = true

  filter {
    name   = "name"
    values = ["debian-13-${var.size.architecture == "arm64" ? "arm64" : "amd64"}-*"]
  }
}

data "aws_subnet" "broker" {
  id = local.subnet_id
}

# Not protected from termination: it holds nothing that is not on the disk, and `-replace` must be able to make a new one. With
# protection, providers differ: 5.100 lifts it by itself, 6 refuses.
resource "aws_instance" "broker" {
  #checkov:skip=CKV_AWS_126:Five-minute metrics are enough for its two alarms.
  ami                    = data.aws_ami.debian.id
  instance_type          = "${var.size.architecture == "arm64" ? "t4g" : "t3"}.${var.size.instance}"
  subnet_id              = data.aws_subnet.broker.id
  vpc_security_group_ids = [aws_security_group.broker.id]
  iam_instance_profile   = aws_iam_instance_profile.broker.name
  ebs_optimized          = true
  # Until the elastic address is there it already has to fetch its packages.
  associate_public_ip_address = var.network.public_addresses
  user_data_replace_on_change = true
  user_data = templatefile("${path.module}/templates/broker.sh.tftpl", {
    mosquitto_conf = file("${path.module}/templates/mosquitto.conf")
    devices_acl    = coalesce(var.devices_acl, file("${path.module}/templates/devices.acl"))
    bridge_acl     = file("${path.module}/templates/bridge.acl")
    log_group      = aws_cloudwatch_log_group.broker.name
    volume_id      = aws_ebs_volume.broker.id
    secret_arn     = aws_secretsmanager_secret.tls.arn
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
    ignore_changes = [ami] # A new image is a new broker; `apply -replace='module.broker[0].aws_instance.broker'`, from the root, says when.
  }
}

# What the broker has promised. Every message it holds is here, whatever becomes of the instance.
resource "aws_ebs_volume" "broker" {
  #checkov:skip=CKV_AWS_189:Encrypted with the account's key for EBS.
  availability_zone = data.aws_subnet.broker.availability_zone
  size              = var.size.disk_gb # A larger one is taken up within ten minutes, without a new instance.
  snapshot_id       = var.size.snapshot_id
  type              = "gp3"
  encrypted         = true
  final_snapshot    = var.deletion_protection
  tags              = { Name = "${var.name}-broker" }

  lifecycle {
    # The snapshot is what the disk began with, and must not be given for ever.
    ignore_changes = [snapshot_id]
  }
}

resource "aws_volume_attachment" "broker" {
  device_name                    = "/dev/sdf"
  instance_id                    = aws_instance.broker.id
  volume_id                      = aws_ebs_volume.broker.id
  stop_instance_before_detaching = true # Mosquitto writes its database when it stops.
}

resource "aws_eip" "broker" {
  count    = var.network.public_addresses ? 1 : 0
  domain   = "vpc"
  instance = aws_instance.broker.id
  tags     = { Name = "${var.name}-broker" }
}

# The name by which the bridge knows it, and which its certificate has to hold.
resource "aws_route53_zone" "internal" {
  name = "${var.name}.internal"

  vpc {
    vpc_id = var.network.vpc_id
  }
}

resource "aws_route53_record" "broker" {
  zone_id = aws_route53_zone.internal.zone_id
  name    = local.domain_name
  type    = "A"
  ttl     = 60
  records = [aws_instance.broker.private_ip]
}

resource "aws_security_group" "broker" {
  name        = "${var.name}-broker"
  description = "MQTT broker: MQTT over TLS in; out to AWS and to Debian"
  vpc_id      = var.network.vpc_id
}

resource "aws_vpc_security_group_ingress_rule" "devices" {
  for_each          = var.allowed_cidrs
  security_group_id = aws_security_group.broker.id
  description       = "devices"
  cidr_ipv4         = each.key
  ip_protocol       = "tcp"
  from_port         = 8883
  to_port           = 8883
}

resource "aws_vpc_security_group_egress_rule" "out" {
  for_each          = { packages = 80, aws = 443 }
  security_group_id = aws_security_group.broker.id
  description       = each.key
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = each.value
  to_port           = each.value
}

# The VPC's own resolver needs no rule; others do, over both.
resource "aws_vpc_security_group_egress_rule" "dns" {
  for_each = {
    for pair in setproduct(var.network.dns_cidrs, ["udp", "tcp"]) : "${pair[1]} ${pair[0]}" => { cidr = pair[0], protocol = pair[1] }
  }
  security_group_id = aws_security_group.broker.id
  description       = "name servers"
  cidr_ipv4         = each.value.cidr
  ip_protocol       = each.value.protocol
  from_port         = 53
  to_port           = 53
}

resource "aws_iam_role" "broker" {
  name = "${var.name}-broker"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "ec2.amazonaws.com" }
    }]
  })
}

resource "aws_iam_role_policy" "broker" {
  #checkov:skip=CKV_AWS_290:The actions of a session with Systems Manager know no resources.
  #checkov:skip=CKV_AWS_355:As above.
  name = "broker"
  role = aws_iam_role.broker.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "ReadSecret"
        Effect   = "Allow"
        Action   = "secretsmanager:GetSecretValue"
        Resource = aws_secretsmanager_secret.tls.arn
      },
      {
        Sid      = "Log"
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"]
        Resource = "${aws_cloudwatch_log_group.broker.arn}:log-stream:*"
      },
      {
        # What the agent of Systems Manager asks for a session; these actions know no resources. Without the right to read parameters
        # that AmazonSSMManagedInstanceCore would give.
        Sid    = "Session"
        Effect = "Allow"
        Action = [
          "ssm:UpdateInstanceInformation", "ssmmessages:CreateControlChannel", "ssmmessages:CreateDataChannel",
          "ssmmessages:OpenControlChannel", "ssmmessages:OpenDataChannel",
        ]
        Resource = "*"
      },
    ]
  })
}

resource "aws_iam_instance_profile" "broker" {
  name = "${var.name}-broker"
  role = aws_iam_role.broker.name
}

resource "aws_cloudwatch_log_group" "broker" {
  #checkov:skip=CKV_AWS_158:Encrypted by CloudWatch Logs' own key, and never with a payload in it.
  #checkov:skip=CKV_AWS_338:How long is a variable.
  name              = "/ec2/${var.name}-broker"
  retention_in_days = var.log_retention_days
}

# The keys of the broker, as a JSON object of file names and contents. Terraform makes the secret and never sees what is in it, so
# that no key gets into its state. Certificate and key are one secret, so that they change together.
resource "aws_secretsmanager_secret" "tls" {
  #checkov:skip=CKV_AWS_149:Encrypted with the account's key for Secrets Manager; who may read the secret is decided by IAM, where one role may.
  #checkov:skip=CKV2_AWS_57:Rotation is certs/make-certs.sh, for the authority's key is not in AWS.
  name                    = "${var.name}/broker-tls"
  description             = "ca.crt, broker.crt, broker.key, ca.crl of the MQTT broker"
  recovery_window_in_days = var.deletion_protection ? 30 : 0
}

# EC2 counts status checks every minute, and processor credits every five minutes only
# (AWSEC2/latest/UserGuide/viewing_metrics_with_cloudwatch.html).
resource "aws_cloudwatch_metric_alarm" "alarm" {
  for_each = {
    broker-down = {
      description = "The broker's machine fails its checks."
      metric      = "StatusCheckFailed", period = 60, periods = 3, missing = "breaching"
    }
    broker-credits = {
      description = "The broker has used up its processor credits: choose a larger instance."
      metric      = "CPUSurplusCreditsCharged", period = 300, periods = 3, missing = "notBreaching"
    }
  }
  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.description
  namespace           = "AWS/EC2"
  metric_name         = each.value.metric
  statistic           = "Maximum"
  dimensions          = { InstanceId = aws_instance.broker.id }
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  period              = each.value.period
  evaluation_periods  = each.value.periods
  treat_missing_data  = each.value.missing
  alarm_actions       = var.alarm_topics
  ok_actions          = var.alarm_topics
}
