mock_provider "aws" {
  source = "../../tests/mocks"
}

variables {
  function_arn = "arn:aws:lambda:eu-central-1:123456789012:function:mine:live"
  broker_url   = "mqtts://broker.example:8883"
  network      = { vpc_id = "vpc-1", subnet_ids = ["subnet-1"], public_addresses = false }
  image        = "ghcr.io/example/bridge:0.1.0"
  cluster_arn  = "arn:aws:ecs:eu-central-1:123456789012:cluster/mine"
}

run "the_bridge_stands_between_them" {
  assert {
    condition     = strcontains(output.config, "function = \"arn:aws:lambda:eu-central-1:123456789012:function:mine:live\"") && strcontains(output.config, "url = [\"mqtts://broker.example:8883\"]")
    error_message = "it stands between others"
  }
  assert {
    condition     = strcontains(output.config, "password_file = \"/run/bridge/bridge.password\"") && strcontains(output.config, "tls = { ca_file = \"/run/bridge/ca.crt\" }")
    error_message = "it cannot log in"
  }
  assert {
    condition     = module.bridge.services == tolist(["plant-bridge-bridge-0"]) && module.bridge.cluster_name == "mine"
    error_message = "it runs elsewhere"
  }
}

run "without_an_image_nothing_runs" {
  variables {
    image = null
  }
  assert {
    condition     = length(module.bridge.services) == 0 && output.secret_name == "plant-bridge/bridge"
    error_message = "the secret cannot be filled first"
  }
}
