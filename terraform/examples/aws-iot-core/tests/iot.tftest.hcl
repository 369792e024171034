mock_provider "aws" {
  source = "../../tests/mocks"
}

override_data {
  target = data.aws_iot_endpoint.data
  values = { endpoint_address = "abc-ats.iot.eu-central-1.amazonaws.com" }
}

override_data {
  target = data.aws_caller_identity.here
  values = { account_id = "123456789012" }
}

override_data {
  target = data.aws_partition.here
  values = { partition = "aws" }
}

variables {
  function_arn = "arn:aws:lambda:eu-central-1:123456789012:function:mine:live"
  csr          = "-----BEGIN CERTIFICATE REQUEST-----"
  image        = "ghcr.io/example/bridge:0.1.0"
}

run "the_bridge_may_have_its_sessions_and_nothing_else" {
  assert {
    condition = toset([for statement in jsondecode(aws_iot_policy.bridge.policy).Statement : "${statement.Action} ${statement.Resource}"]) == toset([
      "iot:Connect arn:aws:iot:eu-central-1:123456789012:client/bridge-iot-bridge-*",
      "iot:Subscribe arn:aws:iot:eu-central-1:123456789012:topicfilter/plant/+/temperature",
      "iot:Receive arn:aws:iot:eu-central-1:123456789012:topic/plant/*/temperature",
    ])
    error_message = "the policy grants more or less"
  }
  assert {
    condition     = strcontains(output.config, "topic_filter = \"${local.topic_filter}\"")
    error_message = "the mappings are not those that the policy lets be"
  }
  assert {
    condition     = strcontains(output.config, "url = [\"mqtts://abc-ats.iot.eu-central-1.amazonaws.com:8883\"]") && strcontains(output.config, "session_expiry = \"1h\"")
    error_message = "the bridge goes elsewhere"
  }
}
