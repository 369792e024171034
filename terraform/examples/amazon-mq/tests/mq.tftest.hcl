mock_provider "aws" {
  source = "../../tests/mocks"

  mock_resource "aws_mq_broker" {
    defaults = {
      instances = [{
        console_url = "https://b-1.mq.eu-central-1.amazonaws.com:8162", ip_address = "10.42.0.5"
        endpoints   = ["ssl://b-1.mq.eu-central-1.amazonaws.com:61617", "mqtt+ssl://b-1.mq.eu-central-1.amazonaws.com:8883"]
      }]
    }
  }
}

variables {
  function_arn    = "arn:aws:lambda:eu-central-1:123456789012:function:mine:live"
  broker_password = "correct-horse-battery"
  image           = "ghcr.io/example/bridge:0.1.0"
}

run "the_bridge_speaks_what_activemq_does" {
  assert {
    condition     = strcontains(output.config, "url = [\"mqtts://b-1.mq.eu-central-1.amazonaws.com:8883\"]") && strcontains(output.config, "protocol = \"3.1.1\"") && strcontains(output.config, "username = \"bridge\"")
    error_message = "the bridge does not get in"
  }
  assert {
    condition     = !strcontains(output.config, "correct-horse")
    error_message = "the password is in the configuration"
  }
  assert {
    condition     = aws_vpc_security_group_ingress_rule.bridge[0].from_port == 8883
    error_message = "the way is closed"
  }
}

run "a_password_that_amazon_mq_refuses" {
  command = plan
  variables {
    broker_password = "short"
  }
  expect_failures = [var.broker_password]
}
