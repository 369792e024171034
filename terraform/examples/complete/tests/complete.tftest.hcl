mock_provider "aws" {
  source = "../../tests/mocks"
}

variables {
  image = "ghcr.io/example/bridge:0.1.0"
}

run "the_parts_fit" {
  assert {
    condition     = strcontains(output.config, "url = [\"mqtts://broker.complete.internal:8884\"]") && module.bridge.services == tolist(["complete-bridge-0"])
    error_message = "bridge and broker do not meet"
  }
  assert {
    condition     = module.bridge.executions == { sensor = { at_once = 96, reserved = 100 } }
    error_message = "function and mappings do not fit"
  }
  assert {
    condition     = output.secret_names == ["complete/bridge", "complete/broker-tls"]
    error_message = "the secrets have other names"
  }
}

run "the_secrets_come_first" {
  variables {
    image = null
  }
  assert {
    condition     = length(module.bridge.services) == 0 && length(aws_vpc_security_group_ingress_rule.bridge_to_broker) == 0
    error_message = "something runs without its keys"
  }
}
