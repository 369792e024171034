# Which Terraform and which providers, and how they reach AWS or an emulator of it.

terraform {
  # 1.10: S3 keeps the lock of the state itself, and a validation may name other variables.
  required_version = ">= 1.10"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100, < 7.0"
    }
  }
}

# Region, credentials and endpoints come from the environment: AWS_REGION, AWS_PROFILE, AWS_ENDPOINT_URL and the like.
provider "aws" {
  # An emulator has no account whose keys could be looked up, and no instance metadata.
  skip_credentials_validation = var.emulator
  skip_metadata_api_check     = var.emulator
  skip_region_validation      = var.emulator

  default_tags {
    tags = merge({ Project = var.name }, var.tags)
  }
}

data "aws_region" "here" {}
