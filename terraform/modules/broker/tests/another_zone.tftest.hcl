# The broker made again in another zone. A file of its own, which begins without a disk: a snapshot is ignored for one that is there.

mock_provider "aws" {
  source = "../../tests/mocks"
}

variables {
  name         = "plant-7"
  alarm_topics = ["arn:aws:sns:eu-central-1:123456789012:alarms"]
}

run "it_can_begin_in_another_zone_from_a_snapshot" {
  variables {
    network = { vpc_id = "vpc-1", subnet_ids = ["subnet-1", "subnet-2"], public_addresses = false }
    subnet  = 1
    size    = { snapshot_id = "snap-1", disk_gb = 20 }
  }
  assert {
    condition     = aws_instance.broker.subnet_id == data.aws_subnet.broker.id && data.aws_subnet.broker.id == "subnet-2" && aws_ebs_volume.broker.size == 20 && aws_ebs_volume.broker.snapshot_id == "snap-1"
    error_message = "it is in the zone from before, or its disk begins empty"
  }
  assert {
    condition     = output.address == null
    error_message = "it has an address that the network does not give"
  }
}

run "the_snapshot_need_not_be_given_for_ever" {
  variables {
    network = { vpc_id = "vpc-1", subnet_ids = ["subnet-1", "subnet-2"], public_addresses = false }
    subnet  = 1
    size    = { disk_gb = 20 }
  }
  assert {
    condition     = aws_ebs_volume.broker.snapshot_id == "snap-1"
    error_message = "the disk would be made again, without what it holds"
  }
}
