# What repositories are like that nobody created by name: those that the pull-through cache makes, and those
# that another registry sends images to. For pushes see README.md.
resource "aws_ecr_repository_creation_template" "hub" {
  prefix               = "hub"
  description          = "Repositories of the pull-through cache"
  applied_for          = ["PULL_THROUGH_CACHE", "REPLICATION"]
  image_tag_mutability = var.image_tag_mutability
  custom_role_arn      = "arn:aws:iam::${data.aws_caller_identity.current.account_id}:role/ecr-creation-templates"

  encryption_configuration {
    encryption_type = "AES256"
  }

  resource_tags = {
    made-by = "pull-through"
  }

  repository_policy = data.aws_iam_policy_document.hub.json
  lifecycle_policy  = data.aws_ecr_lifecycle_policy_document.hub.json
}

data "aws_iam_policy_document" "hub" {
  statement {
    sid = "PullByTheAccount"

    principals {
      type        = "AWS"
      identifiers = ["arn:aws:iam::${data.aws_caller_identity.current.account_id}:root"]
    }

    actions = [
      "ecr:BatchGetImage",
      "ecr:GetDownloadUrlForLayer",
    ]
  }
}

data "aws_ecr_lifecycle_policy_document" "hub" {
  rule {
    priority    = 1
    description = "What was fetched a month ago is fetched anew when it is needed"

    selection {
      tag_status   = "any"
      count_type   = "sinceImagePushed"
      count_unit   = "days"
      count_number = 30
    }

    action {
      type = "expire"
    }
  }
}
