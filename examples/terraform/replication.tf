resource "aws_ecr_replication_configuration" "this" {
  replication_configuration {
    rule {
      destination {
        region      = var.replication_region
        registry_id = data.aws_caller_identity.current.account_id
      }

      repository_filter {
        filter      = "hoopstat-haus/"
        filter_type = "PREFIX_MATCH"
      }
    }
  }
}
