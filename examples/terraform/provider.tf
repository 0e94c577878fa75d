terraform {
  required_version = ">= 1.5"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100"
    }
  }
}

# Where Berth is, and with which key, comes from the environment: eval "$(berth env)". The same configuration
# without AWS_ENDPOINT_URL is one for Amazon ECR.
provider "aws" {
  # There are no instance credentials to look for beside the key.
  skip_metadata_api_check = "true"

  default_tags {
    tags = {
      project = "hoopstat-haus"
    }
  }
}

# Whose registry this is.
data "aws_caller_identity" "current" {}

data "aws_region" "current" {}
